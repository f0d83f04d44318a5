"""Searches of equal size: what the best of fewer candidates would have scored, without drawing.

A model with more neurons has more to choose from, so that its best neuron looks better whatever
the model knows. Here every model is given as many candidates as the smallest has: the expected
score of the neuron that would be chosen from a random set of that many, over all such sets.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError

LEFT_OUT = 1e-9
"""Probability that may be left to ranks that are not looked at."""


def rank_weights(n: int, size: int, *, left_out: float = LEFT_OUT) -> Float[Tensor, " value"]:
    """Chance that the candidate of each rank is the best of a random set of `size` out of `n`.

    The one of rank `r` (from 0) is if it is in the set and none before it is:
    `size / (n - r) * prod_{i < r} (1 - size / (n - i))`. Exact, in float64; drawn without
    replacement. The list ends where less than `left_out` is left, and adds up to 1.

    Args:
        n: Candidates in all.
        size: Candidates in a set.
        left_out: Probability of all later ranks together that may be put on the last one.

    Raises:
        DataError: If the sets are empty or larger than what they are drawn from.

    Example:
        >>> [round(weight, 3) for weight in rank_weights(4, 2).tolist()]
        [0.5, 0.333, 0.167]
    """
    if not 1 <= size <= n:
        raise DataError(f"sets of {size} cannot be drawn from {n} candidates.")
    weights: list[float] = []
    left = 1.0
    for rank in range(n - size + 1):
        here = left * size / (n - rank)
        weights.append(here)
        left -= here
        if left <= left_out:
            break
    weights[-1] += max(left, 0.0)
    return torch.tensor(weights, dtype=torch.float64)


def expected_best(
    order: Int[Tensor, " value"], scores: Float[Tensor, " value"], size: int
) -> float:
    """Expected score of the candidate that comes first in `order` among a random set of `size`.

    Args:
        order: Numbers of all candidates, the one that is preferred first.
        scores: Score of each candidate, on rows that had no part in the order.
        size: Candidates in a set.
    """
    weights = rank_weights(len(order), size)
    return float(weights @ scores[order[: len(weights)]].double())


def matched_subsets(
    n_layers: int, width: int, size: int, generator: torch.Generator
) -> list[Int[Tensor, " neuron"]]:
    """A random set of about `size` neurons, as many in each layer, in increasing order.

    Raises:
        DataError: If there are fewer neurons.
    """
    share = size / (n_layers * width)
    if share > 1:
        raise DataError(f"{size} neurons cannot be drawn from {n_layers * width}.")
    count = max(1, math.floor(share * width + 0.5))
    return [
        torch.randperm(width, generator=generator)[:count].sort().values for _ in range(n_layers)
    ]
