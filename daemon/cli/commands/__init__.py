"""The commands that stand alone, a module each."""
