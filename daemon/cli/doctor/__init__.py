"""`dongbo doctor`: why a job is not seen."""
