"""The intercept that is best for the hinge loss when the weights are given."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def hinge_intercepts(
    odds: Float[np.ndarray, "row example"],
    y: Float[np.ndarray, " example"],
    w: Float[np.ndarray, " example"],
) -> Float[np.ndarray, " row"]:
    """What to add to each row of `odds` so that `sum(w * max(0, 1 - y * odds))` is least.

    The sum is piecewise linear with a bend at `y - odds` of each example, where the example's
    margin is 1: the free support vectors. Where a whole stretch is best, its middle is taken.

    Example:
        >>> odds = np.array([[3.0, 1.0]])
        >>> hinge_intercepts(odds, np.array([1.0, -1.0]), np.ones(2)).tolist()
        [-2.0]
    """
    bends = y - odds
    order = np.argsort(bends, axis=1)
    sorted_bends = np.take_along_axis(bends, order, axis=1)
    slope = np.cumsum(w[order], axis=1) - w[y > 0].sum()
    rounding = 1e-12 * w.sum()
    low = (slope >= -rounding).argmax(1)
    high = np.where((slope > rounding).any(1), (slope > rounding).argmax(1), low)
    rows = np.arange(len(odds))
    middle: Float[np.ndarray, " row"] = (sorted_bends[rows, low] + sorted_bends[rows, high]) / 2
    return middle
