"""Sale campaigns: which variants, at which prices, from when until when, and what was there before."""
