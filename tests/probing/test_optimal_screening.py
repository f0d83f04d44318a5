import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from needlepoint.probing.optimal.dual import Cut, cuts_of, largest_sum
from needlepoint.probing.optimal.losses import LossName
from needlepoint.probing.optimal.objective import Objective
from needlepoint.probing.optimal.refit import balanced_blame, fit_supports
from needlepoint.probing.optimal.screening import least_with, least_without, screen


def planted(n: int, d: int, *, gamma: float, loss: LossName, seed: int) -> Objective:
    generator = np.random.default_rng(seed)
    y = np.where(generator.permutation(n) < n // 3, 1.0, -1.0)
    X = generator.normal(size=(n, d)) + y[:, None] * generator.normal(size=d)
    X = np.asfortranarray((X - X.mean(0)) / (10 * X.std(0)))
    w = np.where(y > 0, n / (2 * (y > 0).sum()), n / (2 * (y < 0).sum()))
    return Objective(X, y, w, gamma, loss, np.zeros(d), np.ones(d))


problems = st.builds(
    planted,
    st.integers(9, 30),
    st.integers(4, 7),
    gamma=st.sampled_from([0.01, 0.3, 10.0]),
    loss=st.sampled_from(["logistic", "hinge"]),
    seed=st.integers(0, 10**6),
)


@settings(max_examples=30, deadline=None)
@given(problems, st.integers(1, 3), st.integers(0, 10**6))
def test_any_blame_made_feasible_bounds_every_support(
    objective: Objective, k: int, seed: int
) -> None:
    d = objective.n_neurons
    blame = np.random.default_rng(seed).random((3, len(objective.y)))
    supports = np.array(list(itertools.combinations(range(d), k)))
    fits = fit_supports(objective, supports)
    optimal = fits.blame[:: max(1, len(supports) // 5)]
    feasible = np.concatenate([balanced_blame(blame, objective), optimal])
    assert np.abs(feasible @ objective.signed).max() < 1e-9
    slack = 1e-9 * fits.objective.max()
    for cut in cuts_of(objective, feasible):
        costs = cut.gain - cut.worth[supports].sum(1)
        assert (costs <= fits.objective + slack).all()
        assert cut.bound(k) <= fits.objective.min() + slack
        with_it, without = least_with(cut, k), least_without(cut, k)
        for neuron in range(d):
            holds = (supports == neuron).any(1)
            assert with_it[neuron] <= fits.objective[holds].min() + slack
            assert without[neuron] <= fits.objective[~holds].min() + slack
        # Both are the least of the bound over the supports that they speak of.
        holds = (supports[None] == np.arange(d)[:, None, None]).any(2)
        np.testing.assert_allclose(with_it, [costs[row].min() for row in holds])
        np.testing.assert_allclose(without, [costs[~row].min() for row in holds])


@settings(max_examples=30, deadline=None)
@given(problems, st.integers(1, 3))
def test_screening_with_the_best_support_keeps_it(objective: Objective, k: int) -> None:
    d = objective.n_neurons
    supports = np.array(list(itertools.combinations(range(d), k)))
    fits = fit_supports(objective, supports)
    best = int(fits.objective.argmin())
    settled = screen(cuts_of(objective, fits.blame), k, float(fits.objective[best]), d)
    assert not settled.outside[supports[best]].any()
    assert set(np.flatnonzero(settled.inside)) <= set(supports[best].tolist())


def test_a_support_may_take_every_neuron() -> None:
    cut = Cut(10.0, np.array([1.0, 4.0]))
    assert cut.bound(2) == cut.bound(5) == 5.0
    assert least_with(cut, 2).tolist() == [5.0, 5.0]
    assert least_without(cut, 2).tolist() == [6.0, 9.0]


def test_nothing_is_screened_at_the_bound_itself() -> None:
    cut = Cut(10.0, np.array([1.0, 4.0, 2.0]))
    settled = screen([cut], 1, 6.0, 3)
    assert settled.outside.tolist() == [True, False, True]
    assert settled.inside.tolist() == [False, True, False]
    assert not screen([cut], 1, 9.0, 3).outside.any()


def test_sums_of_the_largest() -> None:
    values = np.array([3.0, 1.0, 2.0])
    assert [largest_sum(values, count) for count in range(5)] == [0.0, 3.0, 5.0, 6.0, 6.0]


def test_a_narrower_cut_is_of_its_neurons() -> None:
    narrow = Cut(10.0, np.array([1.0, 4.0, 2.0])).narrow(np.array([2, 0]))
    assert narrow.bound(1) == pytest.approx(8.0)
