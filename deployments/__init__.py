"""What puts flows on a schedule and agents on sites. Nothing below this layer knows of it."""
