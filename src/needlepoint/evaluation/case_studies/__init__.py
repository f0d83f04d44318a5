"""Case studies of sparse probing: superposition, context neurons, weights, scaling."""
