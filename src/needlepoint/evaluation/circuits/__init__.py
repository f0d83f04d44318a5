"""Judging circuits: against what is known, against exact effects, and by running them."""
