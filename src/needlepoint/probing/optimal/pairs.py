"""All supports of one neuron, and all of two by pruned enumeration."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from needlepoint.probing.optimal.losses import stages
from needlepoint.probing.optimal.objective import Objective
from needlepoint.probing.optimal.pair_bounds import PairBounds
from needlepoint.probing.optimal.refit import Fits, fit_columns, fit_supports
from needlepoint.probing.optimal.screening import screen
from needlepoint.probing.optimal.search import Search

SIDE = 512
"""Neurons on either side of a block of pairs that are bounded together."""
BATCH_ELEMENTS = 2**17
"""Examples times pairs that are fitted together: few enough for the processor's cache."""
ROUGH_STEPS = 3
"""Newton steps after which most pairs are proven useless."""
ROUGH_BAND = 1.0
"""Band of the hinge in rough fits. A narrow one is steeper to climb, and proves little sooner."""


def enumerate_single(search: Search) -> None:
    """Fit alone every neuron that screening leaves: exact, whatever the ridge."""
    units = _left(search)
    fits = fit_supports(search.objective, units[:, None])
    search.nodes += len(units)
    search.offer_fits(units[:, None], fits)
    search.raise_bound(float(fits.bound.min()))


def enumerate_pairs(search: Search, *, side: int = SIDE) -> None:
    """Fit every pair that its bound does not rule out: exact, whatever the ridge, given the time.

    A search that runs out of time keeps the bound that it had, with the gap that this leaves.

    Neurons are taken in the order of what they cost alone, and a pair is bounded by the proof of
    its better neuron. Pairs are bounded in blocks of `side` by `side`, so that memory grows with
    the layer and not with its square.
    """
    units, singles = _by_cost(search.objective, _left(search))
    objective = search.objective.narrow(units)
    least = np.inf
    for rows, columns in blocks(len(units), side):
        if search.out_of_time:
            return
        if columns[0] == rows[0]:  # the first block of these rows
            bounds = PairBounds(objective, singles, rows)
        pairs, bound, rest = _open_pairs(bounds, rows, columns, search.cutoff)
        least = min(least, rest, _fit_open(search, objective, singles, units, pairs, bound))
    search.raise_bound(least)


def blocks(
    count: int, side: int
) -> Iterator[tuple[Int[np.ndarray, " row"], Int[np.ndarray, " unit"]]]:
    """Rows and columns of the blocks that hold every pair, those of the first rows first.

    Example:
        >>> [(rows.tolist(), columns.tolist()) for rows, columns in blocks(3, 2)]
        [([0, 1], [0, 1]), ([0, 1], [2]), ([2], [2])]
    """
    parts = [np.arange(first, min(first + side, count)) for first in range(0, count, side)]
    for number, rows in enumerate(parts):
        for columns in parts[number:]:
            yield rows, columns


def _left(search: Search) -> Int[np.ndarray, " unit"]:
    """Neurons that may be in a better support; those of the best one are always among them."""
    settled = screen(search.cuts, search.k, search.value, search.objective.n_neurons)
    found: Int[np.ndarray, " unit"] = np.flatnonzero(~settled.outside)
    return found


def _by_cost(
    objective: Objective, units: Int[np.ndarray, " unit"]
) -> tuple[Int[np.ndarray, " unit"], Fits]:
    """Neurons from the cheapest alone to the dearest, and their fits, rough ones of the hinge.

    A proof needs no fit that has settled, and one with blame between 0 and 1 can be moved.
    """
    losses = stages(objective.loss, final=ROUGH_BAND)
    fits = fit_supports(objective, units[:, None], losses=losses)
    order = np.argsort(fits.objective, kind="stable")
    return units[order], fits.take(order)


def _open_pairs(
    bounds: PairBounds,
    rows: Int[np.ndarray, "_"],
    columns: Int[np.ndarray, "_"],
    cutoff: float,
) -> tuple[Int[np.ndarray, "row 2"], Float[np.ndarray, " row"], float]:
    """Pairs of a block whose bound lies below the cutoff, the lowest first, and their bounds.

    The last is the least bound of the block's other pairs.
    """
    found = bounds.standing(columns)
    found[rows[:, None] >= columns] = np.inf
    doubtful = np.flatnonzero((found < cutoff).any(0))
    if len(doubtful):
        found[:, doubtful] = np.maximum(found[:, doubtful], bounds.moved(columns[doubtful]))
    below = found < cutoff
    row, column = np.nonzero(below)
    least = found[row, column]
    order = np.argsort(least, kind="stable")
    pairs = np.stack([rows[row], columns[column]], axis=1)[order]
    return pairs, least[order], float(found.min(where=~below, initial=np.inf))


def _fit_open(
    search: Search,
    objective: Objective,
    singles: Fits,
    units: Int[np.ndarray, " unit"],
    pairs: Int[np.ndarray, "row 2"],
    bound: Float[np.ndarray, " row"],
) -> float:
    """Fit pairs in the order of their bounds while these lie below the cutoff.

    Returns:
        What none of them can beat.
    """
    least = np.inf
    size = max(64, BATCH_ELEMENTS // len(objective.y))
    for begin in range(0, len(pairs), size):
        if bound[begin] >= search.cutoff or search.out_of_time:
            return min(least, float(bound[begin]))
        batch = pairs[begin : begin + size]
        least = min(least, _fit_batch(search, objective, singles, units, batch))
    return least


def _fit_batch(
    search: Search,
    objective: Objective,
    singles: Fits,
    units: Int[np.ndarray, " unit"],
    pairs: Int[np.ndarray, "row 2"],
) -> float:
    """Fit pairs, most of them only until they are proven useless; the least bound of all."""
    search.nodes += len(pairs)
    better = pairs[:, 0]
    start = np.stack(
        [singles.weight[better, 0], np.zeros(len(pairs)), singles.bias[better]], axis=1
    )
    losses = stages(objective.loss, final=ROUGH_BAND)[-1:]
    rough = fit_columns(
        objective, objective.X.T[pairs], start=start, losses=losses, max_iter=ROUGH_STEPS
    )
    left = rough.bound < search.cutoff
    lowest = float(rough.bound[~left].min(initial=np.inf))
    if left.any():
        fits = fit_supports(objective, pairs[left])
        search.offer_fits(units[pairs[left]], fits)
        lowest = min(lowest, float(fits.bound.min()))
    return lowest
