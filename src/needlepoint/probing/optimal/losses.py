"""The two losses of the margin, with their slopes, curvatures and conjugates.

Both are written by the *blame* `q` of an example, minus the slope of its loss: 0 where the margin
is ample, 1 where the example is plainly wrong. A dual solution is one blame in `[0, 1]` for each
example.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.special import entr, expit

Margins = Float[np.ndarray, "*batch example"]
EDGE = 1e-7
"""Blame this near to 0 or 1 counts as outside the band of a rounded hinge."""
LossName = Literal["logistic", "hinge"]


@dataclass(frozen=True)
class LogisticLoss:
    """`log(1 + exp(-margin))`; its dual gain is the entropy of the blame.

    Example:
        >>> LogisticLoss().gain(np.array([0.0, 0.5, 1.0])).round(4).tolist()
        [0.0, 0.6931, 0.0]
    """

    floor: float = 1e-12
    """Least curvature of the intercept, over the sum of the weights, that a step divides by."""
    settled: float = 1e-9
    """A fit takes its last step when that promises less than this for each unit of weight."""

    def value(self, margin: Margins) -> Margins:
        """The loss."""
        found: Margins = np.maximum(-margin, 0.0) + np.log1p(np.exp(-np.abs(margin)))
        return found

    def blame(self, margin: Margins) -> Margins:
        """The probability given to the wrong class."""
        found: Margins = expit(-margin)
        return found

    def curvature(self, blame: Margins) -> Margins:
        """`q (1 - q)`."""
        return blame * (1.0 - blame)

    def gain(self, blame: Margins) -> Margins:
        """`-q log q - (1 - q) log(1 - q)`."""
        found: Margins = entr(blame) + entr(1.0 - blame)
        return found

    def gain_slope(self, blame: Margins) -> Margins:
        """`q (1 - q)` times the slope of the gain: 0 where the slope itself is infinite.

        Example:
            >>> LogisticLoss().gain_slope(np.array([0.0, 0.25])).round(4).tolist()
            [0.0, 0.206]
        """
        found: Margins = (1.0 - blame) * entr(blame) - blame * entr(1.0 - blame)
        return found

    def gain_bend(self, reach: Margins) -> Margins:
        """How far the gain bends below its tangent, at most.

        Moved from `q` by `q (1 - q) u` with `|u| <= reach <= 1`, the gain lies below its tangent by
        at most `bend q (1 - q) u**2 / 2`. It is a relative entropy, at most
        `q (1 - q) sum_k u**k / (k (k - 1))` over `k >= 2`; for a short move the bend is 1.
        """
        return 1.0 + reach / 3.0 + 2.0 / 3.0 * reach**2


@dataclass(frozen=True)
class HingeLoss:
    """`max(0, 1 - margin)`, rounded off over a band below 1 for the Newton steps alone.

    A dual solution of the rounded problem is feasible for the hinge itself; only the few examples
    inside the band tell the two apart, by at most an eighth of the band each.

    Example:
        >>> hinge = HingeLoss(band=0.5)
        >>> margin = np.array([2.0, 0.75, 0.0])
        >>> hinge.value(margin).tolist(), hinge.blame(margin).tolist()
        ([0.0, 0.25, 1.0], [0.0, 0.5, 1.0])
    """

    band: float
    """Width over which the blame rises from 0 to 1."""
    floor: float = 1e-2
    """As in `LogisticLoss`."""

    @property
    def settled(self) -> float:
        """As in `LogisticLoss`; small beside what a change of one blame is worth."""
        return 1e-7 * self.band

    def value(self, margin: Margins) -> Margins:
        """The hinge."""
        return np.maximum(1.0 - margin, 0.0)

    def blame(self, margin: Margins) -> Margins:
        """How far into the band, as a share."""
        return np.clip((1.0 - margin) / self.band, 0.0, 1.0)

    def curvature(self, blame: Margins) -> Margins:
        """`1 / band` inside the band."""
        return ((blame > EDGE) & (blame < 1.0 - EDGE)) / self.band

    def gain(self, blame: Margins) -> Margins:
        """The blame."""
        return blame

    def gain_slope(self, blame: Margins) -> Margins:
        """As in `LogisticLoss`: the slope is 1."""
        return blame * (1.0 - blame)

    def gain_bend(self, reach: Margins) -> Margins:
        """As in `LogisticLoss`: the gain is a line."""
        found: Margins = np.zeros_like(reach)
        return found


Loss = LogisticLoss | HingeLoss


def stages(name: LossName, *, final: float = 1e-6) -> tuple[Loss, ...]:
    """The losses to descend on, one after the other, each from where the one before ended.

    The logistic loss needs one stage; the hinge is reached through bands that shrink to `final`.
    """
    if name == "logistic":
        return (LogisticLoss(),)
    bands = 10.0 ** np.arange(0, round(np.log10(final)) - 1, -1)
    return tuple(HingeLoss(float(band)) for band in bands)
