"""Stock and prices of mapped products: the plan, the pushes, and their outcome."""
