"""Differences of AUCs: brute force, the bootstrap, and nulls."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, norm

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.evaluation.circuits.delong import auc_difference
from needlepoint.evaluation.metrics import roc_auc


def _case(seed: int, n_true: int = 20, n_false: int = 60, signal: float = 1.0):
    rng = torch.Generator().manual_seed(seed)
    truth = torch.arange(n_true + n_false) < n_true
    shared = torch.randn(len(truth), generator=rng) + signal * truth
    first, second = (shared + torch.randn(len(truth), generator=rng) for _ in range(2))
    return first, second, truth


def _brute_force(first, second, truth) -> float:
    """Standard error of the difference, from every pair of a true and a false unit."""
    placements = []
    for scores in (first, second):
        above = scores[truth][:, None] - scores[~truth][None]
        placements.append(((above > 0).double() + 0.5 * (above == 0).double()).numpy())
    gap = placements[0] - placements[1]
    by_true, by_false = gap.mean(1), gap.mean(0)
    return float(np.sqrt(by_true.var(ddof=1) / len(by_true) + by_false.var(ddof=1) / len(by_false)))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.booleans())
def test_the_interval_is_that_of_all_pairs(seed: int, ties: bool) -> None:
    first, second, truth = _case(seed, 6, 15)
    if ties:
        first, second = first.round(), second.round()
    found = auc_difference(first, second, truth)
    error = _brute_force(first, second, truth)
    gap = roc_auc(first, truth) - roc_auc(second, truth)
    assert found.difference.estimate == pytest.approx(gap)
    assert found.difference.low == pytest.approx(max(gap - 1.959964 * error, -1), abs=1e-6)
    if error > 1e-9:
        assert found.p_value == pytest.approx(2 * norm.sf(abs(gap) / error), abs=1e-9)


def test_the_error_is_that_of_a_bootstrap_of_units() -> None:
    first, second, truth = _case(0, 40, 120)
    rng = np.random.default_rng(0)
    places = [np.flatnonzero(truth.numpy()), np.flatnonzero(~truth.numpy())]
    drawn = []
    for _ in range(800):
        some = torch.from_numpy(np.concatenate([rng.choice(one, len(one)) for one in places]))
        drawn.append(roc_auc(first[some], truth[some]) - roc_auc(second[some], truth[some]))
    found = auc_difference(first, second, truth).difference
    assert (found.high - found.low) / 2 / 1.959964 == pytest.approx(np.std(drawn), rel=0.12)


def test_p_values_are_uniform_where_two_methods_are_alike() -> None:
    p = [auc_difference(*_case(seed, 30, 60)).p_value for seed in range(300)]
    assert kstest(p, "uniform").pvalue > 0.01


def test_a_better_method_is_seen_to_be() -> None:
    first, second, truth = _case(1, 30, 60)
    found = auc_difference(first + 3 * truth, second, truth)
    assert found.difference.low > 0
    assert found.p_value < 0.001


def test_pairing_narrows_the_interval() -> None:
    first, _, truth = _case(2, 30, 60)
    rng = torch.Generator().manual_seed(0)
    near = first + 0.1 * torch.randn(len(truth), generator=rng)
    apart = _case(3, 30, 60)[0]
    width = [
        auc_difference(first, other, truth).difference.high
        - auc_difference(first, other, truth).difference.low
        for other in (near, apart)
    ]
    assert width[0] < 0.5 * width[1]


def test_the_same_ranking_twice_does_not_differ() -> None:
    first, _, truth = _case(4)
    found = auc_difference(first, 2 * first + 1, truth)
    assert found.difference == (0, 0, 0)
    assert found.p_value == 1


def test_a_difference_without_spread_has_no_p_value_and_says_why() -> None:
    truth = torch.arange(10) < 4
    found = auc_difference(truth.float(), torch.zeros(10), truth)
    assert (found.first, found.second) == (1.0, 0.5)
    assert found.p_value is None
    assert "the same for every unit" in found.reason


def test_too_few_units_are_refused() -> None:
    with pytest.raises(OneClassError, match="1 true and 4 false units"):
        auc_difference(torch.rand(5), torch.rand(5), torch.arange(5) < 1)
    with pytest.raises(DataError, match="unit 0 is NaN"):
        auc_difference(torch.full((5,), float("nan")), torch.rand(5), torch.arange(5) < 2)
    with pytest.raises(DataError, match="level is 95"):
        auc_difference(torch.rand(5), torch.rand(5), torch.arange(5) < 2, level=95.0)
