"""What `dongbo check` and `dongbo doctor` try: the database, the credentials of every store, currencies and prices."""
