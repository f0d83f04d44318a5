"""Which attention heads carry out a behaviour."""
