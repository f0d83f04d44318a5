"""Ridge logistic regression on one block of neurons that many features share.

Newton's method with conjugate gradients. All features read the same rows, so that every product
with the data is one matrix product for all of them, and one unweighted Gram matrix, like all
their Hessians up to a factor, conditions every step. No Hessian is formed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint.models.products import product
from needlepoint.probing.descent import Descent, Target
from needlepoint.probing.logistic import Logistic, factorise

FORCING = 0.1
"""A step is worked out until this share of the gradient that it answers is left."""
MAX_INNER = 200
TINY = 1e-30
"""Keeps the division by a residual that is nil defined."""
CURVATURE = 0.05
"""Mean curvature that the shared matrix assumes: 0.25 at zero, less the better the fit."""


def solve_shared(
    rows: Float[Tensor, "neuron example"],
    target: Target,
    l2: Float[Tensor, " feature"],
    *,
    max_iter: int = 100,
) -> Logistic:
    """Fits of every feature on the same standardised rows, at their minimum, from zero.

    The objective and the end of the search are those of `logistic.solve`.
    """
    penalty = l2.to(rows.dtype)[:, None].repeat(1, len(rows) + 1)
    penalty[:, -1] = 0.0
    search = _ConjugateGradient(_Shared(rows, target, penalty), torch.zeros_like(penalty))
    search.run(max_iter)
    norm = search.end_gradient.norm(dim=1).double()
    return Logistic(search.end[:, :-1], search.end[:, -1], search.end_loss, search.n_iter, norm)


@dataclass(frozen=True)
class _Shared:
    """Logistic losses on rows that all features read, and a free bias for each."""

    rows: Float[Tensor, "neuron example"]
    target: Target
    penalty: Float[Tensor, "feature width"]

    def select(self, features: Tensor) -> _Shared:
        return _Shared(self.rows, self.target.select(features), self.penalty[features])

    def along(self, point: Tensor) -> Tensor:
        """Log-odds, `[feature, example]`."""
        return product(point[:, :-1], self.rows).add_(point[:, -1:])

    def against(self, values: Tensor) -> Tensor:
        """Sums over the examples on each row, and of the values themselves: the bias."""
        return torch.cat([product(values, self.rows.T), values.sum(1, keepdim=True)], dim=1)

    def margins(self, point: Tensor) -> Tensor:
        return self.along(point).mul_(self.target.y)

    def derivatives(self, point: Tensor, margins: Tensor) -> tuple[Tensor, Tensor]:
        push, curvature = self.target.derivatives(margins)
        return self.penalty * point - self.against(push * self.target.y), curvature


class _ConjugateGradient(Descent[_Shared]):
    """Newton steps worked out by conjugate gradients, for all features at once."""

    def __init__(self, problem: _Shared, point: Tensor) -> None:
        super().__init__(problem, point)
        self.conditioner = _Conditioner(problem.rows, problem.penalty[:, 0])

    def keep(self, still: Tensor) -> None:
        """Go on with some of the features."""
        super().keep(still)
        self.problem = self.problem.select(still)

    def propose(self) -> tuple[Tensor, Tensor]:
        """The step, to a tenth of the gradient."""
        level = self.curvature.sum(1, keepdim=True)
        penalty = self.problem.penalty

        def condition(residual: Tensor) -> Tensor:
            return self.conditioner(residual, penalty[:, 0], level)

        step, residual = torch.zeros_like(self.gradient), -self.gradient
        direction = answer = condition(residual)
        size = first = (residual * answer).sum(1, keepdim=True)
        for _ in range(MAX_INNER):
            if not bool((size > FORCING**2 * first).any()):
                break
            bent = self.problem.against(self.problem.along(direction).mul_(self.curvature))
            bent += penalty * direction
            length = size / (direction * bent).sum(1, keepdim=True).clamp(min=TINY)
            step, residual = step + length * direction, residual - length * bent
            answer = condition(residual)
            before, size = size, (residual * answer).sum(1, keepdim=True)
            direction = answer + size / before.clamp(min=TINY) * direction
        return step, -(self.gradient * step).sum(1) / 2


class _Conditioner:
    """Division by `level * (rows rows' / n + l2 / CURVATURE)`, a factor for each penalty.

    With fewer examples than neurons the factor is that of the examples (Woodbury).
    """

    def __init__(
        self, rows: Float[Tensor, "neuron example"], l2: Float[Tensor, " feature"]
    ) -> None:
        self.rows, self.wide = rows, rows.shape[0] > rows.shape[1]
        gram = product(rows.T, rows) if self.wide else product(rows, rows.T)
        gram = gram / rows.shape[1]
        self.factors: dict[float, Tensor] = {}
        for value in sorted(set(l2.tolist())):
            ridge = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
            shifted = torch.add(gram, ridge, alpha=value / CURVATURE)
            self.factors[value] = factorise(shifted[None])[0]

    def __call__(self, residual: Tensor, l2: Tensor, level: Tensor) -> Tensor:
        """The answer to each row of `residual`, the bias last, divided by its own curvature."""
        found = residual / level
        for value, factor in self.factors.items():
            at = (l2 == value).nonzero()[:, 0]
            if len(at):
                found[at, :-1] = self._divide(found[at, :-1], factor, value / CURVATURE)
        return found

    def _divide(self, values: Tensor, factor: Tensor, ridge: float) -> Tensor:
        if not self.wide:
            return torch.cholesky_solve(values.T, factor).T
        inner = torch.cholesky_solve(product(values, self.rows).T, factor).T
        inner = product(inner, self.rows.T)
        return (values - inner / self.rows.shape[1]) / ridge
