"""Whether one method's AUC is higher than another's on the same truth: DeLong's paired test."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

from needlepoint._core.errors import OneClassError
from needlepoint.evaluation.intervals import Interval, check_level
from needlepoint.evaluation.metrics import roc_auc

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class AucDifference:
    """AUC of a first method less that of a second, both against one truth."""

    first: float
    second: float
    difference: Interval
    p_value: float | None
    """Two-sided; None, with a reason, where the difference has no spread that could be known."""
    reason: str = ""


def auc_difference(
    first: Float[Tensor, " unit"],
    second: Float[Tensor, " unit"],
    truth: Bool[Tensor, " unit"],
    *,
    level: float = 0.95,
) -> AucDifference:
    """Difference of two AUCs with an interval that knows that both are of the same units.

    Two methods that err on the same units differ by less than their own intervals suggest. The
    spread is over units of the kind there are, as in `hanley_mcneil_interval`; it is a normal
    approximation, which is rough below some ten true units.

    Raises:
        OneClassError: If there are fewer than two units of either kind.
        DataError: If a score is NaN or `level` is out of range.

    References:
        DeLong, DeLong and Clarke-Pearson, "Comparing the Areas under Two or More Correlated
        Receiver Operating Characteristic Curves", 1988; midranks as in Sun and Xu, 2014.
    """
    check_level(level)
    n_true = int(truth.sum())
    n_false = len(truth) - n_true
    if min(n_true, n_false) < 2:
        raise OneClassError(
            f"there are {n_true} true and {n_false} false units: a difference of AUCs needs at "
            "least 2 of each."
        )
    areas = roc_auc(first, truth), roc_auc(second, truth)
    one, two = (_components(scores, truth) for scores in (first, second))
    over_true, over_false = one[0] - two[0], one[1] - two[1]
    error = float(np.sqrt(over_true.var(ddof=1) / n_true + over_false.var(ddof=1) / n_false))
    gap = areas[0] - areas[1]
    reach = NormalDist().inv_cdf((1 + level) / 2) * error
    interval = Interval(max(gap - reach, -1.0), gap, min(gap + reach, 1.0))
    if error < 1e-12:
        return _without_spread(areas, interval)
    return AucDifference(*areas, interval, 2 * NormalDist().cdf(-abs(gap) / error))


def _without_spread(areas: tuple[float, float], interval: Interval) -> AucDifference:
    if abs(interval.estimate) < 1e-12:
        return AucDifference(*areas, interval, 1.0)
    reason = "the difference is the same for every unit, so these units do not say how sure it is"
    return AucDifference(*areas, interval, None, reason)


def _components(scores: Tensor, truth: Tensor) -> tuple[Numbers, Numbers]:
    """Of each true unit the share of false ones below it, of each false one that of true above."""
    values: Numbers = scores.detach().cpu().double().numpy()
    true: NDArray[np.bool_] = truth.cpu().numpy()
    n_true, n_false = int(true.sum()), int((~true).sum())
    ranks = rankdata(values)
    below = (ranks[true] - rankdata(values[true])) / n_false
    above = 1 - (ranks[~true] - rankdata(values[~true])) / n_true
    return below, above
