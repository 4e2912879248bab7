"""What the endpoint does at each address, one module a noun: its handlers, and their rows of the route table."""
