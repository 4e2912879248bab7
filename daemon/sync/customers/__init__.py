"""Totals and tiers of mapped customers: the rules, the plan, the pushes."""
