"""The best single cut on every neuron: exact, over all cuts and both directions.

Each neuron is sorted once and the order is shared by all features. Cuts fall only between
distinct values, so equal activations are always called alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint.probing.checks import check_data
from needlepoint.probing.cuts import best_cut
from needlepoint.probing.falling import midpoints as midpoints


@dataclass(frozen=True)
class BestThreshold:
    """For each feature and neuron the cut with the highest F1, and that F1."""

    f1: Float[Tensor, "feature neuron"]
    """F1 on the examples it was chosen on, hence optimistic; float64."""
    threshold: Float[Tensor, "feature neuron"]
    """In units of the activations, in their precision (at least float32).

    It is `-inf` where calling everything positive is best: the neuron is of no use.
    """
    sign: Int[Tensor, "feature neuron"]
    """+1: positive above the threshold. -1: positive below it."""


def best_threshold_f1(
    acts: Float[Tensor, "example neuron"], labels: Bool[Tensor, "example feature"]
) -> BestThreshold:
    """Highest F1 that one cut on one neuron can reach, for every neuron and feature.

    All cuts and both signs are searched, among them "everything is positive", whose F1 is
    `2p / (1 + p)`. A cut lies halfway between two neighbouring values. Among equal F1 the sign +1
    comes first, then the highest threshold.

    It is the best on these examples: apply it to others with `f1_at` before believing it.

    Raises:
        DataError: If activations are not finite or do not match the labels.
        OneClassError: If a feature has one class only.

    Example:
        >>> acts = torch.tensor([[0.0], [1.0], [4.0], [6.0]])
        >>> best = best_threshold_f1(acts, torch.tensor([[True], [True], [False], [False]]))
        >>> best.f1.item(), best.threshold.item(), best.sign.item()
        (1.0, 2.5, -1)
    """
    check_data(acts, labels)
    best = best_cut(acts, labels, "f1")
    return BestThreshold(best.value, best.threshold, best.sign)


@dataclass(frozen=True)
class Calls:
    """How thresholds chosen elsewhere fare on some examples, for each feature and neuron."""

    hits: Float[Tensor, "feature neuron"]
    """Positives called positive."""
    called: Float[Tensor, "feature neuron"]
    n_positive: Float[Tensor, "feature 1"]
    n_examples: int

    @property
    def f1(self) -> Float[Tensor, "feature neuron"]:
        """F1, `2 TP / (called + n_pos)`: 0 when nothing is called, as every positive is missed."""
        return 2 * self.hits / (self.called + self.n_positive)

    @property
    def f1_standard_error(self) -> Float[Tensor, "feature neuron"]:
        """Standard error of F1 by the delta method, examples taken as independent."""
        hit = self.hits / self.n_examples
        miss = (self.called + self.n_positive - 2 * self.hits) / self.n_examples
        spread = (4 * hit * miss * (hit + miss) / self.n_examples).sqrt()
        return spread / (2 * hit + miss).square()


def calls_at(
    acts: Float[Tensor, "example neuron"],
    threshold: Float[Tensor, "feature neuron"],
    sign: Int[Tensor, "feature neuron"],
    labels: Bool[Tensor, "example feature"],
) -> Calls:
    """What thresholds chosen elsewhere call positive on these examples.

    Raises:
        DataError: If activations are not finite or do not match the labels.
        OneClassError: If a feature has one class only.
    """
    check_data(acts, labels)
    hits, counts = [], []
    for cut, side, label in zip(threshold, sign, labels.T, strict=True):
        called = torch.where(side > 0, acts > cut, acts < cut)
        hits.append((called & label[:, None]).sum(0, dtype=torch.float64))
        counts.append(called.sum(0, dtype=torch.float64))
    n_positive = labels.sum(0, dtype=torch.float64)[:, None]
    return Calls(torch.stack(hits), torch.stack(counts), n_positive, len(labels))


def f1_at(
    acts: Float[Tensor, "example neuron"],
    threshold: Float[Tensor, "feature neuron"],
    sign: Int[Tensor, "feature neuron"],
    labels: Bool[Tensor, "example feature"],
) -> Float[Tensor, "feature neuron"]:
    """F1 of thresholds chosen elsewhere, on these examples, in float64; see `calls_at`."""
    return calls_at(acts, threshold, sign, labels).f1
