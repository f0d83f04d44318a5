"""Exact patching: what happens to the metric when a node is given another value."""
