"""Many features are many chances: q-values that bound the share of false ones among the found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import false_discovery_control

LEVEL = 0.05
"""Expected share of false findings, among those called found, that is put up with."""


def q_values(p_values: Sequence[float | None]) -> list[float | None]:
    """Benjamini-Hochberg adjusted p-values over the features that have one; None for the others.

    Calling found what has `q <= 0.05` keeps the expected share of false findings among the found
    below 5 %, for features that are independent or positively dependent. It is not the chance
    that any finding is false, which is larger.

    References:
        Benjamini and Hochberg 1995.

    Example:
        >>> q_values([0.01, None, 0.04])
        [0.02, None, 0.04]
    """
    known = [p for p in p_values if p is not None]
    if not known:
        return [None] * len(p_values)
    adjusted = iter(np.asarray(false_discovery_control(known)).tolist())
    return [None if p is None else float(next(adjusted)) for p in p_values]
