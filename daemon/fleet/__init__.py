"""Which daemons work on one database, and what each of them does."""
