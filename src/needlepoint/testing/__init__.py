"""For those who write parts: contracts, tiny models, slow obvious reference implementations."""
