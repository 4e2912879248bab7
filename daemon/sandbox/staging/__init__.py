"""What `daemon.sandbox.situations` puts a running sandbox into: each is a context, on inside it and off after it."""
