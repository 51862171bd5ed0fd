"""What callers send: bytes bounded, parsed, and bound to the columns of a model."""
