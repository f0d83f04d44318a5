"""Intervals of average precision: coverage on planted scores, differences, nulls, bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, norm
from scipy.stats import t as student
from sklearn.metrics import average_precision_score

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.evaluation.circuits.precision_difference import average_precision_difference
from needlepoint.evaluation.circuits.ranking import judge_ranking
from needlepoint.evaluation.clustered import Resamples
from needlepoint.evaluation.intervals import Interval, resample_counts
from needlepoint.evaluation.metrics import average_precision, average_precision_interval

N_HEADS, N_DRAWS = 270, 200
TRUE = {4: 0.83, 9: 0.87, 24: 0.91, 38: 0.91}
"""Heads that matter on behaviours of SmolLM2, from the fewest to the most; the coverage, of 0.95
that is asked for, below which a test of `N_DRAWS` draws says that it is too low."""
PLANTED = ((0.0, 1.0), (1.0, 1.0), (2.0, 1.0), (3.0, 1.0), (4.0, 1.0), (1.0, 2.0))
"""By how much true heads score higher, and how far their scores spread."""


def population_precision(shift: float, spread: float, share: float) -> float:
    """Average precision of infinitely many heads, a share of which is true, by integration."""
    cut = np.linspace(-8, 16, 20_001)
    true, false = norm.sf((cut - shift) / spread), norm.sf(cut)
    precision = share * true / (share * true + (1 - share) * false)
    return float(-np.trapezoid(precision, true))


def planted(rng: torch.Generator, n_true: int, shift: float, spread: float = 1.0):
    truth = torch.arange(N_HEADS) < n_true
    noise = torch.randn(N_HEADS, generator=rng, dtype=torch.float64)
    return torch.where(truth, shift + spread * noise, noise), truth


@pytest.mark.parametrize("n_true", TRUE)
@pytest.mark.parametrize(("shift", "spread"), PLANTED)
def test_the_interval_covers_the_precision_of_the_population(
    n_true: int, shift: float, spread: float
) -> None:
    rng = torch.Generator().manual_seed(n_true)
    wanted = population_precision(shift, spread, n_true / N_HEADS)
    covered = []
    for _ in range(N_DRAWS):
        found = average_precision(*planted(rng, n_true, shift, spread))
        low, _, high = average_precision_interval(found, n_true=n_true)
        covered.append(low <= wanted <= high)
    assert np.mean(covered) >= TRUE[n_true]


def test_percentiles_of_a_bootstrap_cover_less_where_few_heads_matter() -> None:
    """Why the interval is no bootstrap of heads: with 4 true ones that misses far too often."""
    rng = torch.Generator().manual_seed(0)
    wanted = population_precision(3.0, 1.0, 4 / N_HEADS)
    covered = []
    for _ in range(N_DRAWS):
        scores, truth = planted(rng, 4, 3.0)
        counts = resample_counts(
            torch.arange(N_HEADS), truth.long(), generator=rng, n_resamples=300
        )
        rows = torch.arange(N_HEADS)
        drawn = Resamples(counts, rows, truth).rank_scores(scores)["average_precision"]
        low, high = np.quantile(drawn, [0.025, 0.975])
        covered.append(low <= wanted <= high)
    assert np.mean(covered) < 0.85


def test_the_interval_is_its_formula_and_narrows_with_more_true_units() -> None:
    low, estimate, high = average_precision_interval(0.25, n_true=16)
    assert estimate == 0.25
    wanted = binomtest(4, 16).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((wanted.low, wanted.high))
    few, many = (average_precision_interval(0.6, n_true=n) for n in (4, 400))
    assert 0 < few.low < many.low < 0.6 < many.high < few.high < 1
    sure = [average_precision_interval(1.0, n_true=n) for n in (3, 300)]
    assert sure[0].low < 0.5 < 0.98 < sure[1].low
    assert [one.high for one in sure] == [1.0, 1.0]


def test_the_interval_refuses_what_is_out_of_range() -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        average_precision_interval(1.2, n_true=4)
    with pytest.raises(OneClassError, match="at least 1"):
        average_precision_interval(0.5, n_true=0)
    with pytest.raises(DataError, match="level"):
        average_precision_interval(0.5, n_true=4, level=95.0)


def test_a_judged_ranking_has_the_interval_in_its_columns_and_summary() -> None:
    scores, truth = planted(torch.Generator().manual_seed(0), 24, 1.0)
    found = judge_ranking(scores, truth)
    low, estimate, high = average_precision_interval(found.average_precision, n_true=24)
    columns = found.columns()
    ends = columns["average_precision_low"], columns["average_precision_high"]
    assert ends == (low, high)
    kept = found.summary()["average_precision_interval"]
    assert kept == {"low": low, "estimate": estimate, "high": high}
    none = judge_ranking(scores, torch.zeros(N_HEADS, dtype=torch.bool))
    assert none.columns()["average_precision_low"] is None
    assert none.summary()["average_precision_interval"] is None


@pytest.mark.parametrize("n_true", TRUE)
@pytest.mark.parametrize(("one", "two"), [(1.0, 1.0), (2.0, 1.0), (2.0, 0.0)])
def test_the_interval_of_a_difference_covers_that_of_the_population(
    n_true: int, one: float, two: float
) -> None:
    rng = torch.Generator().manual_seed(n_true)
    share = n_true / N_HEADS
    wanted = population_precision(one, 1.0, share) - population_precision(two, 1.0, share)
    covered = []
    for draw in range(N_DRAWS):
        first, truth = planted(rng, n_true, one)
        second = (first - one * truth + planted(rng, n_true, 0.0)[0]) / 2**0.5 + two * truth
        draws = torch.Generator().manual_seed(draw)
        low, _, high = average_precision_difference(
            first, second, truth, generator=draws, n_resamples=200
        ).difference
        covered.append(low <= wanted <= high)
    assert np.mean(covered) >= (0.85 if n_true == 4 else 0.90)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_interval_is_students_t_times_the_spread_of_the_same_draws(level: float) -> None:
    truth = torch.arange(60) < 9

    def seeded(seed: int) -> torch.Generator:
        return torch.Generator().manual_seed(seed)

    def gap(first: torch.Tensor, second: torch.Tensor) -> Interval:
        return average_precision_difference(
            first, second, truth, generator=seeded(0), level=level, n_resamples=200
        ).difference

    one = (torch.randn(60, generator=seeded(1)).double() + truth).round(decimals=1)
    other = one + torch.randn(60, generator=seeded(2)).double()
    one[40:] = -torch.inf  # methods that say nothing of some heads put them last
    counts = resample_counts(torch.arange(60), truth.long(), generator=seeded(0), n_resamples=200)
    drawn = [
        [average_precision_score(truth, scores, sample_weight=times) for times in counts]
        for scores in (one.nan_to_num(neginf=-99), other)
    ]
    found, back = gap(one, other), gap(other, one)
    reach = student.ppf((1 + level) / 2, 8) * np.std(np.subtract(*drawn), ddof=1)
    assert found.high - found.estimate == pytest.approx(reach)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))


def test_a_method_is_no_better_than_itself_and_draws_follow_the_seed() -> None:
    scores, truth = planted(torch.Generator().manual_seed(0), 9, 1.0)
    other = scores + planted(torch.Generator().manual_seed(1), 9, 0.0)[0]
    same, found, again = (
        average_precision_difference(
            scores, second, truth, generator=torch.Generator().manual_seed(3)
        )
        for second in (scores, other, other)
    )
    assert same.difference == (0.0, 0.0, 0.0)
    assert found == again
    assert found.difference.low < found.difference.estimate < found.difference.high


def test_a_difference_needs_two_units_of_either_kind() -> None:
    rng = torch.Generator().manual_seed(0)
    for n_true in (1, N_HEADS - 1):
        scores, truth = planted(rng, n_true, 1.0)
        with pytest.raises(OneClassError, match="at least 2 of each"):
            average_precision_difference(scores, scores, truth, generator=rng)
