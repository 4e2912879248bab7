"""`dongbo webhooks`: what the shops are asked to tell, what came, and whether it gets through."""
