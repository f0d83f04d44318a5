"""Scores of heads by each dictionary of an ensemble alone, from what has been trained already.

A score is the mean over its ensemble, so it is steadier than any of these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint.circuits import codes as counting
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.calibrated.nulls import HeadTest
from needlepoint.circuits.code_pairs import edge_counts, pairs_unique_to_clean
from needlepoint.circuits.head_data import HeadData
from needlepoint.circuits.scores import HeadScore, codes_of

BySeed = Callable[[HeadData, torch.Generator], Tensor]
"""Scores of all heads, `[seed head]`. The generator is that of the score, by which its trained
ensemble is found again."""


def discrete_sae(data: HeadData, generator: torch.Generator) -> Float[Tensor, "seed head"]:
    """The score `discrete_sae` by each dictionary."""
    return _unique(data, data.autoencoder, generator)


def discrete_sae_edges(data: HeadData, generator: torch.Generator) -> Float[Tensor, "seed head"]:
    """The score `discrete_sae_edges` by each dictionary."""
    n_codes = data.autoencoder.codebook
    counts = [
        edge_counts(pairs_unique_to_clean(codes, data.is_clean, n_codes=n_codes).unique)
        for codes in codes_of(data, data.autoencoder, generator)
    ]
    return torch.stack(counts).double()


def untrained_codes(data: HeadData, generator: torch.Generator) -> Float[Tensor, "seed head"]:
    """The score `untrained_codes` by each encoder."""
    return _unique(data, replace(data.autoencoder, n_steps=0), generator)


def distinct_codes(data: HeadData, generator: torch.Generator) -> Float[Tensor, "seed head"]:
    """The score `distinct_codes` by each dictionary."""
    counts = [
        counting.distinct_codes(codes, n_codes=data.autoencoder.codebook)
        for codes in codes_of(data, data.autoencoder, generator)
    ]
    return torch.stack(counts).double()


BY_SEED: Mapping[str, BySeed] = {
    "discrete_sae": discrete_sae,
    "discrete_sae_edges": discrete_sae_edges,
    "untrained_codes": untrained_codes,
    "distinct_codes": distinct_codes,
}
"""The scores that count codes of an ensemble, by name."""


def scores_by_seed(
    part: HeadScore, test: HeadTest | None, data: HeadData, generator: torch.Generator
) -> Float[Tensor, "seed head"] | None:
    """A score by each dictionary of its ensemble; None if it has none, or has trained but one.

    Args:
        part: The score.
        test: What it says of all heads, if it is a score that has a test.
        data: What it was made of.
        generator: The score's own, in the state in which it was made.

    Example:
        >>> from needlepoint.circuits.scores import HEAD_SCORES
        >>> clean, corrupt = torch.randn(2, 12, 3, 4, generator=torch.Generator().manual_seed(0))
        >>> settings = Autoencoder(n_codes=8, n_steps=5, n_seeds=2)
        >>> layers, weights = torch.zeros(3).long(), torch.eye(4, 6).repeat(3, 1, 1)
        >>> data = HeadData(clean, corrupt, weights, layers, autoencoder=settings)
        >>> part = HEAD_SCORES["discrete_sae"]
        >>> found = scores_by_seed(part, None, data, part.generator(0))
        >>> found.shape, torch.equal(found.mean(0), part.score(data, part.generator(0)))
        (torch.Size([2, 3]), True)
    """
    if test is not None:
        return torch.stack([part.of_test(one) for one in test.seeds]) if test.seeds else None
    if part.name not in BY_SEED or data.autoencoder.n_seeds == 1:
        return None
    return BY_SEED[part.name](data, generator)


def _unique(
    data: HeadData, settings: Autoencoder, generator: torch.Generator
) -> Float[Tensor, "seed head"]:
    counts = [
        counting.codes_unique_to_clean(codes, data.is_clean, n_codes=settings.codebook)
        for codes in codes_of(data, settings, generator)
    ]
    return torch.stack(counts).double()
