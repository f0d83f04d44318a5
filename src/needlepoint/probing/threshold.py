"""The best single cut on every neuron: exact, over all cuts and both directions.

Each neuron is sorted once and the order is shared by all features. Cuts fall only between
distinct values, so equal activations are always called alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint.probing.checks import check_data
from needlepoint.probing.columns import compute_dtype, split_neurons


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
    found = [
        _best_of_block(block.contiguous().T.to(compute_dtype(acts)).contiguous(), labels)
        for block in split_neurons(acts)
    ]
    return BestThreshold(*(torch.cat(parts, dim=1) for parts in zip(*found, strict=True)))


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


def falling_order(
    rows: Float[Tensor, "neuron example"],
) -> tuple[Float[Tensor, "neuron example"], Int[Tensor, "neuron example"]]:
    """Each row from its highest value to its lowest, and where each value stood.

    Equal values come in any order. On a CPU numpy sorts: it uses the vector units.
    """
    if rows.device.type == "cpu":
        order = torch.from_numpy(np.argsort(rows.numpy(), axis=1)).flip(1)
    else:
        order = rows.argsort(dim=1, descending=True)
    return rows.gather(1, order), order


def ranks_for(rows: Float[Tensor, "neuron example"]) -> Float[Tensor, " example"]:
    """1, 2, ... up to the number of examples, in a precision that tells all F1 scores apart.

    Two different F1 scores of `n` examples differ by more than `1 / (2 n)**2`, so that float32
    does up to a thousand examples.
    """
    n = rows.shape[1]
    dtype = torch.float32 if n <= 1024 else torch.float64
    return torch.arange(1, n + 1, dtype=dtype, device=rows.device)


def cuts_of(falling: Float[Tensor, "*batch example"]) -> Bool[Tensor, "*batch example"]:
    """Where a cut may fall in rows of falling values: before a smaller value, and at the end."""
    last = torch.ones_like(falling[..., :1], dtype=torch.bool)
    return torch.cat([falling[..., :-1] > falling[..., 1:], last], dim=-1)


def midpoints(
    upper: Float[Tensor, "*batch"], lower: Float[Tensor, "*batch"], *, below: bool = False
) -> Float[Tensor, "*batch"]:
    """A value between two others that keeps them apart even when they are neighbouring floats.

    `upper > midpoint >= lower`, or with `below` set `upper >= midpoint > lower`.
    """
    middle = upper / 2 + lower / 2
    if below:
        return torch.where(middle > lower, middle, upper)
    return torch.where(middle < upper, middle, lower)


def _best_of_block(
    columns: Float[Tensor, "neuron example"], labels: Bool[Tensor, "example feature"]
) -> tuple[Tensor, Tensor, Tensor]:
    """F1, threshold and sign, each `[feature, neuron]`, from one sort of each column."""
    falling, order = falling_order(columns)
    cuts, ranks = cuts_of(falling).to(torch.float32), ranks_for(columns)
    after = torch.cat([falling[:, 1:], torch.full_like(falling[:, :1], -torch.inf)], dim=1)
    f1s, thresholds, signs = [], [], []
    for label in labels.T.to(torch.float32):
        n_positive = label.sum()
        true = label.expand_as(columns).gather(1, order).cumsum(1)
        called = ranks + n_positive
        above = (true * cuts).div(called).max(1)
        below = ((n_positive - true) * cuts).div(len(label) + 2 * n_positive - called).max(1)
        up = above.values >= below.values
        at = torch.where(up, above.indices, below.indices)
        upper, lower = _pick(falling, at), _pick(after, at)
        hits = torch.where(up, _pick(true, at), n_positive - _pick(true, at)).double()
        f1s.append(2 * hits / (torch.where(up, at + 1, len(label) - at - 1) + n_positive))
        middle = midpoints(upper, lower), midpoints(upper, lower, below=True)
        thresholds.append(torch.where(up, *middle))
        signs.append(torch.where(up, 1, -1))
    return torch.stack(f1s), torch.stack(thresholds), torch.stack(signs)


def _pick(
    table: Float[Tensor, "neuron example"], at: Int[Tensor, " neuron"]
) -> Float[Tensor, " neuron"]:
    return table.gather(1, at[:, None])[:, 0]
