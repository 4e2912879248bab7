"""What the endpoint and the listener for webhooks share: opening an address, and knowing who is at the other end."""
