"""The causal truth that scores are judged by: which heads matter, and how well circuits do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint.evaluation.intervals import Interval, Intervals, bootstrap_means

MIN_SHARE = 0.02
"""An effect counts from this share of the clean-minus-corrupt range."""
MIN_ERRORS = 3.0
"""And from this many standard errors."""
FOLLOWED = 5
"""Random orders of the heads, at most, that are cut at every size at which circuits are run."""


@dataclass(frozen=True)
class Truth:
    """The effect of every head with its interval, and which of them count."""

    effects: Intervals
    matters: Bool[Tensor, " head"]

    @property
    def size(self) -> Float[Tensor, " head"]:
        """How large each effect is, whatever its sign."""
        return self.effects.estimate.abs()

    @property
    def ranking(self) -> Int[Tensor, " head"]:
        """The heads that matter first, then the others, each from the largest effect down."""
        reach = self.size.max() + 1
        return (self.size + reach * self.matters).argsort(descending=True, stable=True)


def rule(metric: str) -> str:
    """By what rule a head counts as mattering, in words.

    Example:
        >>> rule("logit difference")
        'a head matters if resampling it moves the mean logit difference by more than 2% of the \
clean-minus-corrupt range and by more than 3 standard errors'
    """
    return (
        f"a head matters if resampling it moves the mean {metric} by more than {MIN_SHARE:.0%} "
        f"of the clean-minus-corrupt range and by more than {MIN_ERRORS:.0f} standard errors"
    )


def causal_truth(
    effects: Float[Tensor, "pair head"], *, value_range: float, generator: torch.Generator
) -> Truth:
    """Which heads matter, from their effects on each pair.

    Args:
        effects: Change of the metric on each pair with each head ablated.
        value_range: Clean minus corrupt metric, the scale that effects are held against.
        generator: Source of randomness of the bootstrap over pairs.
    """
    matters = heads_that_matter(effects, value_range)
    return Truth(bootstrap_means(effects, generator=generator), matters)


def heads_that_matter(
    effects: Float[Tensor, "pair head"], value_range: float
) -> Bool[Tensor, " head"]:
    """Which heads `rule` picks, of their effects on some pairs and the range of the metric.

    Example:
        >>> effects = torch.tensor([[1.0, 1.0, 0.01], [1.1, -1.0, 0.01]])
        >>> heads_that_matter(effects, 4.0).tolist()
        [True, False, False]
    """
    mean = effects.double().mean(0)
    error = effects.double().std(0) / len(effects) ** 0.5
    large: Tensor = mean.abs() > MIN_SHARE * abs(value_range)
    sure: Tensor = mean.abs() > MIN_ERRORS * error
    return large & sure


def nested_circuits(
    ranking: Int[Tensor, " head"], sizes: Sequence[int]
) -> Bool[Tensor, "resample head"]:
    """The circuits of the first heads of a ranking, one for each size.

    Example:
        >>> nested_circuits(torch.tensor([2, 0, 1]), [1, 2]).int()
        tensor([[0, 0, 1],
                [1, 0, 1]], dtype=torch.int32)
    """
    place = torch.empty_like(ranking)
    place[ranking] = torch.arange(len(ranking))
    return place[None, :] < torch.tensor(list(sizes))[:, None]


def random_orders(n_heads: int, n: int, generator: torch.Generator) -> Int[Tensor, "resample head"]:
    """All heads in so many random orders, whose first heads are random circuits of any size."""
    return torch.stack([torch.randperm(n_heads, generator=generator) for _ in range(n)])


def drawn_sizes(n: int, size: int, sizes: Sequence[int]) -> list[tuple[int, int]]:
    """At which sizes each of `n` random orders is cut: all at `size`, the first few at every size.

    Args:
        n: Random orders; a quarter of them is followed over all sizes, five at most.
        size: Of the circuit that is put forward, which is held against all of them.
        sizes: At which circuits are run, that one included.

    Example:
        >>> drawn_sizes(8, 3, [1, 3])[:5]
        [(0, 1), (0, 3), (1, 1), (1, 3), (2, 3)]
    """
    followed = max(1, min(FOLLOWED, n // 4))
    return [(draw, cut) for draw in range(n) for cut in (sizes if draw < followed else [size])]


def faithfulness_frame(
    ranked: Sequence[tuple[str, int, Interval]], drawn: Sequence[tuple[int, int, Interval]]
) -> pd.DataFrame:
    """The table of circuits that were run, at each size: ranked ones, then random ones.

    Args:
        ranked: By what the heads were ranked, how many were kept, the faithfulness.
        drawn: Which random order of the heads, how many were kept, the faithfulness.
    """
    rows = [
        {"size": n, "kind": "ranked", "ranked_by": by, "draw": 0, **_columns(found)}
        for by, n, found in ranked
    ]
    rows += [
        {"size": n, "kind": "random", "ranked_by": "random", "draw": draw, **_columns(found)}
        for draw, n, found in drawn
    ]
    names = ["size", "kind", "ranked_by", "draw", "faithfulness", "low", "high"]
    return pd.DataFrame(rows, columns=names)


def _columns(found: Interval) -> dict[str, float]:
    return {"faithfulness": found.estimate, "low": found.low, "high": found.high}
