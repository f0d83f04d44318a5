"""What no probe of two neurons can beat, for many pairs at once, by matrix products alone.

The dual vector of neuron `i` alone is feasible for the pair of `i` and `j`. It proves little where
the ridge is light: `j` reads it strongly, though a small change of it would stop that. So the blame
`q` is moved, for all `j` at once:

    q_e - y_e q_e (1 - q_e) u_e,    u = s (z_j - rho z_i),    |u| <= 1

with `z` the neurons without their outliers, centred so that both classes carry the same blame
still. As no blame moves by more than `min(q, 1 - q)`, the vector stays feasible. What it proves is
a parabola in `s` whose coefficients are sums over the examples, hence matrix products.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from needlepoint.probing.optimal.losses import stages
from needlepoint.probing.optimal.objective import SPREAD, Objective
from needlepoint.probing.optimal.refit import Fits

CLIP = SPREAD
"""Neurons are cut off at one standard deviation in the directions of moves.

The example that moves the most ends a move, so that one outlier would end it early.
"""
ROUNDING = 1e-11
"""Share of what a move wins that is not counted: far more than the rounding errors in it."""
TINY = 1e-300


class PairBounds:
    """Proofs from some neurons alone, against their pairs with any others."""

    def __init__(self, objective: Objective, singles: Fits, units: Int[np.ndarray, " row"]) -> None:
        """Prepare from the fits of all neurons alone; `units` are those whose proofs to use."""
        self._objective = objective
        self._loss = stages(objective.loss)[-1]
        self._alone = singles.bound[units][:, None]
        blame = singles.blame[units]
        self._dual = objective.signed * blame
        self._slope = objective.signed * self._loss.gain_slope(blame)
        self._weight = objective.w * blame * (1.0 - blame)
        self._total = np.maximum(self._weight.sum(1), TINY)[:, None]
        self._x = objective.X.T[units]
        self._z = np.clip(self._x, -CLIP, CLIP)
        self._own = self._sums(_row_by_row, self._x, self._z)

    def standing(self, columns: Int[np.ndarray, " unit"]) -> Float[np.ndarray, "row unit"]:
        """Bounds on the pairs with given neurons, by the dual vectors as they are.

        What the one neuron costs alone, less the worth of the other under its dual vector.
        """
        reads = self._dual @ self._objective.X[:, columns]
        found: Float[np.ndarray, "row unit"]
        found = self._alone - self._objective.gamma / 2 * np.square(reads)
        return found

    def moved(self, columns: Int[np.ndarray, " unit"]) -> Float[np.ndarray, "row unit"]:
        """Bounds on the same pairs by moved dual vectors: never below those of `standing`."""
        x = self._objective.X[:, columns]
        z = np.clip(x, -CLIP, CLIP)
        own, other = self._own, self._sums(np.matmul, x, z)
        x_own_z = (self._weight * self._x) @ z - self._total * own.mean_x * other.mean_z
        x_z_own = (self._weight * self._z) @ x - self._total * own.mean_z * other.mean_x
        z_z_own = (self._weight * self._z) @ z - self._total * own.mean_z * other.mean_z
        gamma, bend = self._objective.gamma, self._loss.gain_bend(np.ones(1))
        # Of the moves of u, the one that hardly changes what neuron i reads.
        share = (gamma * x_own_z * own.xz + bend * z_z_own) / np.maximum(
            gamma * own.xz**2 + bend * own.zz, TINY
        )
        other_falls, own_falls = other.xz - share * x_z_own, x_own_z - share * own.xz
        rise = gamma * (other.read * other_falls + own.read * own_falls)
        rise -= other.slope - share * own.slope
        squares = np.maximum(other.zz - 2 * share * z_z_own + share**2 * own.zz, 0.0)
        ridge = gamma * (other_falls**2 + own_falls**2)
        length = other.reach + np.abs(share) * own.reach
        best = self._highest(rise, ridge, squares, length)
        unmoved = self._alone - gamma / 2 * np.square(other.read)
        found: Float[np.ndarray, "row unit"] = unmoved + (1.0 - ROUNDING) * np.fmax(best, 0.0)
        return found

    def _sums(self, times: Product, x: np.ndarray, z: np.ndarray) -> _Sums:
        """Sums over the examples under each row's own weights, by a product of one's choice."""
        mean_x, mean_z = (times(self._weight, part) / self._total for part in (x, z))
        centre = self._slope.sum(1, keepdims=True)
        return _Sums(
            times(self._dual, x),
            times(self._slope, z) - centre * mean_z,
            mean_x,
            mean_z,
            times(self._weight, x * z) - self._total * mean_x * mean_z,
            times(self._weight, z * z) - self._total * mean_z**2,
            CLIP + np.abs(mean_z),
        )

    def _highest(
        self, rise: np.ndarray, ridge: np.ndarray, squares: np.ndarray, length: np.ndarray
    ) -> np.ndarray:
        """Most that `s` makes of `rise s - (ridge + bend squares) s**2 / 2`; `|s| length <= 1`."""
        first = _step(rise, ridge + squares * self._loss.gain_bend(np.zeros(1)), length)
        # The bend grows with the step, and this step is no longer than the first.
        curve = ridge + squares * self._loss.gain_bend(np.abs(first) * length)
        step = _step(rise, curve, length)
        found: np.ndarray = step * rise - step**2 * curve / 2
        return found


Product = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class _Sums:
    """What moves are worked out from, for each row and each other neuron, or its own one."""

    read: np.ndarray
    """What the neuron reads of the dual vector."""
    slope: np.ndarray
    """Fall of the gain along the clipped neuron, to first order."""
    mean_x: np.ndarray
    mean_z: np.ndarray
    xz: np.ndarray
    zz: np.ndarray
    reach: np.ndarray
    """No entry of the clipped and centred neuron is larger."""


def _row_by_row(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Each row of weights with the neuron of the same row, as one column."""
    found: np.ndarray = (weights * x).sum(1, keepdims=True)
    return found


def _step(rise: np.ndarray, curve: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Where a parabola is highest, or as far towards it as it may go."""
    most = 1.0 / np.maximum(length, TINY)
    with np.errstate(over="ignore"):  # a parabola that is all but a line
        found: np.ndarray = np.clip(rise / np.maximum(curve, TINY), -most, most)
    return found
