"""What the quadratic model of a fit promises for neurons that it does not read, all at once.

For one feature, whose fit on a support S has the Hessian H (ridge included), every neuron j of
the layer gets the slope of the loss in its weight and the curvature that is left of it once the
neurons of S have answered: two matrix products for the whole layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.models.products import product
from needlepoint.probing.logistic import solve
from needlepoint.probing.path import Fitted, Rows, stack

ALIKE = {torch.float32: 1e-6, torch.float64: 1e-12}
"""Losses that differ by less than this share are taken for equal."""
CHUNK = 64
"""Neurons squared at once, so that no second copy of the layer is made."""


@dataclass(frozen=True)
class Outlook:
    """Slopes and curvatures of every neuron of the layer around one fit."""

    slope: Float[Tensor, " neuron"]
    bend: Float[Tensor, " neuron"]
    """Curvature given the neurons that are read; at least the ridge."""
    cross: Float[Tensor, "neuron width"]
    """How the neurons read, and the bias, answer to a unit of each neuron, with opposite sign."""
    inverse: Float[Tensor, "width width"]
    weight: Float[Tensor, " k"]
    read: Int[Tensor, " k"]
    """Rows of the neurons read."""

    @classmethod
    def of(cls, rows: Rows, fitted: Fitted, feature: int) -> Outlook:
        """The outlook of the only fit in `fitted`, which is of one feature of `rows`."""
        at = torch.tensor([feature], device=rows.block.device)
        problem = rows.problem(fitted.support, at)
        push, curvature = problem.target.derivatives(problem.margins(fitted.point))
        scaled = problem.X[0] * curvature[0]
        hessian = product(scaled, problem.X[0].T).double() + problem.penalty[0].double().diag()
        inverse = torch.linalg.inv(hessian)
        shared = product(rows.block, scaled.T).double()
        cross, l2 = shared @ inverse, rows.l2[feature]
        own = torch.cat([part.square() @ curvature[0] for part in torch.split(rows.block, CHUNK)])
        return cls(
            slope=-(rows.block @ (push * problem.target.y)[0]).double(),
            bend=(own.double() + l2 - (cross * shared).sum(1)).clamp(min=float(l2)),
            cross=cross,
            inverse=inverse,
            weight=fitted.weight[0].double(),
            read=rows.places(fitted.support[0]),
        )

    def gains(self) -> Float[Tensor, " neuron"]:
        """How far the loss falls if a neuron is added; minus infinity for those already read."""
        found = self.slope.square() / (2 * self.bend)
        found[self.read] = -torch.inf
        return found

    def exchanges(self) -> Float[Tensor, "k neuron"]:
        """How far the loss falls if a neuron that is read gives way to another.

        Giving neuron i up turns the slopes of the others and frees curvature that it had taken.
        """
        k = len(self.weight)
        own = self.inverse.diagonal()[:k, None]
        cross = self.cross[:, :k].T
        slope = self.slope - self.weight[:, None] / own * cross
        bend = self.bend + cross.square() / own
        found = slope.square() / (2 * bend) - self.weight.square()[:, None] / (2 * own)
        found[:, self.read] = -torch.inf
        return found


def best_refit(rows: Rows, feature: int, supports: Tensor, start: Tensor) -> Fitted:
    """Of several supports `[row, k]` of one feature, the one whose exact fit has the lowest loss.

    Losses that rounding cannot tell apart are a tie, which goes to the first. `start` holds a
    point to start from for each, the bias last.

    Raises:
        DataError: If there is no support.
    """
    if len(supports) == 0:
        raise DataError("there is no support to choose from; give at least one.")
    order = supports.sort(1)
    start = torch.cat([start[:, :-1].gather(1, order.indices), start[:, -1:]], dim=1)
    fits = []
    for lot in rows.together(supports.shape[1], len(supports)):
        problem = rows.problem(order.values[lot], torch.full_like(lot, feature))
        fits.append(Fitted(order.values[lot], solve(problem, start[lot]).fit, None))
    found = stack(fits)
    alike = found.fit.loss <= found.fit.loss.min() * (1 + ALIKE[start.dtype])
    return found.one(int(alike.to(torch.int8).argmax()))
