"""The graph that circuits are parts of: who writes to the residual stream, and who reads it."""
