"""How far apart the two classes lie on each neuron: all neurons and features at once.

Sums are taken in float64 on standardised columns, block by block of neurons. Paper: Gurnee et al.
2023 (arXiv 2305.01610); its released code calls these `mean_dif` and `f_stat`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.models.products import product
from needlepoint.probing.checks import check_data
from needlepoint.probing.columns import blocks
from needlepoint.probing.weights import contrast


def mean_difference(
    acts: Float[Tensor, "example neuron"], labels: Bool[Tensor, "example feature"]
) -> Float[Tensor, "feature neuron"]:
    """Difference of the class means on each neuron, positive minus negative, in float64.

    In the units of the activations: neurons of unlike spread are not comparable by it. Sort by
    absolute value: a neuron that is silent on the feature is evidence too.

    Raises:
        DataError: If activations are not finite or do not match the labels.
        OneClassError: If a feature has one class only.

    Example:
        >>> acts = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 5.0], [0.0, 7.0]])
        >>> mean_difference(acts, torch.tensor([[True], [True], [False], [False]]))
        tensor([[ 2., -6.]], dtype=torch.float64)
    """
    check_data(acts, labels)
    rows = contrast(labels)
    return torch.cat([rows @ part.z * part.sd for part in blocks(acts, torch.float64)], dim=1)


def mean_difference_std(
    acts: Float[Tensor, "example neuron"], labels: Bool[Tensor, "example feature"]
) -> Float[Tensor, "feature neuron"]:
    """Absolute mean difference in units of the pooled within-class spread (Cohen's d), in float64.

    The pooled variance is the within-class sum of squares over `n - 2`. One identity follows: the
    analysis-of-variance `F = n p (1 - p) d**2` with `p` the share of positives, so ranking by `F`
    and ranking by this are the same ranking (see `f_statistic`). The sign is that of
    `mean_difference`. A constant neuron separates nothing and gets 0; one that separates the
    classes with no spread inside them gets a finite value above 1e6, the limit of rounding.

    Raises:
        DataError: If there are fewer than three examples, or as in `mean_difference`.
        OneClassError: If a feature has one class only.

    Example:
        >>> acts = torch.tensor([[1.0], [3.0], [0.0], [-2.0]])
        >>> mean_difference_std(acts, torch.tensor([[True], [True], [False], [False]]))
        tensor([[2.1213]], dtype=torch.float64)
    """
    check_data(acts, labels)
    return class_moments(acts, labels, torch.float64).difference_std


@dataclass(frozen=True)
class ClassMoments:
    """Standardised class differences, and the moments that standardise each neuron."""

    difference_std: Float[Tensor, "feature neuron"]
    mean: Float[Tensor, " neuron"]
    sd: Float[Tensor, " neuron"]
    """1 for a constant neuron."""


def class_moments(
    acts: Float[Tensor, "example neuron"],
    labels: Bool[Tensor, "example feature"],
    dtype: torch.dtype,
) -> ClassMoments:
    """What `mean_difference_std` gives for data already checked, summed in a given precision.

    Raises:
        DataError: If there are fewer than three examples.
    """
    n, share = acts.shape[0], labels.to(torch.float64).mean(0)[:, None]
    if n < 3:
        raise DataError(f"a spread within two classes needs three examples or more, not {n}.")
    rows = contrast(labels).to(dtype)
    parts = [(product(rows, part.z), part.mean, part.sd) for part in blocks(acts, dtype)]
    difference, mean, sd = (torch.cat(part, dim=-1) for part in zip(*parts, strict=True))
    return ClassMoments(pooled_units(difference.double(), share, n), mean, sd)


def pooled_units(
    difference: Float[Tensor, "*batch"], share: Float[Tensor, "*#batch"], n: int
) -> Float[Tensor, "*batch"]:
    """Differences in total standard deviations, restated in pooled within-class ones; absolute.

    The within-class part of the variance is what `p (1 - p) difference**2` leaves of 1.
    """
    within = (1 - share * (1 - share) * difference.square()).clamp(min=1e-15)
    return difference.abs() / (within * n / (n - 2)).sqrt()


def f_statistic(
    acts: Float[Tensor, "example neuron"], labels: Bool[Tensor, "example feature"]
) -> Float[Tensor, "feature neuron"]:
    """One-way analysis-of-variance F of each neuron: `n p (1 - p) d**2`, in float64.

    It orders neurons exactly as `mean_difference_std` does; it is here to say so.

    Raises:
        DataError: As `mean_difference_std`.
        OneClassError: If a feature has one class only.
    """
    share = labels.to(torch.float64).mean(0)[:, None]
    return acts.shape[0] * share * (1 - share) * mean_difference_std(acts, labels).square()


def leading(scores: Float[Tensor, "feature neuron"], count: int) -> Int[Tensor, "feature k"]:
    """Indices of the `count` highest scores of each row, best first; ties by lower index.

    Example:
        >>> leading(torch.tensor([[1.0, 3.0, 3.0, 2.0]]), 3)
        tensor([[1, 2, 3]])
    """
    return torch.sort(scores, dim=1, descending=True, stable=True).indices[:, :count]
