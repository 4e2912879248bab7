"""What webhooks have told, until a job has dealt with it: an event names what changed, and a job reads the value."""
