"""`dongbo jobs`, and what all commands that ask for a job share: following it, and showing its state."""
