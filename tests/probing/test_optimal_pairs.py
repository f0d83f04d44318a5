import itertools
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from needlepoint.probing.optimal.incumbent import completed, swap_search
from needlepoint.probing.optimal.losses import LogisticLoss, LossName
from needlepoint.probing.optimal.objective import SPREAD, Objective
from needlepoint.probing.optimal.pair_bounds import PairBounds
from needlepoint.probing.optimal.pairs import (
    _by_cost,
    blocks,
    enumerate_pairs,
    enumerate_single,
)
from needlepoint.probing.optimal.refit import fit_supports
from needlepoint.probing.optimal.search import Search
from needlepoint.probing.optimal.solve import optimal_probe


def search_on(
    k: int,
    *,
    gamma: float,
    loss: LossName = "logistic",
    d: int = 20,
    shift: float = 0.7,
    seed: int = 1,
    time_limit: float = 60.0,
) -> Search:
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(60) % 3 == 0
    acts = torch.randn(60, d, generator=generator)
    acts += shift * label[:, None] * torch.randn(d, generator=generator)
    objective = Objective.of(acts, label, gamma=gamma, loss=loss, balanced=True)
    return Search(objective, k, time_limit=time_limit, tolerance=1e-6)


def costs(search: Search) -> np.ndarray:
    d = search.objective.n_neurons
    supports = np.array(list(itertools.combinations(range(d), search.k)))
    return fit_supports(search.objective, supports).objective


def bounded(search: Search, *, moved: bool) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of all ordered pairs from the proof of the first, and the least costs of the pairs."""
    d = search.objective.n_neurons
    order, singles = _by_cost(search.objective, np.arange(d))
    proofs = PairBounds(search.objective.narrow(order), singles, np.arange(d))
    found = (proofs.moved if moved else proofs.standing)(np.arange(d))
    first, second = np.nonzero(~np.eye(d, dtype=bool))
    supports = np.sort(np.stack([order[first], order[second]], axis=1), axis=1)
    return found[first, second], fit_supports(search.objective, supports).objective


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    loss=st.sampled_from(["logistic", "hinge"]),
    log_gamma=st.floats(-2, 5),
    outlier=st.sampled_from([0.0, 50.0]),
    shift=st.sampled_from([0.0, 0.7, 30.0]),
    seed=st.integers(0, 10**6),
)
def test_pair_bounds_lie_below_every_pair_whichever_proof_they_are_from(
    loss, log_gamma, outlier, shift, seed
) -> None:
    search = search_on(2, gamma=10.0**log_gamma, loss=loss, d=6, shift=shift, seed=seed)
    search.objective.X[0] += outlier * SPREAD
    search.objective.X[:] -= search.objective.X.mean(0)
    for moved in (False, True):
        bounds, least = bounded(search, moved=moved)
        assert (bounds <= least * (1 + 1e-9) + 1e-9).all()


def test_moved_proofs_are_never_weaker_and_far_stronger_under_a_light_ridge() -> None:
    for loss in ("logistic", "hinge"):
        for gamma in (0.1, 10.0, 1000.0):
            search = search_on(2, gamma=gamma, loss=loss)
            (standing, least), (moved, _) = (bounded(search, moved=way) for way in (False, True))
            assert (moved >= standing * (1 - 1e-12) - 1e-9).all()
            if gamma == 0.1 and loss == "logistic":
                assert (moved >= 0.99 * least).all()
            if gamma == 1000.0:
                short = [np.median(least - bound) for bound in (standing, moved)]
                assert short[1] < (0.02 if loss == "logistic" else 0.8) * short[0]


def test_a_proof_of_a_neuron_that_separates_the_classes_is_a_number() -> None:
    search = search_on(2, gamma=1e9, d=6, shift=500.0)
    bounds, least = bounded(search, moved=True)
    assert np.isfinite(bounds).all()
    assert (bounds <= least + 1e-6).all()


def test_what_the_gain_loses_on_a_move_is_within_its_bend() -> None:
    loss = LogisticLoss()
    q, u = np.meshgrid(np.linspace(1e-6, 1 - 1e-6, 401), np.linspace(-1, 1, 401))
    moved = loss.gain(q + q * (1 - q) * u)
    tangent = loss.gain(q) + loss.gain_slope(q) * u
    lost, most = tangent - moved, loss.gain_bend(np.abs(u)) * q * (1 - q) * u**2 / 2
    assert (lost <= most + 1e-12).all()
    assert (lost[:, 0] >= 0.99 * most[:, 0]).any()


def test_every_neuron_that_may_win_is_fitted_alone() -> None:
    for gamma, most in ((0.01, 19), (1e5, 20)):
        search = search_on(1, gamma=gamma)
        search.offer(np.array([[0]]))
        enumerate_single(search)
        assert search.value <= costs(search).min() * (1 + 1e-12)
        assert search.closed
        assert 1 <= search.nodes <= most


def test_a_heavy_ridge_fits_few_pairs_and_a_light_one_finds_the_best() -> None:
    for gamma in (0.01, 300.0):
        search = search_on(2, gamma=gamma)
        search.offer(np.array([[0, 1]]))
        swap_search(search)
        enumerate_pairs(search)
        assert search.closed
        assert search.value <= costs(search).min() * (1 + 1e-9)
        if gamma == 0.01:
            assert search.nodes < 19


@pytest.mark.parametrize("loss", ["logistic", "hinge"])
@pytest.mark.parametrize("side", [1, 3, 7, 20, 64])
def test_blocks_of_any_size_find_the_best_pair_and_prove_it(side, loss) -> None:
    search = search_on(2, gamma=1000.0, loss=loss)
    search.offer(np.array([[0, 1]]))
    enumerate_pairs(search, side=side)
    assert search.closed
    assert search.value == pytest.approx(costs(search).min(), rel=2e-6)


@pytest.mark.parametrize(("count", "side"), [(1, 5), (7, 1), (7, 3), (8, 4), (5, 100)])
def test_blocks_hold_every_pair_once(count, side) -> None:
    seen = np.zeros((count, count), int)
    for rows, columns in blocks(count, side):
        assert max(len(rows), len(columns)) <= side
        seen[np.ix_(rows, columns)] += 1
    np.testing.assert_array_equal(np.triu(seen), np.triu(np.ones((count, count), int)))


def most_memory(d: int, side: int) -> int:
    """The most bytes of arrays that an enumeration holds at once, by numpy's own count."""
    search = search_on(2, gamma=1.0, d=d)
    search.offer(np.array([[0, 1]]))
    swap_search(search)
    search.cuts.clear()
    tracemalloc.start()
    enumerate_pairs(search, side=side)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert search.closed
    return peak


def test_memory_grows_with_the_layer_and_not_with_its_square() -> None:
    small, large = most_memory(600, 64), most_memory(1200, 64)
    assert large < 2.5 * small
    assert large < 8 * 1200**2 / 2
    assert most_memory(1200, 1200) > 8 * 1200**2


def test_swaps_never_worsen_and_end_where_no_swap_helps() -> None:
    search = search_on(3, gamma=1.0)
    search.offer(np.array([[0, 1, 2]]))
    before = search.value
    swap_search(search)
    assert search.value < before
    rest = [np.delete(search.support, place) for place in range(3)]
    tried = [np.append(kept, neuron) for kept in rest for neuron in range(20) if neuron not in kept]
    swapped = fit_supports(search.objective, np.stack(tried)).objective
    assert swapped.min() >= search.value * (1 - 1e-6)


def test_supports_are_cut_short_or_filled_up() -> None:
    order = np.array([3, 1, 0, 2])
    assert completed(np.array([2, 1]), order, 1).tolist() == [2]
    assert completed(np.array([2, 1]), order, 4).tolist() == [2, 1, 3, 0]


def test_without_time_the_bound_that_there_was_is_kept() -> None:
    search = search_on(2, gamma=1000.0, time_limit=1e-9)
    search.offer(np.array([[0, 1]]))
    bound = search.bound
    enumerate_pairs(search)
    assert not search.closed
    assert bound <= search.bound <= costs(search).min()


def test_pairs_are_proved_whatever_the_time_limit() -> None:
    generator = torch.Generator().manual_seed(1)
    label = torch.arange(60) % 3 == 0
    acts = torch.randn(60, 20, generator=generator)
    found = optimal_probe(acts, label, k=2, gamma=1000.0, time_limit=1e-9)
    assert found.status == "exact"
