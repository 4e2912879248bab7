"""Tries what the stores sign in with, by calls that change nothing: in the daemon, or in a shell with the secrets."""
