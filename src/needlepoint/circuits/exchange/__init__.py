"""Circuits as files and as graphs of other libraries."""
