"""Clients of Nhanh.vn and Shopify: typed pages, limits and retries. They know nothing of jobs or the database."""
