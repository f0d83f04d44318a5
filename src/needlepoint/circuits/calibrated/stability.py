"""Whether the leading heads would be the same with another seed, or with other prompts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError

STABLE = 0.5
"""Least Jaccard index of a stable choice: two sets of k then share two thirds of their heads."""
N_RESAMPLES = 100
"""Resamples of the pairs; the ends of the interval are rough below some 40."""


@dataclass(frozen=True, eq=False)
class SeedStability:
    """Where each head stands in the rankings of several seeds."""

    share_in_top: Float[Tensor, " head"]
    """Share of seeds in which the head is among the first k; heads that tie for the last places
    share them."""
    mean_rank: Float[Tensor, " head"]
    """Mean place over seeds, from 1; ties have the mean of their places."""
    k: int


def seed_stability(scores: Float[Tensor, "seed head"], k: int) -> SeedStability:
    """Compare the rankings of several seeds, larger scores first.

    Raises:
        DataError: If `k` is not between 1 and the number of heads.

    Example:
        >>> found = seed_stability(torch.tensor([[3.0, 2.0, 1.0], [1.0, 2.0, 0.0]]), k=1)
        >>> found.share_in_top.tolist(), found.mean_rank.tolist()
        ([0.5, 0.5, 0.0], [1.5, 1.5, 3.0])
    """
    _check_k(k, scores.shape[1])
    above = (scores[:, None, :] > scores[:, :, None]).sum(-1)
    tied = (scores[:, None, :] == scores[:, :, None]).sum(-1)
    inside = ((k - above).clamp(min=0) / tied).clamp(max=1)
    ranks = above + (tied + 1) / 2
    return SeedStability(inside.double().mean(0), ranks.double().mean(0), k)


def drawn_counts(
    n_pairs: int,
    n_resamples: int,
    generator: torch.Generator,
    group_of: Int[Tensor, " pair"] | None = None,
) -> Int[Tensor, "resample pair"]:
    """How often each pair is drawn when as many as there are are drawn with replacement.

    Args:
        n_pairs: How many pairs there are.
        n_resamples: How many times they are drawn.
        generator: Source of the draws.
        group_of: Pairs that are drawn together; each alone unless given.

    Example:
        >>> counts = drawn_counts(4, 2, torch.Generator().manual_seed(0))
        >>> counts.shape, counts.sum(1).tolist()
        (torch.Size([2, 4]), [4, 4])
    """
    block_of = torch.arange(n_pairs)
    if group_of is not None:
        block_of = torch.unique(group_of.cpu()[:n_pairs], return_inverse=True)[1]
    n_blocks = int(block_of.max()) + 1
    drawn = torch.randint(n_blocks, (n_resamples, n_blocks), generator=generator)
    counts = torch.zeros(n_resamples, n_blocks, dtype=torch.int64)
    return counts.scatter_add_(1, drawn, torch.ones_like(drawn))[:, block_of]


def _check_k(k: int, n_heads: int) -> None:
    if not 1 <= k <= n_heads:
        raise DataError(f"k is {k}: it must be between 1 and {n_heads}, the number of heads.")
