"""Every way of ranking the neurons of a layer for a feature, by name.

Larger scores are better; the scales of two rankings have nothing to do with one another. Each
neuron also has a sign: whether it is high or low on the feature. `mean_difference_std` and
`f_statistic` are one ranking under two names, as `F = n p (1 - p) d**2`; the raw `mean_difference`
is another, since neurons differ in spread. The paper divides every neuron by its standard deviation
first, so that what it calls mean difference is the standardised one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint._core.registry import Registry
from needlepoint._core.seeds import seed_for
from needlepoint.probing import rankings
from needlepoint.probing.checks import check_data
from needlepoint.probing.cuts import best_cut, score_cuts
from needlepoint.probing.l1_logistic import fit_l1_logistic
from needlepoint.probing.linear_svm import linear_svm as svm_weights
from needlepoint.probing.mutual_information import mutual_information as information

PAPER_PREFILTER = 512
"""Neurons that the paper's comparison of rankings is drawn from, by mean difference."""
PAPER_C = 0.1
"""Weight of the loss against the L1 penalty in the paper, on neurons of standard deviation 0.1."""
PAPER_SPREAD = 0.1

Compute = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]
"""Scores, and directions: positive or negative, 0 where the method has none. All
`[feature, neuron]`."""


@dataclass(frozen=True)
class RankingMethod:
    """One way of ranking neurons, with what a reader should know of it."""

    name: str
    label: str
    """Name for people, a few words."""
    description: str
    """One line: what a high score means."""
    joint: bool
    """Whether the score of a neuron depends on which others are ranked with it."""
    control: bool
    """Whether it is there to be beaten: it knows nothing of the labels."""
    compute: Compute

    def score(
        self,
        acts: Float[Tensor, "example neuron"],
        labels: Bool[Tensor, "example feature"],
        *,
        seed: int = 0,
    ) -> Float[Tensor, "feature neuron"]:
        """One finite number for each feature and neuron, larger for a better neuron; float64.

        Raises:
            DataError: If activations are not finite or do not match the labels.
            OneClassError: If a feature has one class only.
        """
        check_data(acts, labels)
        return self.compute(acts, labels, seed)[0].double()


@dataclass(frozen=True)
class Ranking:
    """Neurons of a layer in the order of one ranking, for each feature."""

    scores: Float[Tensor, "feature neuron"]
    """Float64; -inf for neurons that the prefilter left out."""
    sign: Int[Tensor, "feature neuron"]
    """+1 for a neuron that is high on the feature, -1 for one that is low."""
    order: Int[Tensor, "feature k"]
    """All neurons, best first; equal scores by index, constant neurons last."""
    seconds: float
    """Wall-clock time of the selection."""


RANKINGS: Registry[RankingMethod] = Registry("ranking")
"""The registered rankings, in the order in which tables show them."""


def ranking_method(
    label: str, description: str, *, joint: bool = False, control: bool = False
) -> Callable[[Compute], Compute]:
    """Return a decorator that files a function of `(acts, labels, seed)` under its own name."""

    def file(compute: Compute) -> Compute:
        name = compute.__name__
        RANKINGS.add(name)(RankingMethod(name, label, description, joint, control, compute))
        return compute

    return file


def rank(
    method: str,
    acts: Float[Tensor, "example neuron"],
    labels: Bool[Tensor, "example feature"],
    *,
    seed: int = 0,
    prefilter: int | None = None,
) -> Ranking:
    """Rank the neurons of a layer by one method, for all features at once.

    Give training examples: what is ranked on them must be judged on others.

    Args:
        method: Name in `RANKINGS`.
        acts: Activations of the layer.
        labels: Whether each example has each feature.
        seed: Root seed of the methods that draw.
        prefilter: Rank only this many neurons, those with the largest standardised mean
            difference, with 512 as in the paper; the others follow in the order of theirs. By
            default the whole layer is ranked.

    Raises:
        UnknownNameError: If there is no such method.
        DataError: If `prefilter` is below 1, activations are not finite or do not match the labels.
        OneClassError: If a feature has one class only.

    Example:
        >>> acts = torch.tensor([[0.0, 5.0], [0.0, 6.0], [1.0, 1.0], [0.0, 0.0]])
        >>> labels = torch.tensor([[True], [True], [False], [False]])
        >>> ranking = rank("auc", acts, labels)
        >>> ranking.order.tolist(), ranking.sign.tolist()
        ([[1, 0]], [[-1, 1]])
    """
    chosen = RANKINGS[method]
    check_data(acts, labels)
    if prefilter is not None and prefilter < 1:
        raise DataError(f"prefilter must be at least 1, not {prefilter}; the paper has 512.")
    begin = time.perf_counter()
    differences = rankings.mean_difference(acts, labels)
    if prefilter is None or prefilter >= acts.shape[1]:
        scores, direction = chosen.compute(acts, labels, seed)
        order = _order(scores, acts)
    else:
        spread = rankings.mean_difference_std(acts, labels)
        first = _order(spread, acts)
        kept = first[:, :prefilter]
        scores, direction = _within(chosen, acts, labels, seed, kept)
        inside = kept.gather(1, _order(scores.gather(1, kept), None))
        order = torch.cat([inside, first[:, prefilter:]], dim=1)
    sign = torch.where(direction != 0, direction, differences)
    seconds = time.perf_counter() - begin
    return Ranking(scores.double(), torch.where(sign < 0, -1, 1), order, seconds)


def _within(
    method: RankingMethod, acts: Tensor, labels: Tensor, seed: int, kept: Int[Tensor, "feature k"]
) -> tuple[Tensor, Tensor]:
    """Scores and directions on some neurons of each feature; -inf and 0 on the others."""
    shape = labels.shape[1], acts.shape[1]
    scores = acts.new_full(shape, -torch.inf, dtype=torch.float64)
    direction = torch.zeros_like(scores)
    if not method.joint:
        every, side = method.compute(acts, labels, seed)
        scores.scatter_(1, kept, every.double().gather(1, kept))
        return scores, direction.scatter_(1, kept, side.double().gather(1, kept))
    for feature, neurons in enumerate(kept):
        neurons = neurons.sort().values
        own = method.compute(acts[:, neurons], labels[:, [feature]], seed)
        scores[feature, neurons], direction[feature, neurons] = (part[0].double() for part in own)
    return scores, direction


def _order(scores: Tensor, acts: Tensor | None) -> Tensor:
    """Neurons from the highest score to the lowest; constant ones after all others."""
    order = rankings.leading(scores, scores.shape[1])
    if acts is None:
        return order
    constant = (acts == acts[0]).all(0)[order].to(torch.int8)
    return order.gather(1, constant.sort(dim=1, stable=True).indices)


@ranking_method(
    "Mean difference",
    "Distance between the class means, in the units of the activations",
)
def mean_difference(acts: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Absolute difference of the class means."""
    difference = rankings.mean_difference(acts, labels)
    return difference.abs(), difference


@ranking_method(
    "Standardised mean difference",
    "Distance between the class means in units of the spread within the classes; orders as F does",
)
def mean_difference_std(acts: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Cohen's d, without its sign."""
    return rankings.mean_difference_std(acts, labels), rankings.mean_difference(acts, labels)


@ranking_method(
    "F statistic",
    "Variance between the classes over variance within; orders as the standardised difference does",
)
def f_statistic(acts: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """One-way analysis of variance."""
    return rankings.f_statistic(acts, labels), rankings.mean_difference(acts, labels)


@ranking_method(
    "Mutual information",
    "Nats that the activation tells of the label, by quantile bins; sees shapes other than a shift",
)
def mutual_information(acts: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Binned estimate, corrected for its bias."""
    n_bins = min(16, len(acts))
    return information(acts, labels, n_bins=n_bins), rankings.mean_difference(acts, labels)


@ranking_method(
    "AUC",
    "Chance that a positive and a negative example are ordered by the neuron, whichever way round",
)
def auc(acts: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Area under the curve, or that of the negated neuron if it is larger."""
    above = score_cuts(acts, labels, measures=()).auc
    return torch.maximum(above, 1 - above), above - 0.5


@ranking_method("Best F1", "F1 of the best cut on the neuron, over all cuts and both directions")
def best_f1(acts: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Highest F1 of a single cut."""
    best = best_cut(acts, labels, "f1")
    return best.value, best.sign


@ranking_method(
    "Best MCC", "Matthews correlation of the best cut on the neuron, over all cuts and directions"
)
def best_mcc(acts: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Highest Matthews correlation of a single cut; 0 for a constant neuron, which has none."""
    best = best_cut(acts, labels, "mcc")
    return best.value.nan_to_num(nan=0.0), best.sign


@ranking_method(
    "L1 logistic regression",
    "Weight in a sparse classifier on all neurons; those without one, by how near they are to one",
    joint=True,
)
def l1_logistic(acts: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Size of the weight; where it is 0, the share of the gradient it would take, less 1."""
    l1 = 1 / (PAPER_C * PAPER_SPREAD * len(acts))
    fits = fit_l1_logistic(acts, labels, l1=l1)
    waiting = (fits.gradient.abs() / l1 - 1).clamp(max=0.0)
    scores = torch.where(fits.weight == 0, waiting, fits.weight.abs())
    return scores, torch.where(fits.weight == 0, -fits.gradient, fits.weight)


@ranking_method(
    "Linear SVM", "Weight in a support vector machine on all standardised neurons", joint=True
)
def linear_svm(acts: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Size of the weight."""
    weight = svm_weights(acts, labels, seed=seed_for(seed, ranking="linear_svm"))
    return weight.abs(), weight


@ranking_method("Random", "A random order of the neurons", control=True)
def random(acts: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Uniform random numbers; with a prefilter, an order of the neurons within it."""
    generator = torch.Generator().manual_seed(seed_for(seed, ranking="random"))
    shape = labels.shape[1], acts.shape[1]
    drawn = torch.rand(shape, generator=generator, dtype=torch.float64).to(acts.device)
    return drawn, torch.zeros_like(drawn)
