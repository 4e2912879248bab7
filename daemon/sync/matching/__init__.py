"""Which rows of both sides belong together: by keys, by phone numbers, by the word of people."""
