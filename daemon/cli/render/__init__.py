"""How output looks, whatever it is about: streams, tables, numbers and times."""
