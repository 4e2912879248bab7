"""`dongbo map`: which product of Nhanh.vn each variant of Shopify is."""
