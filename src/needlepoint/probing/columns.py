"""Standardised neurons, a few at a time: what every ranking and fit works on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

BLOCK_ELEMENTS = 5 * 2**16
"""Activations worked on at once on a CPU: a block and its scratch stay in the caches."""
BLOCK_ELEMENTS_CUDA = 2**25


@dataclass(frozen=True)
class Columns:
    """Some neurons, each shifted and scaled to mean 0 and standard deviation 1 over the examples.

    Example:
        >>> columns = standardise(torch.tensor([[0.0, 7.0], [2.0, 7.0]]))
        >>> columns.z.tolist(), columns.mean.tolist(), columns.sd.tolist()
        ([[-1.0, 0.0], [1.0, 0.0]], [1.0, 7.0], [1.0, 1.0])
    """

    z: Float[Tensor, "example neuron"]
    """A constant neuron is 0 throughout."""
    mean: Float[Tensor, " neuron"]
    """What was taken off, in the precision of `z`: the mean, but for its last digit."""
    sd: Float[Tensor, " neuron"]
    """What it was divided by, in the precision of `z`; 1 for a constant neuron."""


def standardise(acts: Float[Tensor, "example neuron"], dtype: torch.dtype | None = None) -> Columns:
    """Neurons at mean 0 and standard deviation 1, in a precision: by default at least float32.

    The mean is taken off twice, so that a small spread about a large mean is kept.
    """
    wide = acts.to(dtype or compute_dtype(acts))
    average = wide.new_full((1, len(wide)), 1 / len(wide))
    mean = average @ wide
    z = wide - mean
    rest = average @ z
    z -= rest
    mean, sd = (mean + rest)[0], (average @ z.square())[0].sqrt()
    # Only a spread of the size of rounding errors calls for a closer look.
    for column in (sd <= 1e-5 * acts[0].abs()).nonzero().flatten().tolist():
        if bool((acts[:, column] == acts[0, column]).all()):
            z[:, column], mean[column], sd[column] = 0.0, wide[0, column], 1.0
    z /= sd
    return Columns(z, mean, sd)


def blocks(
    acts: Float[Tensor, "example neuron"], dtype: torch.dtype | None = None
) -> Iterator[Columns]:
    """All neurons of a layer, standardised, in blocks small enough for the caches."""
    for block in split_neurons(acts):
        # A copy of the block first: passes over a slice of a wide matrix miss the caches.
        yield standardise(block.contiguous(), dtype)


def split_neurons(
    acts: Float[Tensor, "example neuron"],
) -> tuple[Float[Tensor, "example unit"], ...]:
    """The columns of a matrix in blocks of at least sixteen, the width of a cache line."""
    budget = BLOCK_ELEMENTS_CUDA if acts.is_cuda else BLOCK_ELEMENTS
    return torch.split(acts, max(1, budget // (16 * acts.shape[0])) * 16, dim=1)


def compute_dtype(acts: Tensor) -> torch.dtype:
    """Precision in which activations are worked on: their own, but at least float32."""
    return torch.promote_types(acts.dtype, torch.float32)
