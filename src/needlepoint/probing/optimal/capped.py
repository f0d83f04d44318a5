"""Convex quadratics over shares: numbers between 0 and 1 with a given sum."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

TINY = 1e-10
"""Ridge, relative to the largest curvature, that keeps equal columns apart."""
LONGEST = 4.0
"""Most that one step changes a share before it is cut off at 0 or 1."""


def least_quadratic(
    gradient: Float[np.ndarray, " unit"],
    hessian: Float[np.ndarray, "unit unit"],
    shares: Float[np.ndarray, " unit"],
    *,
    max_iter: int = 200,
) -> Float[np.ndarray, " unit"]:
    """Shares with the same sum that minimise a convex quadratic, by an active-set method.

    Args:
        gradient: Slope at `shares`.
        hessian: Positive semidefinite.
        shares: Where to start.
        max_iter: Most changes of the active set; what is reached by then is no worse than
            the start.

    Example:
        >>> start = np.array([1.0, 0.0, 0.0])
        >>> least_quadratic(np.array([1.0, 0.0, 3.0]), np.eye(3), start).round(6).tolist()
        [0.5, 0.5, 0.0]
    """
    x, slope = shares.copy(), gradient.copy()
    loose = (x > 0) & (x < 1)
    steepest = float(np.abs(gradient).max())
    size = max(float(hessian.diagonal().max()), 1e-9 * steepest) or 1.0
    for _ in range(max_iter):
        step, level = _step(slope, hessian, loose, size)
        if np.abs(step).max(initial=0.0) > 1e-10:
            x, slope, loose = _move(x, slope, hessian, loose, step)
            continue
        released = _release(x, slope, loose, level, 1e-10 * steepest)
        if len(released) == 0:
            break
        loose[released] = True
    return x


def _step(
    slope: np.ndarray, hessian: np.ndarray, loose: np.ndarray, size: float
) -> tuple[np.ndarray, float | None]:
    """Best step of the loose shares, which keeps their sum, and the slope that they then share."""
    which = np.flatnonzero(loose)
    step = np.zeros_like(slope)
    if len(which) == 0:
        return step, None
    if len(which) == 1:
        return step, float(slope[which[0]])
    count = len(which)
    system = np.zeros((count + 1, count + 1))
    system[:count, :count] = hessian[np.ix_(which, which)] + TINY * size * np.eye(count)
    system[count, :count] = system[:count, count] = size
    solved = np.linalg.solve(system, np.append(-slope[which], 0.0))
    found, level = solved[:count], -size * float(solved[count])
    # A step this long ends at a bound in any case; shortened, it keeps the sum to the last digit.
    found *= min(1.0, LONGEST / max(float(np.abs(found).max()), 1e-300))
    step[which] = found - found.mean()
    return step, level


def _move(
    x: np.ndarray, slope: np.ndarray, hessian: np.ndarray, loose: np.ndarray, step: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Go along a step until its end or the first share to reach 0 or 1, which is then held."""
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(step > 0, (1 - x) / step, np.where(step < 0, -x / step, np.inf))
    at = int(room.argmin())
    length = min(1.0, float(room[at]))
    x, slope, loose = x + length * step, slope + length * (hessian @ step), loose.copy()
    if room[at] <= 1.0:
        x[at] = 1.0 if step[at] > 0 else 0.0
        loose[at] = False
    return np.clip(x, 0.0, 1.0), slope, loose


def _release(
    x: np.ndarray, slope: np.ndarray, loose: np.ndarray, level: float | None, tolerance: float
) -> np.ndarray:
    """Held shares that should move: the one most at odds with the level, or a pair."""
    low = np.where(~loose & (x <= 0), slope, np.inf)
    high = np.where(~loose & (x >= 1), slope, -np.inf)
    down, up = int(low.argmin()), int(high.argmax())
    if level is None:
        pair = np.array([down, up])
        return pair if high[up] - low[down] > tolerance else pair[:0]
    gains = np.array([level - low[down], high[up] - level])
    best = int(gains.argmax())
    return np.array([down, up])[best : best + 1] if gains[best] > tolerance else np.array([], int)
