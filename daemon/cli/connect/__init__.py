"""`dongbo connect`: credentials for a shop, asked for, tried, and put where the daemon finds them."""
