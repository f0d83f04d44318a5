"""Stream activations, reduce them over positions, accumulate moments, store them."""
