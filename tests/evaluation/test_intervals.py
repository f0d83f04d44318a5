"""Intervals cover what they say they cover, and only if what is resampled was independent."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from needlepoint._core.errors import DataError
from needlepoint.evaluation.intervals import (
    Interval,
    bootstrap_interval,
    bootstrap_means,
    bootstrap_ratios,
)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def covers(interval: Interval, value: float) -> bool:
    return interval.low <= value <= interval.high


def test_interval_of_a_mean_agrees_with_scipy():
    values = torch.randn(200, generator=rng(), dtype=torch.float64).exp()
    found = bootstrap_interval(values, generator=rng(1), n_resamples=4000)
    expected = stats.bootstrap(
        (values.numpy(),), lambda x, axis: x.mean(axis), method="percentile", rng=0
    ).confidence_interval
    assert found.estimate == pytest.approx(values.mean().item())
    assert found.low == pytest.approx(expected.low, rel=0.02)
    assert found.high == pytest.approx(expected.high, rel=0.02)


def test_any_statistic_can_be_resampled():
    values = torch.randn(300, generator=rng()) + 4
    found = bootstrap_interval(values, generator=rng(1), statistic=lambda x: x.median(-1).values)
    assert found.estimate == pytest.approx(values.median().item())
    assert covers(found, 4.0)
    assert found.high - found.low < 0.5


def test_the_same_seed_gives_the_same_interval():
    values = torch.randn(30, generator=rng())
    one, two = (bootstrap_interval(values, generator=rng(3)) for _ in range(2))
    assert one == two
    assert one != bootstrap_interval(values, generator=rng(4))


def test_a_higher_level_is_wider():
    values = torch.randn(50, generator=rng())
    narrow = bootstrap_interval(values, generator=rng(1), level=0.5)
    wide = bootstrap_interval(values, generator=rng(1), level=0.99)
    assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high


def test_means_of_many_units_equal_those_of_each_by_itself():
    values = torch.randn(40, 3, generator=rng(), dtype=torch.float64)
    together = bootstrap_means(values, generator=rng(1))
    for unit in range(3):
        alone = bootstrap_means(values[:, [unit]], generator=rng(1)).of(0)
        single = bootstrap_interval(values[:, unit], generator=rng(1))
        assert together.of(unit) == pytest.approx(alone)
        assert together.of(unit) == pytest.approx(single)


def test_intervals_of_independent_examples_cover():
    """100 units are 100 experiments of 60 examples; 95 % of the intervals should cover 0."""
    values = torch.randn(60, 400, generator=rng(5), dtype=torch.float64)
    found = bootstrap_means(values, generator=rng(6))
    share = ((found.low <= 0) & (found.high >= 0)).double().mean()
    assert 0.90 < share < 0.98


def test_by_rows_undercovers_clustered_data_and_by_groups_does_not():
    groups = torch.arange(40).repeat_interleave(10)
    common = torch.randn(40, 400, generator=rng(7), dtype=torch.float64)[groups]
    values = common + torch.randn(400, 400, generator=rng(8), dtype=torch.float64)
    shares = []
    for by in (None, groups):
        found = bootstrap_means(values, generator=rng(9), groups=by)
        shares.append(((found.low <= 0) & (found.high >= 0)).double().mean().item())
    assert shares[0] < 0.65
    assert 0.88 < shares[1] < 0.98


def test_groups_of_unequal_size_agree_between_the_two_ways():
    groups = torch.repeat_interleave(torch.arange(30), torch.arange(30) % 4 + 1)
    values = torch.randn(len(groups), generator=rng(), dtype=torch.float64)
    one = bootstrap_interval(values, generator=rng(1), groups=groups)
    two = bootstrap_means(values[:, None], generator=rng(1), groups=groups).of(0)
    assert one == pytest.approx(two)


def test_groups_of_one_example_are_no_groups():
    values = torch.randn(25, 2, generator=rng(), dtype=torch.float64)
    one = bootstrap_means(values, generator=rng(1))
    two = bootstrap_means(values, generator=rng(1), groups=torch.arange(25))
    torch.testing.assert_close(one.low, two.low)


def test_ratio_is_resampled_jointly():
    """Numerator and denominator move together: apart, the interval would be far wider."""
    bottom = torch.rand(50, generator=rng(), dtype=torch.float64) * 4 + 0.5
    noise = 0.05 * torch.randn(50, generator=rng(1), dtype=torch.float64)
    found = bootstrap_ratios((0.7 * bottom + noise)[:, None], bottom, generator=rng(2)).of(0)
    assert covers(found, 0.7)
    assert found.high - found.low < 0.03
    apart = bootstrap_means((0.7 * bottom)[:, None], generator=rng(2)).of(0)
    assert (apart.high - apart.low) / bottom.mean() > 0.1


def test_ratio_is_of_means_and_of_either_sign():
    top, bottom = torch.tensor([[1.0], [9.0]]), torch.tensor([-1.0, -3.0])
    found = bootstrap_ratios(top, bottom, generator=rng())
    assert found.of(0).estimate == -2.5


def test_ratio_intervals_cover():
    bottom = torch.randn(80, 1, generator=rng(3), dtype=torch.float64) + 4
    top = 0.5 * bottom + torch.randn(80, 400, generator=rng(4), dtype=torch.float64)
    found = bootstrap_ratios(top, bottom[:, 0], generator=rng(5))
    share = ((found.low <= 0.5) & (found.high >= 0.5)).double().mean()
    assert 0.90 < share < 0.98


def test_a_denominator_near_zero_has_no_ratio():
    bottom = torch.randn(30, generator=rng())
    with pytest.raises(DataError, match="not told apart from 0"):
        bootstrap_ratios(torch.ones(30, 1), bottom, generator=rng())


def test_many_units_are_taken_in_blocks(monkeypatch):
    values = torch.randn(12, 7, generator=rng(), dtype=torch.float64)
    whole = bootstrap_means(values, generator=rng(1))
    monkeypatch.setattr("needlepoint.evaluation.intervals.UNIT_BLOCK", 2)
    blocked = bootstrap_means(values, generator=rng(1))
    torch.testing.assert_close(whole.high, blocked.high)


def test_no_width_is_made_up():
    with pytest.raises(DataError, match="only 1 example"):
        bootstrap_interval(torch.ones(1), generator=rng())
    with pytest.raises(DataError, match="only 1 group"):
        bootstrap_interval(torch.ones(5), generator=rng(), groups=torch.zeros(5, dtype=torch.long))
    with pytest.raises(DataError, match="only 1 group"):
        bootstrap_means(torch.ones(5, 2), generator=rng(), groups=torch.zeros(5, dtype=torch.long))


def test_nan_and_bad_levels_are_refused():
    values = torch.ones(5, 2)
    values[3, 1] = float("nan")
    with pytest.raises(DataError, match="example 3, unit 1 is NaN"):
        bootstrap_means(values, generator=rng())
    with pytest.raises(DataError, match="level is 95"):
        bootstrap_interval(torch.ones(5), generator=rng(), level=95.0)


def test_each_resample_has_as_many_of_each_kind():
    """The share of a kind is then a constant, and the spread within the kinds alone is left."""
    strata = torch.tensor([0] * 30 + [1] * 3)
    kind = (strata == 1).double()[:, None]
    ones = torch.ones(33, dtype=torch.float64)
    apart = bootstrap_ratios(kind, ones, generator=rng(), strata=strata).of(0)
    assert apart == pytest.approx((3 / 33, 3 / 33, 3 / 33))
    together = bootstrap_ratios(kind, ones, generator=rng()).of(0)
    assert together.low < 1 / 33 + 1e-9
    assert together.high > 5 / 33


def test_one_kind_is_no_strata():
    top = torch.randn(20, 2, generator=rng(), dtype=torch.float64)
    ones = torch.ones(20, dtype=torch.float64)
    plain = bootstrap_ratios(top, ones, generator=rng(1))
    same = bootstrap_ratios(top, ones, generator=rng(1), strata=torch.full((20,), 7))
    torch.testing.assert_close(plain.low, same.low)


def test_intervals_within_strata_cover():
    """The classes lie far apart; drawn apart, that distance is not part of the uncertainty."""
    strata = torch.arange(60) % 2
    values = torch.randn(60, 400, generator=rng(5), dtype=torch.float64) + 20 * strata[:, None]
    ones = torch.ones(60, dtype=torch.float64)
    found = bootstrap_ratios(values, ones, generator=rng(6), strata=strata)
    share = ((found.low <= 10) & (found.high >= 10)).double().mean()
    assert 0.89 < share < 0.98
    assert (found.high - found.low).mean() < 0.6
    loose = bootstrap_ratios(values, ones, generator=rng(6))
    assert (loose.high - loose.low).mean() > 4


def test_a_group_is_of_the_highest_kind_among_its_examples():
    """Groups 1 and 3 have an example of kind 1, so half of the groups drawn are such."""
    groups = torch.arange(8) // 2
    strata = torch.tensor([0, 0, 0, 1, 0, 0, 1, 1])
    marked = torch.tensor([0.0, 0, 1, 1, 0, 0, 1, 1])[:, None]
    found = bootstrap_ratios(
        marked, torch.ones(8), generator=rng(), groups=groups, strata=strata
    ).of(0)
    assert found == pytest.approx((0.5, 0.5, 0.5))


def test_one_group_of_a_kind_has_no_spread():
    with pytest.raises(DataError, match="only 1 group of one kind"):
        bootstrap_ratios(
            torch.ones(5, 1), torch.ones(5), generator=rng(), strata=torch.tensor([0, 0, 0, 0, 1])
        )
