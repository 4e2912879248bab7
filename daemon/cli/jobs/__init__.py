"""`dongbo jobs`, and what every command shares that asks for a job: following it, and showing how it stands."""
