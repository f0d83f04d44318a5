"""Newton's method on many convex losses side by side, whatever proposes the step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import softplus

from needlepoint.probing.weights import example_weights

EXCESS = {torch.float32: 1e-8, torch.float64: 1e-16}
"""A fit ends when one more Newton step would lower its loss by less than this."""
AFAR = 1e-3
"""Steps that promise more than this are worth a look along the line."""
FURTHEST = 100.0
"""Most that one step may change any example's log-odds."""


@dataclass(frozen=True)
class Target:
    """What classifiers are fitted to: labels and the weights of the examples."""

    y: Float[Tensor, "feature example"]
    """1 or -1."""
    share: Float[Tensor, "feature example"]
    """Weights of the examples over their number."""

    @classmethod
    def of(
        cls, labels: Bool[Tensor, "example feature"], dtype: torch.dtype, *, balanced: bool
    ) -> Target:
        """Labels and weights in the precision of the fit."""
        y = torch.where(labels.T, 1.0, -1.0).to(dtype)
        share = (example_weights(labels, balanced=balanced) / len(labels)).to(dtype)
        return cls(y, share)

    def select(self, features: Tensor) -> Target:
        """Some of the features."""
        return Target(self.y[features], self.share[features])

    def loss(self, margins: Float[Tensor, "feature example"]) -> Float[Tensor, " feature"]:
        """Mean weighted logistic loss, in float64."""
        return softplus(-margins).mul_(self.share).sum(1, dtype=torch.float64)

    def derivatives(
        self, margins: Float[Tensor, "feature example"]
    ) -> tuple[Float[Tensor, "feature example"], Float[Tensor, "feature example"]]:
        """Minus the slope of the loss in each example's margin, and its curvature."""
        wrong = torch.sigmoid(-margins)
        push = wrong * self.share
        return push, torch.addcmul(push, push, wrong, value=-1)


@runtime_checkable
class Fits(Protocol):
    """Ridge logistic losses of several features, wherever their columns are kept."""

    @property
    def target(self) -> Target:
        """What is fitted to."""

    @property
    def penalty(self) -> Tensor:
        """Ridge on each coordinate, `[feature, width]`."""

    def margins(self, point: Tensor) -> Tensor:
        """Label times log-odds, `[feature, example]`."""

    def derivatives(self, point: Tensor, margins: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient of each feature, and the curvature of each example."""


F = TypeVar("F", bound=Fits)


class Descent(ABC, Generic[F]):
    """Newton's method under way: features that have arrived are dropped, half of them at a time."""

    def __init__(self, problem: F, point: Float[Tensor, "feature width"]) -> None:
        self.problem, self.here = problem, point
        self.margins = problem.margins(point)
        self.loss = self.objective(point, self.margins)
        self.gradient, self.curvature = problem.derivatives(point, self.margins)
        self.rows = torch.arange(len(point), device=point.device)
        self.exact = torch.zeros_like(self.rows, dtype=torch.bool)
        """Whether the step proposed is that of the Hessian here, not of one like it."""
        self.end, self.end_gradient, self.end_loss = point, self.gradient, self.loss
        self.n_iter = torch.zeros_like(self.rows)

    @abstractmethod
    def propose(self) -> tuple[Tensor, Tensor]:
        """A step down, and the fall of the loss that it promises; sets `exact`."""

    def objective(self, point: Tensor, margins: Tensor) -> Float[Tensor, " feature"]:
        """The loss of each feature with its penalty, in float64."""
        ridge = (self.problem.penalty * point.square()).sum(1).double() / 2
        return self.problem.target.loss(margins) + ridge

    def run(self, max_iter: int) -> None:
        """Step until all have arrived; `end` and what goes with it tell where."""
        for taken in range(1, max_iter + 1):
            if self._step(taken):
                break

    def _step(self, taken: int) -> bool:
        """Take one step; return whether all features have arrived."""
        step, excess = self.propose()
        reach = self._descend(step, excess)
        self.gradient, self.curvature = self.problem.derivatives(self.here, self.margins)
        # A Newton step of reach r leaves at most this share of what it promised (Bach 2010).
        r = reach.clamp(1e-6, 20.0)
        share = (r.exp() * ((r.expm1() - r) / r).square()).clamp(max=1.0)
        left = torch.where(self.exact, share, 1.0)
        self.note(taken)
        still = (excess * left > EXCESS[step.dtype]).nonzero()[:, 0]
        if 0 < 2 * len(still) <= len(self.rows):
            self.keep(still)
        return len(still) == 0

    def note(self, taken: int) -> None:
        """Write down where the features stand."""
        rows = self.rows
        if len(rows) == len(self.end):
            self.end, self.end_gradient, self.end_loss = self.here, self.gradient, self.loss
            self.n_iter = torch.full_like(rows, taken)
            return
        self.end[rows], self.end_gradient[rows] = self.here, self.gradient
        self.end_loss[rows], self.n_iter[rows] = self.loss, taken

    def keep(self, still: Tensor) -> None:
        """Go on with some of the features; a subclass narrows the problem."""
        self.rows = self.rows[still]
        self.here, self.margins, self.loss = self.here[still], self.margins[still], self.loss[still]
        self.gradient, self.curvature = self.gradient[still], self.curvature[still]
        self.exact = self.exact[still]

    def _descend(self, step: Tensor, excess: Tensor) -> Tensor:
        """Step down the line, halving each step until its loss falls in keeping with its slope.

        Returns the largest change of any example's log-odds if the step was taken in full, else
        infinity. Losses are compared with room for rounding, so that a feature at its minimum
        keeps its full step.
        """
        along_step = self.problem.margins(step)
        slack = torch.finfo(step.dtype).eps * self.loss
        # Where the loss is all but straight a Newton step knows no bounds.
        reach = along_step.abs().amax(1)
        length = self._length(step, along_step, excess, FURTHEST / reach)
        for _ in range(40):
            there = torch.addcmul(self.here, length[:, None], step)
            reached = torch.addcmul(self.margins, length[:, None], along_step)
            loss = self.objective(there, reached)
            failed = loss > self.loss - 2e-4 * length * excess + slack
            if not bool(failed.any()):
                self.here, self.margins, self.loss = there, reached, loss
                return torch.where(length == 1.0, reach, torch.inf)
            length = torch.where(failed, length / 2, length)
        stay = failed[:, None]
        self.here = torch.where(stay, self.here, there)
        self.margins = torch.where(stay, self.margins, reached)
        self.loss = torch.where(failed, self.loss, loss)
        return torch.full_like(reach, torch.inf)

    def _length(self, step: Tensor, along_step: Tensor, excess: Tensor, most: Tensor) -> Tensor:
        """How far to go: all the way, or from afar to the lowest point of the line."""
        length = most.clamp(max=1.0)
        if not bool((excess > AFAR).any()):
            return length
        flat = (self.problem.penalty * step * self.here).sum(1)
        bend = (self.problem.penalty * step * step).sum(1)
        for _ in range(3):
            push, curvature = self.problem.target.derivatives(
                torch.addcmul(self.margins, length[:, None], along_step)
            )
            slope = flat + length * bend - (push * along_step).sum(1)
            rise = bend + (curvature * along_step.square()).sum(1)
            # What has arrived beside others proposes no step at all: 0 / 0.
            length = length - torch.where(rise > 0, slope / rise, 0.0)
            length = torch.minimum(length.clamp(min=0.1, max=10.0), most)
        return length
