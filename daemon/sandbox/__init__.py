"""Local Nhanh.vn and Shopify servers for trying out, tests and benchmarks: see `daemon.sandbox.server.running_sandbox`.

This file imports nothing, so that a command which only mentions the sandbox does not pay for it.
"""
