"""Fits on given columns, many small ones at once, each with a dual solution that bounds it."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, Int

from needlepoint.probing.optimal.intercept import hinge_intercepts
from needlepoint.probing.optimal.losses import Loss, stages
from needlepoint.probing.optimal.objective import Objective

BATCH_ELEMENTS = 2**20
"""Numbers in one batch of columns."""


@dataclass(frozen=True)
class Fits:
    """Fits on one set of columns each, and what they prove."""

    weight: Float[np.ndarray, "row k"]
    bias: Float[np.ndarray, " row"]
    blame: Float[np.ndarray, "row example"]
    """A feasible dual solution: both classes carry the same weighted blame."""
    objective: Float[np.ndarray, " row"]
    """Reached by `weight` and `bias`: never below the minimum."""
    bound: Float[np.ndarray, " row"]
    """Earned by `blame` on these columns: never above the minimum."""

    def take(self, rows: Int[np.ndarray, " row"]) -> Fits:
        """Some of the fits, in a given order."""
        return Fits(*(getattr(self, part.name)[rows] for part in fields(self)))


def fit_supports(
    objective: Objective,
    supports: Int[np.ndarray, "row k"],
    *,
    losses: tuple[Loss, ...] | None = None,
) -> Fits:
    """The fits on given neurons, one support in each row, in batches that stay small.

    `losses` as in `fit_columns`.
    """
    size = max(1, BATCH_ELEMENTS // ((supports.shape[1] + 1) * len(objective.y)))
    parts = []
    for first in range(0, len(supports), size):
        chosen = supports[first : first + size]
        columns = objective.X.T[chosen]
        parts.append(fit_columns(objective, columns, losses=losses))
    if len(parts) == 1:
        return parts[0]
    names = [part.name for part in fields(Fits)]
    return Fits(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def fit_columns(
    objective: Objective,
    columns: Float[np.ndarray, "row k example"],
    *,
    start: Float[np.ndarray, "row width"] | None = None,
    losses: tuple[Loss, ...] | None = None,
    max_iter: int = 60,
) -> Fits:
    """The fits on given columns, under the ridge of the objective.

    Args:
        objective: Labels, weights, ridge and loss.
        columns: For each fit its columns, one to a row.
        start: Weights, and the bias last, to start from; zero if not given.
        losses: What to descend on; by default the loss, or bands down to the hinge.
        max_iter: Most Newton steps on each of them.
    """
    if losses is None:
        losses = stages(objective.loss)
    Z = np.concatenate([columns, np.ones_like(columns[:, :1])], axis=1)
    point = np.zeros(Z.shape[:2]) if start is None else start.copy()
    for loss in losses:
        point = _descend(objective, Z, point, loss, max_iter)
    return _proven(objective, Z, point, losses[-1])


def balanced_blame(
    blame: Float[np.ndarray, "row example"], objective: Objective
) -> Float[np.ndarray, "row example"]:
    """Blame made feasible: that of the heavier class is scaled down to the weight of the other.

    Then `sum(alpha) = 0`, whatever the intercept was, and every bound from it is valid.
    """
    positive = objective.y > 0
    upper, lower = blame @ (objective.w * positive), blame @ (objective.w * ~positive)
    least = np.minimum(upper, lower)
    up, down = (least / np.maximum(total, 1e-300) for total in (upper, lower))
    found: Float[np.ndarray, "row example"]
    found = blame * np.where(positive, up[:, None], down[:, None])
    return found


def _proven(objective: Objective, Z: np.ndarray, point: np.ndarray, loss: Loss) -> Fits:
    """Objective and bound of fits that have ended."""
    odds = _odds(point, Z)
    blame = balanced_blame(loss.blame(objective.y * odds), objective)
    if objective.loss == "hinge":
        shift = hinge_intercepts(odds, objective.y, objective.w)
        point, odds = point.copy(), odds + shift[:, None]
        point[:, -1] += shift
    ridge = np.square(point[:, :-1]).sum(1) / (2 * objective.gamma)
    reached = loss.value(objective.y * odds) @ objective.w + ridge
    reads = np.matmul(Z[:, :-1], (objective.signed * blame)[:, :, None])[:, :, 0]
    earned = loss.gain(blame) @ objective.w - objective.gamma / 2 * np.square(reads).sum(1)
    return Fits(point[:, :-1], point[:, -1], blame, reached, earned)


def _descend(
    objective: Objective, Z: np.ndarray, point: np.ndarray, loss: Loss, max_iter: int
) -> np.ndarray:
    """Newton steps until each fit has settled."""
    total = objective.w.sum()
    margins = objective.y * _odds(point, Z)
    rows = np.arange(len(Z))
    for _ in range(max_iter):
        here = point[rows]
        step, promise = _newton_step(objective, Z, here, margins, loss)
        along = objective.y * _odds(step, Z)
        here, margins = _line_search(objective, here, margins, step, along, loss)
        point[rows] = here
        going = promise > loss.settled * total
        if not going.any():
            break
        if going.sum() <= len(rows) // 2:
            rows, Z, margins = rows[going], Z[going], margins[going]
    return point


def _odds(point: np.ndarray, Z: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.matmul(point[:, None], Z)[:, 0]
    return found


def _newton_step(
    objective: Objective, Z: np.ndarray, point: np.ndarray, margins: np.ndarray, loss: Loss
) -> tuple[np.ndarray, np.ndarray]:
    """Newton steps and the decrease that each promises."""
    width = Z.shape[1] - 1
    blame = loss.blame(margins)
    curvature = objective.w * loss.curvature(blame)
    gradient = -np.matmul(Z, (objective.signed * blame)[:, :, None])[:, :, 0]
    gradient[:, :-1] += point[:, :-1] / objective.gamma
    hessian = np.matmul(Z * curvature[:, None], Z.transpose(0, 2, 1))
    inner = np.arange(width)
    hessian[:, inner, inner] += 1 / objective.gamma
    hessian[:, width, width] += loss.floor * objective.w.sum()
    step = -np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
    return step, -(gradient * step).sum(1) / 2


def _line_search(
    objective: Objective,
    here: np.ndarray,
    margins: np.ndarray,
    step: np.ndarray,
    along: np.ndarray,
    loss: Loss,
) -> tuple[np.ndarray, np.ndarray]:
    """Each row's step, shortened by bisection unless the slope along it has hardly turned upward.

    The smooth objective is convex: where the slope still falls at the end of the step, the step
    went down, and where it rises a little, the end is near the minimum of the line.
    """
    bent = np.square(step[:, :-1]).sum(1) / objective.gamma
    flat = (here[:, :-1] * step[:, :-1]).sum(1) / objective.gamma
    weighted = along * objective.w
    low, length = np.zeros(len(here)), np.ones(len(here))
    high = length
    limit = np.abs(flat - (loss.blame(margins) * weighted).sum(1)) / 10
    for _ in range(50):
        blame = loss.blame(margins + length[:, None] * along)
        now = flat + length * bent - (blame * weighted).sum(1)
        over = now > limit
        if not over.any():
            break
        high, low = np.where(over, length, high), np.where(now < 0, length, low)
        length = np.where(over, (low + high) / 2, length)
    return here + length[:, None] * step, margins + length[:, None] * along
