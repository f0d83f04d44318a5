"""Circuits that are known: derived from weights that were written, or published."""
