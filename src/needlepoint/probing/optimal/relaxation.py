"""The relaxation with fractional shares of neurons: the best bound that one dual vector gives.

With `s` between 0 and 1 and `sum(s) = k`, the cost `c(s)` of neurons taken by shares is convex; its
minimum over all shares equals the highest of all dual bounds `gain - (k largest worths)`. It is
found by Newton's method on `c`: at each point a small ridge fit gives the cost, its slope
`-worth`, and a dual vector, hence a bound over all neurons by one matrix-vector product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from needlepoint.probing.optimal.capped import least_quadratic
from needlepoint.probing.optimal.dual import Cut, cuts_of, largest_sum
from needlepoint.probing.optimal.losses import HingeLoss, LogisticLoss, Loss, LossName
from needlepoint.probing.optimal.objective import Objective
from needlepoint.probing.optimal.refit import Fits, fit_columns

NEGLIGIBLE = 1e-7
"""Shares below this are set to 0."""
SHORTENED = 5
"""Lengths of one Newton step that are tried, each a quarter of the one before."""
COMPANY = 24
"""Neurons without a share that one Newton step may bring in."""


@dataclass(frozen=True, eq=False)
class Region:
    """The supports that contain some neurons and take the rest from some others."""

    k: int
    inside: Int[np.ndarray, " k"]
    """Neurons in every support."""
    free: Int[np.ndarray, " unit"]
    """Neurons that may be in a support."""

    @property
    def room(self) -> int:
        """How many of the free neurons a support takes at most."""
        return min(self.k - len(self.inside), len(self.free))

    def bound(self, cut: Cut) -> float:
        """What a proof says on these supports."""
        taken = float(cut.worth[self.inside].sum())
        return cut.gain - taken - largest_sum(cut.worth[self.free], self.room)


@dataclass(frozen=True, eq=False)
class Start:
    """Where a fit under shares starts: what a neighbouring one ended with."""

    blame: Float[np.ndarray, " example"]
    bias: float


@dataclass(frozen=True, eq=False)
class Relaxed:
    """A relaxation, solved or broken off."""

    bound: float
    """No support of the region costs less."""
    upper: float
    """The relaxation itself costs no more: its bound cannot rise above this."""
    shares: Float[np.ndarray, " unit"]
    """Share of each free neuron."""
    cuts: list[Cut]
    """Every proof met on the way."""
    start: Start
    """For the relaxation of a part of the region."""


def relax(
    objective: Objective,
    region: Region,
    shares: Float[np.ndarray, " unit"],
    *,
    start: Start | None = None,
    enough: float = np.inf,
    slack: float = 0.0,
    tolerance: float = 1e-6,
    max_iter: int = 12,
) -> Relaxed:
    """The relaxation of a region, from given shares of its free neurons.

    Args:
        objective: Over the neurons that the region counts.
        region: Must have room for a free neuron.
        shares: Where to start; their sum must be the region's room.
        start: Where the first fit starts; at zero if not given.
        enough: Stop as soon as the bound exceeds this, commonly the incumbent.
        slack: Stop when what is left is less than this share of the distance to `enough`.
        tolerance: Stop when bound and cost are this close, relative to the cost.
        max_iter: Most Newton steps, for each band of the hinge.
    """
    cuts: list[Cut] = []
    best = -np.inf
    for loss in _losses(objective.loss):
        here: _Point | None = _Point.at(objective, region, shares, loss, start)
        for _ in range(max_iter):
            if here is None:
                break
            cuts.append(here.cut)
            best, upper = max(best, here.bound), float(here.fit.objective[0])
            shares = here.shares
            start = end = here.start
            close = max(tolerance * upper, slack * (enough - best) if slack else 0.0)
            if best > enough or upper - best <= close:
                return Relaxed(best, upper, shares, cuts, end)
            here = _step(objective, region, here, loss)
    return Relaxed(best, upper, shares, cuts, end)


@dataclass(frozen=True, eq=False)
class _Point:
    """Shares, the fit under them, and what its dual vector proves."""

    shares: Float[np.ndarray, " unit"]
    fit: Fits
    cut: Cut
    bound: float

    @classmethod
    def at(
        cls,
        objective: Objective,
        region: Region,
        shares: np.ndarray,
        loss: Loss,
        before: Start | None,
    ) -> _Point:
        shares = np.where(shares < NEGLIGIBLE, 0.0, shares)
        some = np.flatnonzero(shares)
        taken = np.concatenate([region.inside, region.free[some]])
        root = np.sqrt(np.concatenate([np.ones(len(region.inside)), shares[some]]))
        start = None
        if before is not None:
            reads = objective.X.T[taken] @ (objective.signed * before.blame)
            start = np.append(objective.gamma * root * reads, before.bias)[None]
        columns = objective.X.T[taken] * root[:, None]
        fit = fit_columns(objective, columns[None], start=start, losses=(loss,))
        cut = cuts_of(objective, fit.blame)[0]
        return cls(shares, fit, cut, region.bound(cut))

    @property
    def start(self) -> Start:
        return Start(self.fit.blame[0], float(self.fit.bias[0]))


def _losses(name: LossName) -> tuple[Loss, ...]:
    """The losses to relax with, one after the other.

    The hinge keeps a band, or Newton steps on the shares would see no curvature; what its last
    band loses of the bound is far less than what the relaxation itself loses.
    """
    if name == "logistic":
        return (LogisticLoss(),)
    return tuple(HingeLoss(band) for band in (0.1, 0.03, 0.01, 0.003))


def _step(objective: Objective, region: Region, here: _Point, loss: Loss) -> _Point | None:
    """A Newton step on the shares, shortened until the cost falls; none if it does not."""
    worth = here.cut.worth[region.free]
    chosen = _working_set(worth, here.shares, region.room)
    hessian = _hessian(objective, region, here, chosen, loss)
    target = here.shares.copy()
    target[chosen] = least_quadratic(-worth[chosen], hessian, here.shares[chosen])
    move, length = target - here.shares, 1.0
    for _ in range(SHORTENED):
        there = _Point.at(objective, region, here.shares + length * move, loss, here.start)
        if there.fit.objective[0] < here.fit.objective[0]:
            return there
        length /= 4
    return None


def _working_set(worth: np.ndarray, shares: np.ndarray, room: int) -> np.ndarray:
    """Free neurons with a share, and those without one that are worth the most."""
    count = min(len(worth), room + COMPANY)
    leading = np.argpartition(-worth, count - 1)[:count]
    return np.union1d(leading, np.flatnonzero(shares))


def _hessian(
    objective: Objective, region: Region, here: _Point, chosen: np.ndarray, loss: Loss
) -> Float[np.ndarray, "unit unit"]:
    """Second derivative of the cost by the shares of some free neurons.

    It is `gamma**2 diag(r) X' M X diag(r)`, with `r = X' alpha` and `M` the inverse of
    `V**-1 + gamma X S X'` on vectors that sum to 0; `V` is the curvature of the examples.
    """
    inside = region.inside
    which = np.concatenate([inside, region.free[chosen]])
    shares = np.concatenate([np.ones(len(inside)), here.shares[chosen]])
    columns = objective.X.T[which]
    blame = here.fit.blame[0]
    reads = columns @ (objective.signed * blame)
    curvature = objective.w * loss.curvature(blame)
    total = curvature.sum() + loss.floor * objective.w.sum()
    weighted = columns * curvature
    centre = weighted.sum(1)
    gram = weighted @ columns.T - np.outer(centre, centre) / total
    root = np.sqrt(shares)
    inner = root[:, None] * gram * root
    inner[np.diag_indices_from(inner)] += 1 / objective.gamma
    half = gram * root
    seen = gram - half @ np.linalg.solve(inner, half.T)
    full = objective.gamma**2 * reads[:, None] * seen * reads
    free = slice(len(inside), None)
    found: Float[np.ndarray, "unit unit"] = (full[free, free] + full[free, free].T) / 2
    return found
