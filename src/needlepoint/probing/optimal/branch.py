"""Best-first branch and bound over the neurons that screening has left."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Int

from needlepoint.probing.optimal.dual import Cut
from needlepoint.probing.optimal.incumbent import swap_search
from needlepoint.probing.optimal.refit import fit_supports
from needlepoint.probing.optimal.relaxation import Region, Relaxed, Start, relax
from needlepoint.probing.optimal.screening import SAFETY, Screened, least_with, least_without
from needlepoint.probing.optimal.search import Search

NARROW = 0.7
"""A region with a smaller share of the neurons than this gets a block of its own."""


@dataclass(frozen=True, order=True)
class Node:
    """A region that is still open, kept small: thousands of them wait."""

    bound: float
    number: int
    inside: Int[np.ndarray, " k"] = field(compare=False)
    free: bytes = field(compare=False)
    """One bit for each neuron."""
    taken: Int[np.ndarray, " unit"] = field(compare=False)
    """Neurons with a share where the relaxation starts."""
    shares: Float[np.ndarray, " unit"] = field(compare=False)
    start: Start = field(compare=False)

    def region(self, k: int, n_neurons: int) -> Region:
        """The region, unpacked."""
        bits = np.unpackbits(np.frombuffer(self.free, np.uint8), count=n_neurons)
        return Region(k, self.inside, np.flatnonzero(bits))


class Tree:
    """Regions that together hold every support that could beat the best one so far."""

    def __init__(self, search: Search, units: Int[np.ndarray, " unit"]) -> None:
        self.search, self.units = search, units
        self.objective = search.objective.narrow(units)
        self._heap: list[Node] = []
        self._count = itertools.count()
        self._settled = np.inf  # the least bound among regions that need no more work

    def grow(self, root: Region, shares: Float[np.ndarray, " unit"], start: Start) -> None:
        """Solve and split regions, the lowest bound first, until done or out of time."""
        search = self.search
        self._push(root, shares, start, search.bound)
        while self._heap and self._heap[0].bound < search.cutoff and not search.out_of_time:
            self._expand(heapq.heappop(self._heap))
            self._raise()
        self._raise()

    def _raise(self) -> None:
        lowest = self._heap[0].bound if self._heap else np.inf
        self.search.raise_bound(min(lowest, self._settled))

    def _push(self, region: Region, shares: np.ndarray, start: Start, bound: float) -> None:
        if bound >= self.search.cutoff:
            self._settled = min(self._settled, bound)
            return
        bits = np.zeros(self.objective.n_neurons, np.uint8)
        bits[region.free] = 1
        some = np.flatnonzero(shares)
        node = Node(
            bound,
            next(self._count),
            region.inside,
            np.packbits(bits).tobytes(),
            region.free[some],
            shares[some],
            start,
        )
        heapq.heappush(self._heap, node)

    def _expand(self, node: Node) -> None:
        """Solve a region's relaxation, then settle the region or split it in two."""
        search = self.search
        region = node.region(search.k, self.objective.n_neurons)
        if len(region.free) <= region.k - len(region.inside) or region.room == 0:
            self._settle(region)
            return
        solved = self._relax(node, region)
        bound = max(node.bound, solved.bound)
        if bound >= search.cutoff:
            self._settled = min(self._settled, bound)
            return
        self._round(region, solved)
        limit = search.value * (1 + SAFETY)
        settled = settle_neurons(region, solved.cuts, limit)
        if (settled.inside & settled.outside).any() or settled.inside.sum() > region.room:
            self._settled = min(self._settled, limit)  # nothing here beats the incumbent
            return
        self._split(region, solved, settled, bound)

    def _relax(self, node: Node, region: Region) -> Relaxed:
        """The relaxation of a region, on a block of its own neurons where these are few."""
        search, objective = self.search, self.objective
        search.nodes += 1
        shares = np.zeros(objective.n_neurons)
        shares[node.taken] = node.shares
        units = np.concatenate([region.inside, region.free])
        start, n_inside = Start(node.start.blame.astype(float), node.start.bias), len(region.inside)
        if len(units) > NARROW * objective.n_neurons:
            local = region
        else:
            objective = objective.narrow(units)
            local = Region(region.k, np.arange(n_inside), np.arange(n_inside, len(units)))
        solved = relax(
            objective, local, shares[region.free], start=start, enough=search.cutoff, slack=0.05
        )
        if local is region:
            return replace(solved, cuts=[cut.narrow(units) for cut in solved.cuts])
        return solved

    def _settle(self, region: Region) -> None:
        """A region of one support: fit it.

        One of fewer than `k` neurons is left when all others were proven useless here.
        """
        search = self.search
        support = np.concatenate([region.inside, region.free[: region.room]])
        fits = fit_supports(self.objective, support[None])
        search.nodes += 1
        self._settled = min(self._settled, float(fits.bound[0]))
        if len(support) == search.k:
            search.offer_fits(self.units[support][None], fits)

    def _round(self, region: Region, solved: Relaxed) -> None:
        """Offer the support with the largest shares, and better it if it is the best so far."""
        leading = np.argsort(-solved.shares, kind="stable")[: region.room]
        support = np.concatenate([region.inside, region.free[leading]])
        if self.search.offer(self.units[support][None]):
            swap_search(self.search)

    def _split(self, region: Region, solved: Relaxed, settled: Screened, bound: float) -> None:
        """Two regions, with and without one of the neurons that are not settled."""
        n_inside, keep = len(region.inside), ~(settled.inside | settled.outside)
        inside = np.concatenate([region.inside, region.free[settled.inside]])
        smaller = Region(region.k, inside, region.free[keep])
        shares = solved.shares[keep]
        start = Start(solved.start.blame.astype(np.float32), solved.start.bias)
        if smaller.room == 0 or len(smaller.free) <= smaller.room:
            self._push(smaller, shares, start, bound)
            return
        chosen = _branching(shares)
        worth = np.delete(solved.cuts[-1].worth[n_inside:][keep], chosen)
        with_it = Region(
            region.k, np.append(inside, smaller.free[chosen]), np.delete(smaller.free, chosen)
        )
        without = replace(with_it, inside=inside)
        for child in (with_it, without):
            filled_up = filled(np.delete(shares, chosen), worth, child.room)
            self._push(child, filled_up, start, bound)


def settle_neurons(region: Region, cuts: list[Cut], limit: float) -> Screened:
    """Free neurons of a region that are in no support, or in every one, that costs at most a limit.

    Args:
        region: A region.
        cuts: Proofs over its neurons: those inside first, then the free ones.
        limit: What the incumbent costs, and room for rounding.
    """
    n_inside = len(region.inside)
    outside, inside = (np.zeros(len(region.free), bool) for _ in range(2))
    for cut in cuts:
        left = Cut(cut.gain - float(cut.worth[:n_inside].sum()), cut.worth[n_inside:])
        outside |= least_with(left, region.room) > limit
        inside |= least_without(left, region.room) > limit
    return Screened(outside, inside)


def _branching(shares: np.ndarray) -> int:
    """The free neuron whose share is nearest to one half."""
    return int(np.abs(shares - 0.5).argmin())


def filled(
    shares: Float[np.ndarray, " unit"], worth: Float[np.ndarray, " unit"], room: int
) -> Float[np.ndarray, " unit"]:
    """Shares brought to a given sum: scaled down, or filled up by worth, none above 1.

    Example:
        >>> filled(np.array([0.5, 0.25, 0.0]), np.array([1.0, 1.0, 2.0]), 2).tolist()
        [0.75, 0.25, 1.0]
    """
    total = float(shares.sum())
    if total > room:
        return shares * (room / total)
    order = np.argsort(-worth, kind="stable")
    spare = 1.0 - shares[order]
    before = np.cumsum(spare) - spare
    found = shares.copy()
    found[order] += np.clip(room - total - before, 0.0, spare)
    return found
