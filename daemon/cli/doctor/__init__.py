"""`dongbo doctor`: why a job does not show."""
