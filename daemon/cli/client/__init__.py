"""The running daemon, seen from the command line: where it answers, its routes as methods, and its answers."""
