"""Circuits and parts of circuits drawn at random: what a circuit is held against."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from needlepoint._core.errors import DataError


def size_matched(
    kept: Bool[Tensor, " unit"], n: int, generator: torch.Generator
) -> Bool[Tensor, "resample unit"]:
    """Circuits of as many units as this one, drawn from all units."""
    return layer_matched(kept, torch.zeros(len(kept), dtype=torch.long), n, generator)


def layer_matched(
    kept: Bool[Tensor, " unit"],
    layer_of: Int[Tensor, " unit"],
    n: int,
    generator: torch.Generator,
) -> Bool[Tensor, "resample unit"]:
    """Circuits with as many units in each layer as this one has there.

    Late layers, or the first one, can matter for any circuit; against these a circuit must show
    more than that it is of the right layers. Where a layer is wholly inside, every draw has it.

    Example:
        >>> kept, layers = torch.tensor([1, 0, 0, 1]).bool(), torch.tensor([0, 0, 1, 1])
        >>> found = layer_matched(kept, layers, 50, torch.Generator().manual_seed(0))
        >>> found[:, :2].sum(1).unique().tolist(), found.float().mean(0).min() > 0.2
        ([1], tensor(True))
    """
    keys = torch.rand(n, len(kept), generator=generator)
    drawn = torch.zeros(n, len(kept), dtype=torch.bool)
    for layer in torch.unique(layer_of).tolist():
        members = (layer_of == layer).nonzero()[:, 0]
        size = int(kept[members].sum())
        first = keys[:, members].argsort(1)[:, :size]
        drawn.scatter_(1, members[first], True)
    return drawn


def random_subsets(
    kept: Bool[Tensor, " unit"], n: int, generator: torch.Generator
) -> Bool[Tensor, "resample unit"]:
    """Parts of a circuit: each of a size drawn evenly from 0 to all, then at random.

    Raises:
        DataError: If the circuit is empty.
    """
    size = int(kept.sum())
    if size == 0:
        raise DataError("the circuit is empty: there is nothing to take out of it.")
    sizes = torch.randint(size + 1, (n, 1), generator=generator)
    keys = torch.rand(n, len(kept), generator=generator).masked_fill(~kept, 2.0)
    return (keys.argsort(1).argsort(1) < sizes) & kept
