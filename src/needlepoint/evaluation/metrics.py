"""How well scores of units agree with the truth, and how well a circuit does without the rest."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy.stats import hypergeom, rankdata
from torch import Tensor

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.evaluation.intervals import Interval, check_level

Numbers = NDArray[np.float64]


def roc_auc(scores: Float[Tensor, " unit"], truth: Bool[Tensor, " unit"]) -> float:
    """Probability that a unit of the circuit outscores one outside it.

    Ties count as half, so a method that scores all units alike gets 0.5, in whatever order the
    units come.

    Raises:
        OneClassError: If `truth` is all true or all false; the area does not exist.
        DataError: If a score is NaN. The message names the first such unit.

    Example:
        >>> import torch
        >>> truth = torch.tensor([True, False, False])
        >>> roc_auc(torch.tensor([0.9, 0.1, 0.9]), truth)
        0.75
        >>> roc_auc(torch.zeros(3), truth)
        0.5
    """
    values, true = _checked(scores, truth)
    n_true, n_false = int(true.sum()), int((~true).sum())
    ranks = rankdata(values)[true].sum()
    return float((ranks - n_true * (n_true + 1) / 2) / (n_true * n_false))


def pessimistic_auc(scores: Float[Tensor, " unit"], truth: Bool[Tensor, " unit"]) -> float:
    """Probability that a unit of the circuit strictly outscores one outside it: ties count 0.

    The area used by the ACDC plots; never above `roc_auc`, and equal to it without ties.

    Raises:
        OneClassError: If `truth` is all true or all false.
        DataError: If a score is NaN.

    References:
        Conmy et al. 2023 (arXiv 2304.14997), `pessimistic_auc` of the authors' code.
    """
    values, true = _checked(scores, truth)
    below = np.searchsorted(np.sort(values[~true]), values[true], side="left")
    return float(below.sum() / (true.sum() * (~true).sum()))


def optimistic_auc(scores: Float[Tensor, " unit"], truth: Bool[Tensor, " unit"]) -> float:
    """Probability that no unit outside the circuit strictly outscores one of it: ties count 1.

    Never below `roc_auc`, which is the mean of this and `pessimistic_auc`: how far the two are
    apart says how much of the area depends on the order in which ties happen to come.

    Raises:
        OneClassError: If `truth` is all true or all false.
        DataError: If a score is NaN.
    """
    values, true = _checked(scores, truth)
    at_most = np.searchsorted(np.sort(values[~true]), values[true], side="right")
    return float(at_most.sum() / (true.sum() * (~true).sum()))


def average_precision(scores: Float[Tensor, " unit"], truth: Bool[Tensor, " unit"]) -> float:
    """Mean precision over the recall gained at each distinct score; ties are one step.

    Compare it with the share of true units, which a random order gets, not with 0.5.

    Raises:
        OneClassError: If `truth` is all true or all false.
        DataError: If a score is NaN.

    Example:
        >>> import torch
        >>> average_precision(torch.zeros(4), torch.tensor([True, False, False, False]))
        0.25
    """
    hits, false = _steps(*_checked(scores, truth))
    gained = np.diff(hits, prepend=0.0)
    return float((gained * hits / (hits + false)).sum() / hits[-1])


def precision_at_k(
    scores: Float[Tensor, " unit"], truth: Bool[Tensor, " unit"], *, k: int
) -> float:
    """Share of true units among the `k` of highest score.

    If units tie for the last places, this is the mean over all ways of breaking the tie.

    Raises:
        OneClassError: If `truth` is all true or all false.
        DataError: If a score is NaN, or `k` is not between 1 and the number of units.

    Example:
        >>> import torch
        >>> truth = torch.tensor([True, False, True])
        >>> precision_at_k(torch.tensor([2.0, 1.0, 1.0]), truth, k=2)
        0.75
    """
    values, true = _checked(scores, truth)
    if not 1 <= k <= len(values):
        raise DataError(f"k is {k}: it must be between 1 and {len(values)}, the number of units.")
    last = np.sort(values)[-k]
    above, tied = values > last, values == last
    places = k - above.sum()
    return float((true[above].sum() + places * true[tied].mean()) / k)


def f1_at_size(scores: Float[Tensor, " unit"], truth: Bool[Tensor, " unit"], *, size: int) -> float:
    """F1 of the circuit made of the `size` units of highest score.

    Harmonic mean of precision and recall. Fix `size` before looking at the truth: the best
    over all sizes is not a result but an oracle. Ties are treated as in `precision_at_k`.

    Raises:
        OneClassError: If `truth` is all true or all false.
        DataError: If a score is NaN, or `size` is not between 1 and the number of units.
    """
    hits = size * precision_at_k(scores, truth, k=size)
    return 2 * hits / (size + int(truth.sum()))


def oracle_f1(scores: Float[Tensor, " unit"], truth: Bool[Tensor, " unit"]) -> float:
    """Best F1 over all thresholds on the score: an upper bound, since the truth chose it.

    Tied units are in the circuit together or not at all. What a method finds is `f1_at_size`, at
    a size fixed beforehand.

    Raises:
        OneClassError: If `truth` is all true or all false.
        DataError: If a score is NaN.

    Example:
        >>> import torch
        >>> oracle_f1(torch.tensor([3.0, 2.0, 1.0]), torch.tensor([False, True, False]))
        0.6666666666666666
    """
    hits, false = _steps(*_checked(scores, truth))
    return float((2 * hits / (hits + false + hits[-1])).max())


def repo_f1(scores: Float[Tensor, " unit"], truth: Bool[Tensor, " unit"]) -> float:
    """Best harmonic mean of sensitivity and specificity over all thresholds (paper mode only).

    This is what the discrete autoencoder's authors call F1. It is not F1: it ignores how rare
    true units are, and the threshold is chosen on the truth. Use `f1_at_size` for findings.

    Raises:
        OneClassError: If `truth` is all true or all false.
        DataError: If a score is NaN.
    """
    hits, false = _steps(*_checked(scores, truth))
    sensitivity, specificity = hits / hits[-1], 1 - false / false[-1]
    total = sensitivity + specificity
    return float((2 * sensitivity * specificity / np.where(total > 0, total, 1)).max())


def hanley_mcneil_interval(
    auc: float, *, n_true: int, n_false: int, level: float = 0.95
) -> Interval:
    """Normal interval of an area under the ROC curve over `n_true + n_false` units, in [0, 1].

    It treats units as drawn at random, which the heads of one model are not: read it as how
    much the area could move with other heads of the same kind. It has no width at 0 and at 1.

    Raises:
        DataError: If `auc` or `level` is out of range.
        OneClassError: If a class is empty.

    References:
        Hanley and McNeil, "The Meaning and Use of the Area under a ROC Curve", 1982.
    """
    check_level(level)
    if not 0 <= auc <= 1:
        raise DataError(f"auc is {auc}: an area lies between 0 and 1.")
    if n_true < 1 or n_false < 1:
        raise OneClassError(f"there are {n_true} true and {n_false} false units: both are needed.")
    both_true, both_false = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc)
    variance += (n_true - 1) * (both_true - auc**2) + (n_false - 1) * (both_false - auc**2)
    error = math.sqrt(max(variance, 0.0) / (n_true * n_false))
    reach = NormalDist().inv_cdf((1 + level) / 2) * error
    return Interval(max(auc - reach, 0.0), auc, min(auc + reach, 1.0))


def average_precision_interval(precision: float, *, n_true: int, level: float = 0.95) -> Interval:
    """Score interval of an average precision, taken as a share of the true units, in [0, 1].

    Over units of the one model, as in `hanley_mcneil_interval`: what it says is how far the figure
    could move with other true units of the same kind. It leaves out that other prompts would call
    other units true. Of scores planted for 4 to 38 of 270 units, from chance to nearly exact, it
    covered the value of the population in 89 to 100 % of 600 draws, least with 4. It has a width
    everywhere, at 1 too, where bootstraps of units and the interval of a logit have none.

    Args:
        precision: The average precision.
        n_true: True units that it is a mean over.
        level: Share of the mass inside, between 0 and 1.

    Raises:
        DataError: If `precision` or `level` is out of range.
        OneClassError: If no unit is true.

    Example:
        >>> for precision in (0.5, 1.0):
        ...     found = average_precision_interval(precision, n_true=24)
        ...     round(found.low, 2), round(found.high, 2)
        (0.31, 0.69)
        (0.86, 1.0)

    References:
        Boyd, Eng and Page, "Area under the Precision-Recall Curve: Point Estimates and Confidence
        Intervals", 2013, for an area as a share of the true units; Wilson, "Probable Inference, the
        Law of Succession, and Statistical Inference", 1927, for the interval of a share.
    """
    check_level(level)
    if not 0 <= precision <= 1:
        raise DataError(f"precision is {precision}: an average precision lies between 0 and 1.")
    if n_true < 1:
        raise OneClassError(f"there are {n_true} true units: at least 1 is needed.")
    square = NormalDist().inv_cdf((1 + level) / 2) ** 2 / n_true
    middle = (precision + square / 2) / (1 + square)
    reach = math.sqrt(square * (precision * (1 - precision) + square / 4)) / (1 + square)
    low, high = max(middle - reach, 0.0), min(middle + reach, 1.0)
    return Interval(min(low, precision), precision, max(high, precision))


def spearman(first: Float[Tensor, " unit"], second: Float[Tensor, " unit"]) -> float:
    """Correlation of the ranks of two scores; tied values share their mean rank.

    Raises:
        DataError: If a value is NaN, or all values of one score are equal.

    Example:
        >>> import torch
        >>> spearman(torch.tensor([1.0, 2.0, 30.0]), torch.tensor([-1.0, -2.0, -2.5]))
        -1.0
    """
    ranks = []
    for name, scores in (("first", first), ("second", second)):
        values = _numbers(scores)
        if len(np.unique(values)) < 2:
            raise DataError(f"the {name} score is the same for every unit: it has no ranking.")
        ranks.append(rankdata(values))
    one, two = (rank - rank.mean() for rank in ranks)
    return float((one * two).sum() / math.sqrt((one**2).sum() * (two**2).sum()))


def faithfulness(m_circuit: float, m_empty: float, m_full: float) -> float:
    """Share of the way from the empty circuit to the whole model that a circuit gets.

    1 is the aim, not as much as possible; it can exceed 1 or be negative and is not clipped.
    All three must be of one metric, one set of prompts and one ablation.

    Raises:
        DataError: If the whole model does no better than the empty circuit, or differently only
            by nothing: there is nothing to be faithful to.

    Example:
        >>> faithfulness(3.0, m_empty=1.0, m_full=5.0)
        0.5
    """
    if m_full == m_empty:
        raise DataError(
            f"the metric is {m_full} with the whole model and with every unit ablated, so "
            "faithfulness does not exist: use a task or an ablation that changes the metric."
        )
    return (m_circuit - m_empty) / (m_full - m_empty)


def faithfulness_areas(
    shares: Float[Tensor, " value"], faithful: Float[Tensor, " value"]
) -> tuple[float, float]:
    """Area under faithfulness, and area between it and 1, over the share of edges or nodes kept.

    MIB's CPR and CMD, by the trapezoid rule on a linear axis over the shares given, in increasing
    order. For the first more is better, for the second 0 is best.

    References:
        Mueller et al., "MIB: A Mechanistic Interpretability Benchmark", 2025 (arXiv 2504.13151).
    """
    share, value = _numbers(shares), _numbers(faithful)
    if len(share) != len(value) or len(share) < 2 or not (np.diff(share) > 0).all():
        raise DataError("give at least two shares, increasing, with one faithfulness each.")
    return float(np.trapezoid(value, share)), float(np.trapezoid(np.abs(1 - value), share))


def overlap_p_value(*, n_units: int, n_true: int, n_chosen: int, n_hits: int) -> float:
    """Probability that a random choice of `n_chosen` units has at least `n_hits` true ones.

    Example:
        >>> overlap_p_value(n_units=4, n_true=2, n_chosen=2, n_hits=1)
        0.8333333333333334
    """
    return float(hypergeom.sf(n_hits - 1, n_units, n_true, n_chosen))


def _steps(values: Numbers, true: NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
    """True and false units at or above each distinct score, from the highest score down."""
    _, place = np.unique(-values, return_inverse=True)
    hits = np.bincount(place, weights=true).cumsum()
    false = np.bincount(place, weights=~true).cumsum()
    return hits, false


def _numbers(scores: Tensor) -> Numbers:
    values: Numbers = scores.detach().cpu().double().numpy()
    if np.isnan(values).any():
        unit = int(np.isnan(values).argmax())
        raise DataError(f"the score of unit {unit} is NaN: leave the unit out or give it a score.")
    return values


def _checked(scores: Tensor, truth: Tensor) -> tuple[Numbers, NDArray[np.bool_]]:
    true: NDArray[np.bool_] = truth.cpu().numpy()
    if scores.shape != truth.shape:
        raise DataError(f"there are {len(scores)} scores and {len(truth)} truths: give one each.")
    if true.all() or not true.any():
        raise OneClassError(
            f"all {len(true)} units are {'true' if true.all() else 'false'}: a ranking can only "
            "be judged with units of both kinds."
        )
    return _numbers(scores), true
