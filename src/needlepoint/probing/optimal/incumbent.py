"""Good supports: the largest mean differences, and exchanges of one neuron that lower the cost."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from needlepoint.probing.optimal.objective import Objective
from needlepoint.probing.optimal.refit import fit_columns
from needlepoint.probing.optimal.search import Search

TRIED = 24
"""Exchanges fitted at once, the most promising first."""


def most_different(objective: Objective) -> Float[np.ndarray, " neuron"]:
    """Size of the class difference of each scaled neuron under the weights of the examples.

    As the ridge grows, the cost of a support becomes a constant less the sum of their squares.
    """
    found: Float[np.ndarray, " neuron"] = np.abs(objective.X.T @ objective.signed)
    return found


def completed(
    support: Int[np.ndarray, " unit"], order: Int[np.ndarray, " neuron"], k: int
) -> Int[np.ndarray, " k"]:
    """A support brought to `k` neurons: cut short, or filled up in a given order.

    Example:
        >>> completed(np.array([5]), np.array([2, 5, 1, 0, 3, 4]), 3).tolist()
        [5, 2, 1]
    """
    others = order[~np.isin(order, support)]
    return np.concatenate([support, others])[:k]


def swap_search(search: Search, *, rounds: int = 20) -> None:
    """Exchange one neuron of the best support for another while that lowers the cost.

    For each neuron taken out, the dual vector of the rest says how much every other neuron could
    take off at most: exchanges are tried in the order of that bound, and only while it promises
    an improvement.
    """
    objective = search.objective
    for _ in range(rounds):
        if search.out_of_time or not _improve(search, objective):
            return


def _improve(search: Search, objective: Objective) -> bool:
    support = search.support
    k = len(support)
    if k == 1 or k == objective.n_neurons:
        return False
    rest = np.stack([np.delete(support, place) for place in range(k)])
    fits = fit_columns(objective, objective.X.T[rest])
    reads = objective.X.T @ (objective.signed * fits.blame).T
    least = fits.bound - objective.gamma / 2 * np.square(reads)
    least[support] = np.inf
    order = np.argsort(least, axis=None)[: 4 * TRIED]
    order = order[least.flat[order] < search.cutoff]
    neurons, places = np.unravel_index(order, least.shape)
    tried = np.concatenate([rest[places], neurons[:, None]], axis=1)
    return any(search.offer(tried[first : first + TRIED]) for first in range(0, len(tried), TRIED))
