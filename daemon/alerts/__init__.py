"""Tells people what is not right, by whatever Apprise speaks, and a dead man's switch that all is well."""
