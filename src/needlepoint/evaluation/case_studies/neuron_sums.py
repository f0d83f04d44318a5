"""A few neurons of one layer, added up with signs: found on training rows, cut on validation rows.

Neurons that each answer to many things can answer to one thing together: what they have in common
adds up, and what each does besides does not. No weight is fitted, only a sign for each neuron.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.probing.rankings import leading, mean_difference, mean_difference_std
from needlepoint.probing.scores import best_cut, confusion, roc_auc

POOL = 256
"""Neurons with the largest standardised mean difference, among which a sum is sought."""
SWAPS = 20
"""Rounds of exchanging one neuron of the sum for another."""


@dataclass(frozen=True, eq=False)
class SignedSum:
    """`sum_j sign_j * x_j / scale_j` over a few neurons of one layer, and its cut."""

    layer: int
    neurons: Int[Tensor, " k"]
    signs: Int[Tensor, " k"]
    scale: Float[Tensor, " k"]
    """Spread of each neuron on training rows, or 1 for activations as they are; float64."""
    cut: float
    """Call positive what lies above; chosen on validation rows."""
    f1_validation: float
    auc_validation: float

    def __call__(self, acts: Float[Tensor, "example neuron"]) -> Float[Tensor, " example"]:
        """The sum on each example, in float64."""
        return acts[:, self.neurons].double() @ (self.signs / self.scale)

    @property
    def sites(self) -> tuple[str, ...]:
        """The neurons' addresses."""
        return tuple(f"L{self.layer}.N{neuron}" for neuron in self.neurons.tolist())


def forward_sum(
    acts: Float[Tensor, "example neuron"], truth: Bool[Tensor, " example"], k: int
) -> Int[Tensor, " k"]:
    """The neurons whose signed sum, each in units of its spread, tells the feature best.

    Best is the difference of the class means of the sum over its spread within the classes. The
    neurons are added one by one, then exchanged one by one while that gains. It is a search, not
    a proof that no other set of that size does better. Give it training rows alone.

    Raises:
        DataError: If there are fewer neurons than asked for.
    """
    if not 1 <= k <= acts.shape[1]:
        raise DataError(f"k is {k}, but a layer has {acts.shape[1]} neurons; ask for fewer.")
    spread = mean_difference_std(acts, truth[:, None])
    pool = leading(spread, max(POOL, k))[0]
    gain, noise = _within(acts[:, pool].double(), truth)
    chosen: list[int] = []
    for _ in range(k):
        chosen.append(_best_addition(gain, noise, chosen))
    for _ in range(SWAPS):
        swapped = _best_swap(gain, noise, chosen)
        if swapped == chosen:
            break
        chosen = swapped
    return pool[torch.tensor(chosen)].sort().values


def fit_sum(
    acts: Float[Tensor, "example neuron"],
    truth: Bool[Tensor, " example"],
    train: Int[Tensor, "_"],
    validation: Int[Tensor, "_"],
    neurons: Int[Tensor, " k"],
    *,
    layer: int,
    scaled: bool = True,
) -> SignedSum:
    """The sum of given neurons: signs and spread of training rows, cut of validation rows.

    Args:
        acts: Activations of the layer on all rows.
        truth: Whether each row has the feature.
        train: Numbers of the rows that signs and spread come from.
        validation: Numbers of the rows that the cut is chosen on.
        neurons: The neurons to add up.
        layer: Number of the layer.
        scaled: Whether each neuron is taken in units of its spread, so that all count alike.
    """
    own = acts[train][:, neurons]
    signs = torch.where(mean_difference(own, truth[train, None])[0] < 0, -1, 1)
    spread = own.double().std(0) if scaled else torch.ones(len(neurons), dtype=torch.float64)
    scale = torch.where(spread > 0, spread, torch.ones_like(spread))
    draft = SignedSum(layer, neurons, signs, scale, 0.0, 0.0, 0.0)
    values, labels = draft(acts[validation])[:, None], truth[validation, None]
    cut = best_cut(values, labels)
    f1 = float(confusion(values > cut, labels).f1[0])
    auc = float(roc_auc(values, labels)[0])
    return SignedSum(layer, neurons, signs, scale, float(cut[0]), f1, auc)


def best_sum(
    layers: Sequence[tuple[int, Float[Tensor, "example neuron"]]],
    truth: Bool[Tensor, " example"],
    train: Int[Tensor, "_"],
    validation: Int[Tensor, "_"],
    k: int,
) -> SignedSum:
    """The sum of `k` neurons of one layer: the layer with the highest validation AUC, then F1."""
    found = [
        fit_sum(
            acts,
            truth,
            train,
            validation,
            forward_sum(acts[train], truth[train], k),
            layer=layer,
        )
        for layer, acts in layers
    ]
    return max(found, key=lambda one: (one.auc_validation, one.f1_validation))


def random_sums(
    acts: Float[Tensor, "example neuron"],
    truth: Bool[Tensor, " example"],
    train: Int[Tensor, "_"],
    validation: Int[Tensor, "_"],
    like: SignedSum,
    n: int,
    generator: torch.Generator,
) -> list[SignedSum]:
    """Sums of as many other neurons of the same layer, drawn at random, else made alike."""
    allowed = torch.ones(acts.shape[1], dtype=torch.bool)
    allowed[like.neurons] = False
    others, k = allowed.nonzero()[:, 0], len(like.neurons)
    if len(others) < k:
        raise DataError(
            f"the layer has {acts.shape[1]} neurons, too few to draw {k} others; ask for fewer."
        )
    drawn = (torch.randperm(len(others), generator=generator)[:k] for _ in range(n))
    return [
        fit_sum(acts, truth, train, validation, others[one].sort().values, layer=like.layer)
        for one in drawn
    ]


def _within(
    acts: Float[Tensor, "example neuron"], truth: Bool[Tensor, " example"]
) -> tuple[Float[Tensor, " neuron"], Float[Tensor, "neuron neuron"]]:
    """Mean differences in units of spread, made positive by signs; correlations within classes."""
    high, low = acts[truth], acts[~truth]
    gain = high.mean(0) - low.mean(0)
    rest = torch.cat([high - high.mean(0), low - low.mean(0)])
    noise = rest.T @ rest / len(acts)
    # A neuron that never changes can tell nothing; its spread is put at 1.
    spread = acts.std(0)
    spread = torch.where(spread > 0, spread, torch.ones_like(spread))
    unit = torch.where(gain < 0, -1.0, 1.0) / spread
    return gain * unit, noise * unit[:, None] * unit


def _best_addition(gain: Tensor, noise: Tensor, chosen: list[int]) -> int:
    """The neuron that makes the best sum with those chosen."""
    total = gain[chosen].sum() + gain
    variance = noise[chosen][:, chosen].sum() + 2 * noise[chosen].sum(0) + noise.diagonal()
    score = _separation(total, variance)
    score[chosen] = -torch.inf
    return int(score.argmax())


def _best_swap(gain: Tensor, noise: Tensor, chosen: list[int]) -> list[int]:
    """The best of all sets that differ in one neuron, or the same set if none is better."""
    best, score = chosen, _score(gain, noise, chosen)
    for at in range(len(chosen)):
        rest = chosen[:at] + chosen[at + 1 :]
        tried = [*rest, _best_addition(gain, noise, rest)]
        value = _score(gain, noise, tried)
        if value > score * (1 + 1e-9):
            best, score = tried, value
    return best


def _score(gain: Tensor, noise: Tensor, chosen: list[int]) -> float:
    return float(_separation(gain[chosen].sum(), noise[chosen][:, chosen].sum()))


def _separation(total: Tensor, variance: Tensor) -> Tensor:
    """Difference of the means over the spread; without spread, the difference decides alone."""
    return total / variance.clamp(min=1e-12).sqrt()
