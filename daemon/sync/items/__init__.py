"""Single items, for people: searched on both sides, shown with a verdict, read anew."""
