"""`dongbo database`: what an administrator does with the database as a whole."""
