"""How far an estimate could be off: percentile bootstrap, by example or by group."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from scipy.stats import t as student
from torch import Tensor

from needlepoint._core.errors import DataError

UNIT_BLOCK = 4096
"""Units resampled at a time: bounds memory at UNIT_BLOCK x resamples numbers."""


class Interval(NamedTuple):
    """An estimate and the range it is likely to lie in."""

    low: float
    estimate: float
    high: float


class Intervals(NamedTuple):
    """One interval for each unit."""

    low: Float[Tensor, " unit"]
    estimate: Float[Tensor, " unit"]
    high: Float[Tensor, " unit"]

    def of(self, unit: int) -> Interval:
        """The interval of one unit."""
        return Interval(*(float(part[unit]) for part in self))


Statistic = Callable[[Float[Tensor, "resample example"]], Float[Tensor, " resample"]]


def mean(values: Float[Tensor, "resample example"]) -> Float[Tensor, " resample"]:
    """Mean of each resample: the default statistic."""
    return values.mean(-1)


def bootstrap_interval(
    values: Float[Tensor, " example"],
    *,
    generator: torch.Generator,
    statistic: Statistic = mean,
    level: float = 0.95,
    n_resamples: int = 2000,
    groups: Int[Tensor, " example"] | None = None,
) -> Interval:
    """Percentile interval of a statistic, from resampling the examples, or whole groups of them.

    Resample what was drawn independently. For a head-level score that is the prompts the score
    came from, not the heads; for windows of text, the documents. To compare two methods pass
    their difference on each example: two intervals that overlap do not show that the methods
    are equal.

    Args:
        values: One number for each example.
        generator: Source of randomness; seed it with `seed_for`.
        statistic: Maps many resamples at once to one number each.
        level: Share of the mass inside, between 0 and 1.
        n_resamples: More makes the ends steadier; 2000 gives about two digits.
        groups: Group of each example. Groups are drawn whole, so resamples differ in length
            and are handed to `statistic` one at a time.

    Raises:
        DataError: If there are fewer than two examples or groups (no width is made up), a value
            is NaN, or `level` is out of range.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> bootstrap_interval(torch.ones(20), generator=rng)
        Interval(low=1.0, estimate=1.0, high=1.0)
    """
    _check(values[:, None], level)
    if groups is None:
        draws = _draw(len(values), n_resamples, generator).to(values.device)
        found = statistic(values[draws])
    else:
        members = [(groups == group).nonzero()[:, 0] for group in torch.unique(groups)]
        draws = _draw(len(members), n_resamples, generator)
        whole = (values[torch.cat([members[group] for group in draw])] for draw in draws.tolist())
        found = torch.cat([statistic(resample[None]) for resample in whole])
    low, high = _percentiles(found[:, None], level)
    return Interval(float(low[0]), float(statistic(values[None])[0]), float(high[0]))


def bootstrap_means(
    values: Float[Tensor, "example unit"],
    *,
    generator: torch.Generator,
    level: float = 0.95,
    n_resamples: int = 2000,
    groups: Int[Tensor, " example"] | None = None,
) -> Intervals:
    """Percentile interval of the mean of each unit, all units on the same resamples.

    One matrix product of resample counts with the values: thousands of units cost little more
    than one. The intervals are of each unit by itself, not of all at once.

    Args:
        values: One row for each example, one column for each unit.
        generator: Source of randomness.
        level: Share of the mass inside, between 0 and 1.
        n_resamples: Number of resamples.
        groups: Group of each example, drawn whole; each example by itself if not given.

    Raises:
        DataError: As in `bootstrap_interval`; for NaN the message names the example and unit.

    Example:
        >>> values = torch.tensor([[1.0, 5.0], [1.0, 5.0], [1.0, 5.0]])
        >>> bootstrap_means(values, generator=torch.Generator().manual_seed(0)).of(1)
        Interval(low=5.0, estimate=5.0, high=5.0)
    """
    ones = torch.ones(len(values), dtype=values.dtype, device=values.device)
    return bootstrap_ratios(
        values, ones, generator=generator, level=level, n_resamples=n_resamples, groups=groups
    )


def bootstrap_ratios(
    numerator: Float[Tensor, "example unit"],
    denominator: Float[Tensor, " example"],
    *,
    generator: torch.Generator,
    level: float = 0.95,
    n_resamples: int = 2000,
    groups: Int[Tensor, " example"] | None = None,
    strata: Int[Tensor, " example"] | None = None,
) -> Intervals:
    """Percentile interval of `mean(numerator) / mean(denominator)` for each unit.

    Both are resampled together. Faithfulness is such a ratio: for each pair of prompts, circuit
    minus empty in the numerator and full model minus empty in the denominator. It is a ratio of
    means, not a mean of ratios.

    Args:
        numerator: One row for each example, one column for each unit.
        denominator: One number for each example, shared by all units.
        generator: Source of randomness.
        level: Share of the mass inside, between 0 and 1.
        n_resamples: Number of resamples.
        groups: Group of each example, drawn whole; each example by itself if not given.
        strata: Kind of each example, the same within a group, or the highest of the group's.
            Each resample has as many groups of each kind as there are: a resample without a
            positive document has no F1.

    Raises:
        DataError: As in `bootstrap_means`; also if the mean of the denominator is not told apart
            from 0, since the ratio then has no bounded interval.

    Example:
        >>> top, bottom = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([2.0, 4.0, 6.0])
        >>> bootstrap_ratios(top, bottom, generator=torch.Generator().manual_seed(0)).of(0)
        Interval(low=0.5, estimate=0.5, high=0.5)
    """
    _check(torch.cat([numerator, denominator[:, None]], dim=1), level)
    top, bottom = numerator.double(), denominator.double()[:, None]
    if groups is not None:
        top, bottom = _group_sums(top, groups), _group_sums(bottom, groups)
        strata = None if strata is None else _group_strata(strata, groups)
    counts = _counts(len(top), n_resamples, generator, strata).to(top)
    below, whole = counts @ bottom, bottom.sum(0)
    if not bool((below * whole > 0).all()):
        raise DataError(
            "the mean of the denominator is not told apart from 0 by these examples, so the ratio "
            "has no bounded interval: use more examples, or a task with a clearer effect."
        )
    blocks = [
        _percentiles(counts @ block / below, level) for block in torch.split(top, UNIT_BLOCK, dim=1)
    ]
    low, high = (torch.cat(part) for part in zip(*blocks, strict=True))
    return Intervals(low, top.sum(0) / whole, high)


def resample_counts(
    groups: Int[Tensor, " example"],
    strata: Int[Tensor, " example"],
    *,
    generator: torch.Generator,
    n_resamples: int = 2000,
) -> Float[Tensor, "resample group"]:
    """How often each group comes up in each resample, groups of each kind drawn apart; float64.

    Columns are the groups in increasing order of their numbers. Weighting the examples by the
    count of their group resamples any statistic; two statistics on the same counts are paired.

    Args:
        groups: Group of each example, drawn whole.
        strata: Kind of each example; a group is of the highest kind of its examples.
        generator: Source of randomness.
        n_resamples: Number of resamples.

    Raises:
        DataError: If there is only one group of a kind, so that nothing can vary.

    Example:
        >>> groups, rng = torch.tensor([0, 0, 1, 2, 3]), torch.Generator().manual_seed(0)
        >>> counts = resample_counts(groups, torch.tensor([1, 0, 1, 0, 0]), generator=rng)
        >>> counts.shape, bool((counts[:, :2].sum(1) == 2).all())
        (torch.Size([2000, 4]), True)
    """
    kinds = _group_strata(strata, groups)
    return _counts(len(kinds), n_resamples, generator, kinds)


def percentile_interval(
    found: Float[Tensor, " resample"], estimate: float, *, level: float = 0.95
) -> Interval:
    """The middle `level` of a statistic's values on resamples, around its value on the data."""
    low, high = _percentiles(found[:, None], level)
    return Interval(float(low[0]), estimate, float(high[0]))


def student_interval(
    drawn: Float[Tensor, " resample"], estimate: float, n: int, *, level: float = 0.95
) -> tuple[Interval, float | None]:
    """An estimate give or take the spread of its resamples, and its two-sided p-value against 0.

    The spread is taken times Student's t with `n - 1` degrees of freedom, without which intervals
    are too narrow and p-values too small where little was resampled. For differences of shares:
    ends are kept between -1 and 1.

    Args:
        drawn: The difference on each resample.
        estimate: The difference on the data.
        n: How many of the rarer kind were resampled.
        level: Share of the mass inside, between 0 and 1.

    Returns:
        The interval; and the p-value, missing where no resample differs from another and the
        estimate is not 0.

    Raises:
        DataError: If `n` is below 2 or `level` is out of range.

    Example:
        >>> drawn = torch.tensor([-1.0, 0, 1]).repeat(100) / 10
        >>> interval, p = student_interval(drawn, 0.1, n=12)
        >>> [round(end, 2) for end in interval], round(p, 2)
        ([-0.08, 0.1, 0.28], 0.25)
    """
    check_level(level)
    if n < 2:
        raise DataError(f"{n} of a kind was resampled; a spread needs at least 2.")
    spread = float(drawn.double().std())
    reach = float(student.ppf((1 + level) / 2, n - 1)) * spread
    interval = Interval(max(estimate - reach, -1.0), estimate, min(estimate + reach, 1.0))
    if spread < 1e-12:
        return interval, 1.0 if abs(estimate) < 1e-12 else None
    return interval, 2 * float(student.sf(abs(estimate) / spread, n - 1))


def check_level(level: float) -> None:
    """Refuse a confidence level that is not strictly between 0 and 1."""
    if not 0 < level < 1:
        raise DataError(f"level is {level}: it must lie between 0 and 1, for instance 0.95.")


def _check(values: Float[Tensor, "example unit"], level: float) -> None:
    check_level(level)
    if len(values) < 2:
        raise DataError(f"there is only {len(values)} example: an interval needs at least 2.")
    bad = values.isnan().nonzero()
    if len(bad):
        example, unit = bad[0].tolist()
        raise DataError(f"the value of example {example}, unit {unit} is NaN: leave it out.")


def _draw(n: int, n_resamples: int, generator: torch.Generator) -> Int[Tensor, "resample value"]:
    if n < 2:
        raise DataError(f"there is only {n} group: an interval needs at least 2.")
    return torch.randint(n, (n_resamples, n), generator=generator, device=generator.device)


def _counts(
    n: int,
    n_resamples: int,
    generator: torch.Generator,
    strata: Int[Tensor, " example"] | None = None,
) -> Float[Tensor, "resample value"]:
    """How often each of `n` examples or groups comes up in each resample."""
    if strata is not None:
        counts = torch.zeros(n_resamples, n, dtype=torch.float64)
        for kind in torch.unique(strata):
            members = (strata == kind).nonzero()[:, 0].cpu()
            counts[:, members] = _counts_of_kind(len(members), n_resamples, generator)
        return counts
    draws = _draw(n, n_resamples, generator)
    counts = torch.zeros(n_resamples, n, dtype=torch.float64, device=draws.device)
    return counts.scatter_add_(1, draws, torch.ones_like(draws, dtype=counts.dtype))


def _counts_of_kind(
    n: int, n_resamples: int, generator: torch.Generator
) -> Float[Tensor, "resample value"]:
    if n == 1:
        raise DataError("there is only 1 group of one kind: an interval needs at least 2.")
    return _counts(n, n_resamples, generator)


def _group_strata(
    strata: Int[Tensor, " example"], groups: Int[Tensor, " example"]
) -> Int[Tensor, " group"]:
    names, place = torch.unique(groups, return_inverse=True)
    highest = torch.full((len(names),), -1, dtype=strata.dtype, device=strata.device)
    return highest.scatter_reduce_(0, place, strata, "amax")


def _group_sums(
    values: Float[Tensor, "example unit"], groups: Int[Tensor, " example"]
) -> Float[Tensor, "group unit"]:
    names, place = torch.unique(groups, return_inverse=True)
    sums = torch.zeros(len(names), values.shape[1], dtype=values.dtype, device=values.device)
    return sums.index_add_(0, place, values)


def _percentiles(
    found: Float[Tensor, "resample unit"], level: float
) -> tuple[Float[Tensor, " unit"], Float[Tensor, " unit"]]:
    """Ends of the middle `level` of each column, interpolated between resamples."""
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64) * (len(found) - 1)
    ordered = found.double().sort(dim=0).values
    below = ends.floor().long().to(found.device)
    above = ends.ceil().long().to(found.device)
    low, high = torch.lerp(
        ordered[below], ordered[above], (ends - ends.floor()).to(found.device)[:, None]
    )
    return low, high
