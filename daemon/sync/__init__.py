"""What belongs together on both sides, what is pushed because of it, and why: between the mirror and the tasks."""
