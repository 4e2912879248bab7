"""`dongbo connect`: credentials for a shop, asked for, tried out, and put where the daemon finds them."""
