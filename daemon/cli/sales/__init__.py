"""`dongbo sale`: sale campaigns."""
