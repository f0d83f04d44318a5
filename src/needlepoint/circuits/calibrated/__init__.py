"""Discrete codes held against chance: tables of codes by label, nulls, stability, edges."""
