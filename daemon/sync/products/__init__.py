"""Stock and prices of mapped products: the plan, the pushes, and what became of them."""
