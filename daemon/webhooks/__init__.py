"""Webhooks of Nhanh.vn and Shopify: listening for them, checking who sent them, and turning them into jobs."""
