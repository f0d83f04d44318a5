"""Neurons that are in no optimal support, or in every one, by a dual bound and an incumbent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from needlepoint.probing.optimal.dual import Cut, largest_sum

SAFETY = 1e-9
"""Share of the incumbent's objective by which a bound must exceed it: room for rounding."""


@dataclass(frozen=True)
class Screened:
    """What is settled about each neuron."""

    outside: Bool[np.ndarray, " unit"]
    """In no support that is better than the incumbent."""
    inside: Bool[np.ndarray, " unit"]
    """In every support that is better than the incumbent."""


def screen(cuts: Iterable[Cut], k: int, incumbent: float, n_neurons: int) -> Screened:
    """Neurons that any of the proofs settles; an optimal support is never lost.

    A neuron is outside if every support that contains it costs more than the incumbent, and
    inside if every support without it does.
    """
    limit = incumbent * (1 + SAFETY)
    outside, inside = np.zeros(n_neurons, bool), np.zeros(n_neurons, bool)
    for cut in cuts:
        outside |= least_with(cut, k) > limit
        inside |= least_without(cut, k) > limit
    return Screened(outside, inside)


def least_with(cut: Cut, k: int) -> Float[np.ndarray, " unit"]:
    """For each neuron: no support of at most `k` neurons that contains it costs less.

    Example:
        >>> least_with(Cut(10.0, np.array([1.0, 4.0, 2.0])), 2).tolist()
        [5.0, 4.0, 4.0]
    """
    if k >= len(cut.worth):
        return np.full(len(cut.worth), cut.bound(k))
    last = _largest(cut.worth, k)
    found: Float[np.ndarray, " unit"] = cut.bound(k) + np.maximum(last - cut.worth, 0.0)
    return found


def least_without(cut: Cut, k: int) -> Float[np.ndarray, " unit"]:
    """For each neuron: no support of at most `k` neurons that avoids it costs less.

    Example:
        >>> least_without(Cut(10.0, np.array([1.0, 4.0, 2.0])), 2).tolist()
        [4.0, 7.0, 5.0]
    """
    if k >= len(cut.worth):
        return cut.gain - largest_sum(cut.worth, k) + cut.worth
    following = _largest(cut.worth, k + 1)
    found: Float[np.ndarray, " unit"] = cut.bound(k) + np.maximum(cut.worth - following, 0.0)
    return found


def _largest(values: Float[np.ndarray, " unit"], place: int) -> float:
    """The value at a place when they are sorted from the largest, counted from 1."""
    return float(np.partition(values, len(values) - place)[len(values) - place])
