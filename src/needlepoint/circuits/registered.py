"""The registry of circuit methods with every method in it."""

from __future__ import annotations

from needlepoint.circuits import attribution, search
from needlepoint.circuits.code_edges import code_edges
from needlepoint.circuits.methods import CIRCUIT_METHODS, CircuitMethod, Found, Question

__all__ = [
    "CIRCUIT_METHODS",
    "CircuitMethod",
    "Found",
    "Question",
    "attribution",
    "code_edges",
    "search",
]
