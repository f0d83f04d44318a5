"""Which neurons carry a feature."""
