"""All supports of one neuron, and all of two by pruned enumeration."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from needlepoint.probing.optimal.losses import stages
from needlepoint.probing.optimal.objective import Objective
from needlepoint.probing.optimal.refit import Fits, fit_columns, fit_supports
from needlepoint.probing.optimal.screening import screen
from needlepoint.probing.optimal.search import Search

BATCH_ELEMENTS = 2**20
"""Examples times pairs that are fitted between two looks at the clock."""
ROUGH_STEPS = 2
"""Newton steps after which most pairs are proven useless."""


def enumerate_single(search: Search) -> None:
    """Fit alone every neuron that screening leaves: exact, whatever the ridge."""
    units = _left(search)
    fits = fit_supports(search.objective, units[:, None])
    search.nodes += len(units)
    search.offer_fits(units[:, None], fits)
    search.raise_bound(float(fits.bound.min()))


def enumerate_pairs(search: Search) -> None:
    """Fit pairs in the order of their bounds until the bound of the rest exceeds the best pair."""
    units = _left(search)
    objective = search.objective.narrow(units)
    singles = fit_supports(objective, np.arange(len(units))[:, None])
    cutoff = search.cutoff
    pairs, least = _candidates(pair_bounds(objective, singles), cutoff)
    settled = cutoff  # no pair that is not listed has a lower bound
    size = max(64, BATCH_ELEMENTS // len(objective.y))
    for begin in range(0, len(pairs) + size, size):
        rest = float(least[begin]) if begin < len(pairs) else np.inf
        search.raise_bound(min(settled, rest))
        if rest >= search.cutoff or search.out_of_time:
            return
        batch = pairs[begin : begin + size]
        settled = min(settled, _fit_batch(search, objective, singles, batch, units))


def _left(search: Search) -> Int[np.ndarray, " unit"]:
    """Neurons that may be in a better support; those of the best one are always among them."""
    settled = screen(search.cuts, search.k, search.value, search.objective.n_neurons)
    found: Int[np.ndarray, " unit"] = np.flatnonzero(~settled.outside)
    return found


def pair_bounds(objective: Objective, singles: Fits) -> Float[np.ndarray, "unit unit"]:
    """For each two neurons, what no probe of both can beat: the better of two proofs.

    The dual vector that is optimal for one neuron alone is feasible for the pair: the pair costs
    at least what the one costs, less the worth of the other under that vector. The diagonal is
    infinite.

    Args:
        objective: The objective.
        singles: The fit of each neuron alone.
    """
    found: Float[np.ndarray, "unit unit"] = (objective.signed * singles.blame) @ objective.X
    np.square(found, out=found)
    found *= -objective.gamma / 2
    found += singles.bound[:, None]
    np.maximum(found, found.T, out=found)
    np.fill_diagonal(found, np.inf)
    return found


def _candidates(
    bounds: Float[np.ndarray, "unit unit"], cutoff: float
) -> tuple[Int[np.ndarray, "row 2"], Float[np.ndarray, " row"]]:
    """Pairs whose bound lies below the cutoff, the lowest first, and their bounds."""
    first, second = np.nonzero(np.triu(bounds < cutoff, 1))
    least = bounds[first, second]
    order = np.argsort(least, kind="stable")
    return np.stack([first, second], axis=1)[order], least[order]


def _fit_batch(
    search: Search,
    objective: Objective,
    singles: Fits,
    pairs: Int[np.ndarray, "row 2"],
    units: Int[np.ndarray, " unit"],
) -> float:
    """Fit pairs, most of them only until they are proven useless; the least bound of all."""
    search.nodes += len(pairs)
    better = singles.objective[pairs].argmin(1)
    neuron = np.take_along_axis(pairs, better[:, None], axis=1)[:, 0]
    start = np.zeros((len(pairs), 3))
    start[np.arange(len(pairs)), better] = singles.weight[neuron, 0]
    start[:, 2] = singles.bias[neuron]
    rough = fit_columns(
        objective,
        objective.X.T[pairs],
        start=start,
        losses=stages(objective.loss, final=0.1)[-1:],
        max_iter=ROUGH_STEPS,
    )
    left = rough.bound < search.cutoff
    lowest = float(rough.bound[~left].min(initial=np.inf))
    if left.any():
        fits = fit_supports(objective, pairs[left])
        search.offer_fits(units[pairs[left]], fits)
        lowest = min(lowest, float(fits.bound.min()))
    return lowest
