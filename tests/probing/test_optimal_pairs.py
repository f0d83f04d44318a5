import itertools

import numpy as np
import torch

from needlepoint.probing.optimal.incumbent import completed, swap_search
from needlepoint.probing.optimal.losses import LossName
from needlepoint.probing.optimal.objective import Objective
from needlepoint.probing.optimal.pairs import enumerate_pairs, enumerate_single, pair_bounds
from needlepoint.probing.optimal.refit import fit_supports
from needlepoint.probing.optimal.search import Search


def search_on(k: int, *, gamma: float, loss: LossName = "logistic", d: int = 20) -> Search:
    generator = torch.Generator().manual_seed(1)
    label = torch.arange(60) % 3 == 0
    acts = torch.randn(60, d, generator=generator)
    acts += 0.7 * label[:, None] * torch.randn(d, generator=generator)
    objective = Objective.of(acts, label, gamma=gamma, loss=loss, balanced=True)
    return Search(objective, k, time_limit=60.0, tolerance=1e-6)


def costs(search: Search) -> np.ndarray:
    d = search.objective.n_neurons
    supports = np.array(list(itertools.combinations(range(d), search.k)))
    return fit_supports(search.objective, supports).objective


def test_pair_bounds_lie_below_every_pair_and_near_the_good_ones() -> None:
    for loss, gamma in (("logistic", 0.1), ("logistic", 10.0), ("hinge", 0.1), ("hinge", 10.0)):
        search = search_on(2, gamma=gamma, loss=loss, d=10)
        singles = fit_supports(search.objective, np.arange(10)[:, None])
        bounds = pair_bounds(search.objective, singles)
        assert np.isinf(bounds.diagonal()).all()
        np.testing.assert_array_equal(bounds, bounds.T)
        first, second = np.triu_indices(10, 1)
        assert (bounds[first, second] <= costs(search) * (1 + 1e-9)).all()
        if gamma == 0.1:
            assert (bounds[first, second] >= costs(search) * 0.99).all()


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
