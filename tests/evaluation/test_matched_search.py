"""The expected best of equal candidates: exact, and blind to how many more there are."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from needlepoint._core.errors import DataError
from needlepoint.evaluation.case_studies.matched_search import (
    expected_best,
    matched_subsets,
    rank_weights,
)


@given(st.integers(1, 12), st.data())
def test_weights_are_those_of_counting_all_subsets(n: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, n))
    weights = rank_weights(n, size, left_out=0.0)
    exact = [math.comb(n - rank - 1, size - 1) / math.comb(n, size) for rank in range(len(weights))]
    assert weights.tolist() == pytest.approx(exact)
    assert float(weights.sum()) == pytest.approx(1.0)


def test_expected_score_is_the_mean_over_all_subsets() -> None:
    rng = torch.Generator().manual_seed(0)
    chosen_by, scores = torch.rand(7, generator=rng), torch.rand(7, generator=rng)
    order = chosen_by.argsort(descending=True)
    every = [
        float(scores[max(subset, key=lambda place: float(chosen_by[place]))])
        for subset in itertools.combinations(range(7), 3)
    ]
    assert expected_best(order, scores, 3) == pytest.approx(sum(every) / len(every))


def test_all_candidates_give_the_one_that_was_chosen() -> None:
    scores = torch.tensor([0.2, 0.9, 0.4])
    assert expected_best(torch.tensor([2, 1, 0]), scores, 3) == pytest.approx(0.4)


def population(n: int, strong: float, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Candidates whose score is seen twice with noise: once to choose by, once to test."""
    true = (torch.rand(n, generator=rng) < strong).double()
    noise = torch.randn(2, n, generator=rng, dtype=torch.float64)
    return true + noise[0], true + noise[1]


@pytest.mark.parametrize("strong", [0.0, 0.2])
def test_doubling_the_candidates_raises_the_maximum_and_not_the_matched_score(
    strong: float,
) -> None:
    rng = torch.Generator().manual_seed(4)
    maxima, matched = [], []
    for n in (400, 800):
        found = []
        for _ in range(400):
            chosen, tested = population(n, strong, rng)
            order = chosen.argsort(descending=True)
            found.append((float(tested.max()), expected_best(order, tested, 400)))
        top, fair = (torch.tensor(column) for column in zip(*found, strict=True))
        maxima.append(top)
        matched.append(fair)
    rise, error = maxima[1].mean() - maxima[0].mean(), (maxima[0].std() / 20)
    assert rise > 3 * error
    spread = math.hypot(float(matched[0].std()), float(matched[1].std())) / 20
    assert abs(float(matched[1].mean() - matched[0].mean())) < 3 * spread


def test_noise_beside_one_strong_candidate_makes_it_rarer_in_equal_sets() -> None:
    scores = torch.zeros(200)
    scores[0] = 1.0
    order = torch.arange(200)
    assert expected_best(order[:100], scores[:100], 100) == pytest.approx(1.0)
    assert expected_best(order, scores, 100) == pytest.approx(0.5)


def test_subsets_are_of_every_layer_and_of_the_size_asked_for() -> None:
    subsets = matched_subsets(4, 30, 60, torch.Generator().manual_seed(0))
    assert [len(one) for one in subsets] == [15] * 4
    for one in subsets:
        assert one.tolist() == sorted(set(one.tolist()))
    everything = matched_subsets(4, 30, 120, torch.Generator())
    assert all(one.tolist() == list(range(30)) for one in everything)


def test_sets_larger_than_what_they_are_drawn_from_are_refused() -> None:
    for size in (0, 5):
        with pytest.raises(DataError, match=f"sets of {size} cannot be drawn from 4"):
            rank_weights(4, size)
    with pytest.raises(DataError, match="130 neurons cannot be drawn from 120"):
        matched_subsets(4, 30, 130, torch.Generator())
