"""Optimal sparse probing: the best few neurons of a whole layer, and proof of how good they are."""
