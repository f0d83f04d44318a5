"""Behaviours: prompt pairs that test whether a model does something."""
