"""The local mirror: pages of rows into the tables of `dongbo`, set by set; unchanged rows are left alone."""
