"""Whether the leading heads would be the same with another seed, or with other prompts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.calibrated.design import Design

STABLE = 0.5
"""Least Jaccard index of a stable choice: two sets of k then share two thirds of their heads."""
LEVEL = 0.95

ScoreRows = Callable[[Int[Tensor, " example"]], Tensor]
"""Scores of all heads from some of the examples, repeats allowed."""


@dataclass(frozen=True, eq=False)
class SeedStability:
    """Where each head stands in the rankings of several seeds."""

    share_in_top: Float[Tensor, " head"]
    """Share of seeds in which the head is among the first k; heads that tie for the last places
    share them."""
    mean_rank: Float[Tensor, " head"]
    """Mean place over seeds, from 1; ties have the mean of their places."""
    k: int


@dataclass(frozen=True)
class PromptStability:
    """How far the first k heads stay the first k when prompts are drawn anew."""

    jaccard: float
    """Mean overlap with the first k on all prompts, as a share of the union."""
    low: float
    high: float
    """Percentiles 2.5 and 97.5 of the overlap over resamples."""
    k: int
    n_resamples: int

    @property
    def verdict(self) -> Literal["stable", "unstable"]:
        """Stable if the lower end of the interval is at least 0.5.

        In 39 of 40 resamples or more, at least two thirds of the k heads stay.
        """
        return "stable" if self.low >= STABLE else "unstable"


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


def prompt_stability(
    score: ScoreRows, design: Design, k: int, generator: torch.Generator, *, n_resamples: int = 200
) -> PromptStability:
    """Redo a ranking on resamples of the prompts and see how many of the first k heads stay.

    Whole pairs, or whole groups where there are groups, are drawn with replacement, as many as
    there are. Ties are broken by the order of heads, the same way each time.

    Args:
        score: From row numbers to scores; what was trained stays as it was trained.
        design: Says which examples go together.
        k: Size of the choice.
        generator: Source of the resamples.
        n_resamples: How many.

    Raises:
        DataError: If `k` is not between 1 and the number of heads, or `n_resamples` is below 2.
    """
    if n_resamples < 2:
        raise DataError(f"n_resamples is {n_resamples}: give at least 2, better 200.")
    blocks = torch.from_numpy(design.block_of)
    members = [(blocks == one).nonzero()[:, 0] for one in range(int(blocks.max()) + 1)]
    whole = score(torch.arange(len(design)))
    _check_k(k, len(whole))
    top = _top(whole, k)
    overlaps = []
    for _ in range(n_resamples):
        drawn = torch.randint(len(members), (len(members),), generator=generator)
        again = _top(score(torch.cat([members[one] for one in drawn.tolist()])), k)
        overlaps.append(len(top & again) / len(top | again))
    found = torch.tensor(overlaps, dtype=torch.float64)
    ends = torch.tensor([(1 - LEVEL) / 2, (1 + LEVEL) / 2], dtype=torch.float64)
    low, high = torch.quantile(found, ends).tolist()
    return PromptStability(float(found.mean()), low, high, k, n_resamples)


def _top(scores: Tensor, k: int) -> set[int]:
    return set(scores.argsort(descending=True, stable=True)[:k].tolist())


def _check_k(k: int, n_heads: int) -> None:
    if not 1 <= k <= n_heads:
        raise DataError(f"k is {k}: it must be between 1 and {n_heads}, the number of heads.")
