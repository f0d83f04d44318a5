"""Whether a method would find the same circuit on other prompts of the same kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from scipy.stats import hypergeom
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.calibrated.stability import STABLE
from needlepoint.circuits.methods import CircuitMethod, Question
from needlepoint.evaluation.circuits.units import Units, first_units
from needlepoint.evaluation.intervals import Interval

Verdict = Literal["stable", "fair", "unstable"]
How = Literal["bootstrap", "halves", "seeds"]

MIN_PAIRS = 4
"""Fewer pairs than this are not drawn anew."""


@dataclass(frozen=True)
class Stability:
    """How far the first k units of a method stay the first k when prompts are drawn anew."""

    jaccard: Interval
    """Mean over repeats of the units in common as a share of those in either, between the 2.5 %
    and 97.5 % points over repeats; of seeds, which are few, between the least and the most."""
    chance: float
    """What two random choices of k units have on average."""
    k: int
    n_units: int
    n_resamples: int
    how: How
    """`bootstrap`: resamples of the pairs against all of them. `halves`: one half of the pairs
    against the other, which is stricter, as each has half the pairs and none in common. `seeds`:
    one seed against another, on the same pairs."""

    @classmethod
    def of(cls, overlaps: Sequence[float], *, k: int, n_units: int, how: How) -> Stability:
        """The stability that the Jaccard indices of all repeats amount to."""
        found = torch.tensor(overlaps, dtype=torch.float64)
        ends = [0.0, 1.0] if how == "seeds" else [0.025, 0.975]
        low, high = torch.quantile(found, torch.tensor(ends, dtype=found.dtype)).tolist()
        jaccard = Interval(low, float(found.mean()), high)
        return cls(jaccard, chance_jaccard(n_units, k), k, n_units, len(overlaps), how)

    @property
    def verdict(self) -> Verdict:
        """What the overlap amounts to, by the line that head scores are held to as well.

        `stable` if the lower end is at least 0.5, so that two thirds of the k units stay in 39 of
        40 repeats, or between all the seeds there were; `unstable` if the mean is below 0.5;
        `fair` in between.
        """
        if self.jaccard.low >= STABLE:
            return "stable"
        return "fair" if self.jaccard.estimate >= STABLE else "unstable"


def ranking_stability(
    whole: Float[Tensor, " unit"],
    again: Float[Tensor, "resample unit"],
    *,
    k: int,
    generator: torch.Generator,
) -> Stability:
    """The stability of a score that has been made again on resamples of the pairs.

    Args:
        whole: The score on all pairs, larger for better candidates.
        again: The same on each resample.
        k: Size of the circuit, fixed beforehand.
        generator: Breaks ties.

    Raises:
        DataError: If `k` is not between 1 and one less than the number of units, or there are
            fewer than two resamples.

    Example:
        >>> score, rng = torch.arange(8.0), torch.Generator().manual_seed(0)
        >>> found = ranking_stability(score, score.repeat(40, 1), k=2, generator=rng)
        >>> found.jaccard.low, found.verdict
        (1.0, 'stable')
    """
    _require(k, len(whole), len(again))
    overlaps = [ranking_overlap(whole, row, k=k, generator=generator) for row in again]
    return Stability.of(overlaps, k=k, n_units=len(whole), how="bootstrap")


def stability_over_seeds(
    scores: Sequence[Float[Tensor, " unit"]], *, k: int, generator: torch.Generator
) -> Stability:
    """How far the first k units are the same with another seed: every two seeds are compared.

    Args:
        scores: By each seed, larger for better candidates.
        k: Size of the circuit, fixed beforehand.
        generator: Breaks ties.

    Raises:
        DataError: If `k` is not between 1 and one less than the number of units, or there are
            fewer than two seeds.

    Example:
        >>> one, rng = torch.arange(8.0), torch.Generator().manual_seed(0)
        >>> found = stability_over_seeds([one, one, -one], k=2, generator=rng)
        >>> found.n_resamples, round(found.jaccard.estimate, 3), found.verdict
        (3, 0.333, 'unstable')
    """
    if len(scores) < 2:
        raise DataError(f"there is {len(scores)} seed: stability over seeds needs at least 2.")
    overlaps = [
        ranking_overlap(one, other, k=k, generator=generator)
        for one, other in combinations(scores, 2)
    ]
    return Stability.of(overlaps, k=k, n_units=len(scores[0]), how="seeds")


def stability(
    method: CircuitMethod,
    question: Question,
    units: Units,
    *,
    k: int,
    generator: torch.Generator,
    n_resamples: int = 20,
    how: How = "bootstrap",
) -> Stability:
    """Find a circuit again and again on resampled prompts and see how much of it stays.

    The method is run `n_resamples + 1` times, or twice for each repeat of `halves`: for a costly
    one, few repeats of `halves` say more than none. What the model is and how parts are ablated
    stays as it is.

    Args:
        method: Any registered method.
        question: The model and the pairs to draw from.
        units: Nodes or edges.
        k: Size of the circuit, fixed beforehand.
        generator: Source of the resamples.
        n_resamples: How many; the ends of the interval are rough below some 40.
        how: `bootstrap` or `halves`.

    Raises:
        DataError: If `k` is not between 1 and one less than the number of units, if there are
            fewer than two repeats or fewer than four pairs, or the method does not score such
            units.
    """
    (found,) = stabilities(
        method, question, [(units, k)], generator=generator, n_resamples=n_resamples, how=how
    )
    return found


def stabilities(
    method: CircuitMethod,
    question: Question,
    circuits: Sequence[tuple[Units, int]],
    *,
    generator: torch.Generator,
    n_resamples: int = 20,
    how: How = "bootstrap",
) -> list[Stability]:
    """The `stability` of several circuits of one method, of heads and of edges, from the same runs.

    Args:
        method: Any registered method.
        question: The model and the pairs to draw from.
        circuits: Units of each, and how many of them.
        generator: Source of the resamples.
        n_resamples: How many.
        how: `bootstrap` or `halves`.

    Raises:
        DataError: As `stability` does.
    """
    n_pairs = len(question.pairs)
    for units, k in circuits:
        _require(k, units.n, n_resamples, n_pairs)

    def tops(pairs: Int[Tensor, " pair"]) -> list[Tensor]:
        asked = replace(question, pairs=question.pairs.rows(pairs.to(question.model.device)))
        found = method.find(asked)
        return [top_units(units.strength(found), k, generator) for units, k in circuits]

    overlaps: list[list[float]] = [[] for _ in circuits]
    whole = tops(torch.arange(n_pairs)) if how == "bootstrap" else None
    for _ in range(n_resamples):
        if whole is None:
            first, second = (tops(half) for half in halves(n_pairs, generator))
        else:
            drawn = torch.randint(n_pairs, (n_pairs,), generator=generator)
            first, second = whole, tops(drawn.sort().values)
        for shares, one, other in zip(overlaps, first, second, strict=True):
            shares.append(jaccard(one, other))
    return [
        Stability.of(shares, k=k, n_units=units.n, how=how)
        for shares, (units, k) in zip(overlaps, circuits, strict=True)
    ]


def halves(n_pairs: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two random halves of the pairs, each in the order of the pairs.

    Example:
        >>> one, other = halves(6, torch.Generator().manual_seed(0))
        >>> sorted([*one.tolist(), *other.tolist()])
        [0, 1, 2, 3, 4, 5]
    """
    one, other = torch.randperm(n_pairs, generator=generator).chunk(2)
    return one.sort().values, other.sort().values


def ranking_overlap(
    one: Float[Tensor, " unit"],
    other: Float[Tensor, " unit"],
    *,
    k: int,
    generator: torch.Generator,
) -> float:
    """The Jaccard index of the first k units of two rankings.

    Raises:
        DataError: If `k` is not between 1 and one less than the number of units.

    Example:
        >>> score, rng = torch.arange(4.0), torch.Generator().manual_seed(0)
        >>> ranking_overlap(score, score, k=2, generator=rng)
        1.0
        >>> ranking_overlap(score, -score, k=2, generator=rng)
        0.0
    """
    _require(k, len(one))
    return jaccard(top_units(one, k, generator), top_units(other, k, generator))


def jaccard(one: Bool[Tensor, " unit"], other: Bool[Tensor, " unit"]) -> float:
    """Units in both sets as a share of those in either, at least one of which is not empty.

    Example:
        >>> jaccard(torch.tensor([True, True, False]), torch.tensor([False, True, False]))
        0.5
    """
    return int((one & other).sum()) / int((one | other).sum())


def chance_jaccard(n_units: int, k: int) -> float:
    """Mean Jaccard index of two sets of `k` units drawn at random from `n_units`.

    Example:
        >>> round(chance_jaccard(270, 25), 3)
        0.049
        >>> chance_jaccard(2, 1)
        0.5
    """
    hits = range(max(0, 2 * k - n_units), k + 1)
    return float(sum(hypergeom.pmf(hit, n_units, k, k) * hit / (2 * k - hit) for hit in hits))


def top_units(
    strength: Float[Tensor, " unit"], k: int, generator: torch.Generator
) -> Bool[Tensor, " unit"]:
    """The first k units, ties broken at random: in one order always, they would look stable.

    Example:
        >>> top_units(torch.tensor([1.0, 3.0, 2.0]), 2, torch.Generator().manual_seed(0)).tolist()
        [False, True, True]
    """
    order = torch.randperm(len(strength), generator=generator)
    top = torch.zeros(len(strength), dtype=torch.bool)
    top[order] = first_units(strength.cpu()[order], [k])[0]
    return top


def _require(k: int, n_units: int, n_resamples: int = 2, n_pairs: int = MIN_PAIRS) -> None:
    if not 1 <= k < n_units:
        raise DataError(f"k is {k}: it must be between 1 and {n_units - 1}, or all is the same.")
    if n_resamples < 2 or n_pairs < MIN_PAIRS:
        raise DataError(
            f"there are {n_resamples} resamples of {n_pairs} pairs: stability needs at least 2 "
            f"resamples and {MIN_PAIRS} pairs."
        )
