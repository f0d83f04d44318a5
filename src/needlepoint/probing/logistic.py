"""Ridge logistic regression on a given set of columns, batched over features.

Newton steps with a Cholesky factor. The factor is kept while it still serves: a step with a
slightly old factor costs two matrix-vector products, a new one a Gram matrix. The ridge keeps the
matrix positive definite with more columns than examples and when the classes are separable.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import softplus

from needlepoint._core.errors import DataError
from needlepoint.probing.checks import check_acts, check_labels, check_ridge
from needlepoint.probing.columns import compute_dtype
from needlepoint.probing.weights import example_weights

EXCESS = {torch.float32: 1e-8, torch.float64: 1e-16}
"""A fit ends when one more Newton step would lower its loss by less than this."""
KEEP = 0.2
"""A factor is kept while a step with it shrinks the predicted excess at least by this."""

GRAM_BLOCK = 64
FURTHEST = 100.0
"""Most that one step may change any example's log-odds."""


@dataclass(frozen=True)
class Logistic:
    """Logistic regressions, one for each feature: `log-odds = X @ weight + bias`."""

    weight: Float[Tensor, "feature k"]
    bias: Float[Tensor, " feature"]
    loss: Float[Tensor, " feature"]
    """The objective that was minimised, penalty included; float64."""
    n_iter: Int[Tensor, " feature"]
    """Steps taken."""
    gradient_norm: Float[Tensor, " feature"]
    """Length of the gradient at the end; 0 at the exact minimum."""


def fit_logistic(
    X: Float[Tensor, "feature example k"],
    labels: Bool[Tensor, "example feature"],
    *,
    l2: float | Float[Tensor, " feature"],
    start: tuple[Float[Tensor, "feature k"], Float[Tensor, " feature"]] | None = None,
    balanced: bool = True,
    max_iter: int = 100,
) -> Logistic:
    """Ridge logistic regressions on the columns given for each feature, at their minimum.

    The objective, with `y = 1` or `-1` and `f = X @ weight + bias`, is

        (1/n) sum_i w_i log(1 + exp(-y_i f_i)) + (l2/2) |weight|**2

    with `w_i = n / (2 n_class)` if `balanced`, else 1; the bias is free. scikit-learn's
    `LogisticRegression` minimises the same with `C = 1 / (n * l2)`. Columns are taken as they are:
    standardise them first if the penalty is to treat them alike. Weights come in the precision of
    `X`, at least float32.

    Args:
        X: The columns that each feature's classifier reads.
        labels: Whether each example has each feature.
        l2: Ridge penalty, positive; one for all features or one for each.
        start: Weights and biases to start from; zero if not given.
        balanced: Whether both classes count alike.
        max_iter: Most steps to take; `gradient_norm` tells whether they were enough.

    Raises:
        DataError: If `l2` is not positive, or the data cannot be used.
        OneClassError: If a feature has one class only.

    Example:
        >>> X = torch.tensor([[[-1.0], [1.0], [-1.0], [1.0]]])
        >>> labels = torch.tensor([[False], [True], [False], [True]])
        >>> round(fit_logistic(X, labels, l2=0.2689).weight.item(), 3)
        1.0
    """
    check_ridge(l2)
    check_labels(labels, X.shape[1])
    check_acts(X.flatten(0, 1))
    if X.shape[0] != labels.shape[1]:
        raise DataError(
            f"X holds columns for {X.shape[0]} features and labels for {labels.shape[1]}; "
            "give one matrix for each feature."
        )
    X = X.to(compute_dtype(X))
    X = torch.cat([X, torch.ones_like(X[..., :1])], dim=-1)
    problem = Problem.of(X, labels, l2, balanced=balanced)
    point = X.new_zeros(X.shape[0], X.shape[2])
    if start is not None:
        point = torch.cat([start[0], start[1][:, None]], dim=1).to(X.dtype)
    return solve(problem, point, max_iter=max_iter)


@dataclass(frozen=True)
class Problem:
    """Weighted logistic losses with a ridge, one for each row of the batch."""

    X: Float[Tensor, "feature example width"]
    """Columns, the last of which is all ones: the bias."""
    y: Float[Tensor, "feature example"]
    share: Float[Tensor, "feature example"]
    """Weights of the examples over their number."""
    penalty: Float[Tensor, "feature width"]

    @classmethod
    def of(cls, X: Tensor, labels: Tensor, l2: float | Tensor, *, balanced: bool) -> Problem:
        """The problem of given columns (ones included), labels and penalty."""
        y = torch.where(labels.T, 1.0, -1.0).to(X.dtype)
        share = (example_weights(labels, balanced=balanced) / X.shape[1]).to(X.dtype)
        ridge = torch.as_tensor(l2, dtype=X.dtype, device=X.device).expand(X.shape[0])
        penalty = ridge[:, None].repeat(1, X.shape[2])
        penalty[:, -1] = 0.0
        return cls(X, y, share, penalty)

    def select(self, rows: Tensor) -> Problem:
        """Some rows of the batch."""
        if len(rows) == len(self.X):
            return self
        return Problem(self.X[rows], self.y[rows], self.share[rows], self.penalty[rows])

    def narrow(self, keep: Int[Tensor, "feature k"]) -> Problem:
        """Some columns of each row, and the column of ones."""
        last = torch.full_like(keep[:, :1], self.X.shape[2] - 1)
        at = torch.cat([keep, last], dim=1)
        columns = torch.stack([X[:, row] for X, row in zip(self.X, at, strict=True)])
        return Problem(columns, self.y, self.share, self.penalty.gather(1, at))

    def margins(self, point: Tensor) -> Tensor:
        """Label times log-odds, `[feature, example]`."""
        return torch.bmm(self.X, point[:, :, None])[:, :, 0] * self.y

    def loss(self, point: Tensor, margins: Tensor) -> Tensor:
        """The objective of each row, in float64."""
        data = softplus(-margins).mul_(self.share).sum(1, dtype=torch.float64)
        return data + (self.penalty.double() * point.double().square()).sum(1) / 2

    def derivatives(self, point: Tensor, margins: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient of each row, and the curvature of each example."""
        wrong = torch.sigmoid(-margins)
        residual = wrong * self.share * self.y
        gradient = self.penalty * point - torch.bmm(residual[:, None], self.X)[:, 0]
        return gradient, wrong * (1 - wrong) * self.share

    def factor(self, curvature: Tensor) -> Tensor:
        """Cholesky factor of the Hessian; a trace of ridge is added where rounding asks for it."""
        hessian = weighted_gram(self.X, curvature)
        diagonal = hessian.diagonal(dim1=1, dim2=2)
        diagonal += self.penalty
        tiny = torch.finfo(hessian.dtype).eps * diagonal.mean(1, keepdim=True)
        diagonal += tiny
        factor: Tensor
        for _ in range(10):
            factor, failed = torch.linalg.cholesky_ex(hessian)
            if not bool(failed.any()):
                return factor
            tiny = tiny * 16
            diagonal += torch.where(failed[:, None] > 0, tiny, 0.0)
        raise DataError(
            "the columns are too large, or too unlike in scale, for this precision; "
            "standardise them, or give them in float64."
        )


def weighted_gram(
    X: Float[Tensor, "feature example width"], weight: Float[Tensor, "feature example"]
) -> Float[Tensor, "feature width width"]:
    """`X' diag(weight) X` of each row, by the blocks on and above the diagonal only."""
    width, scaled = X.shape[2], X * weight[:, :, None]
    gram = X.new_empty(len(X), width, width)
    for first in range(0, width, GRAM_BLOCK):
        last = min(first + GRAM_BLOCK, width)
        strip = torch.bmm(scaled[..., first:last].mT, X[..., first:])
        gram[:, first:last, first:] = strip
        gram[:, first:, first:last] = strip.mT
    return gram


def solve(
    problem: Problem, point: Float[Tensor, "feature width"], *, max_iter: int = 100
) -> Logistic:
    """The minimum of each row, reached from `point`, with its loss and gradient."""
    point, n_iter = minimise(problem, point, max_iter=max_iter)
    margins = problem.margins(point)
    gradient, _ = problem.derivatives(point, margins)
    norm, loss = gradient.norm(dim=1).double(), problem.loss(point, margins)
    return Logistic(point[:, :-1], point[:, -1], loss, n_iter, norm)


def minimise(
    problem: Problem, point: Float[Tensor, "feature width"], *, max_iter: int
) -> tuple[Float[Tensor, "feature width"], Int[Tensor, " feature"]]:
    """The minimum of each row, reached from `point`, and the steps that it took."""
    found, here, margins = point.clone(), point, problem.margins(point)
    rows = torch.arange(len(point), device=point.device)
    n_iter = torch.zeros_like(rows)
    gradient, curvature = problem.derivatives(here, margins)
    factor = problem.factor(curvature)
    before = torch.full_like(point[:, 0], torch.inf)
    for taken in range(1, max_iter + 1):
        step, excess = _newton_step(factor, gradient)
        stale = (excess > KEEP * before).nonzero()[:, 0]
        if len(stale):
            factor[stale] = problem.select(stale).factor(curvature[stale])
            step[stale], excess[stale] = _newton_step(factor[stale], gradient[stale])
        here, margins = _descend(problem, here, margins, step, excess)
        found[rows], n_iter[rows], before = here, taken, excess
        still = (excess > EXCESS[point.dtype]).nonzero()[:, 0]
        if len(still) == 0:
            break
        if len(still) < len(rows):
            problem, rows, here, margins = (
                problem.select(still),
                rows[still],
                here[still],
                margins[still],
            )
            factor, before = factor[still], before[still]
        gradient, curvature = problem.derivatives(here, margins)
    return found, n_iter


def _newton_step(factor: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """The step that a factor of the Hessian proposes, and the fall of the loss it promises."""
    step = -torch.cholesky_solve(gradient[:, :, None], factor)[:, :, 0]
    return step, -(gradient * step).sum(1) / 2


def _descend(
    problem: Problem, here: Tensor, margins: Tensor, step: Tensor, excess: Tensor
) -> tuple[Tensor, Tensor]:
    """Step down the line, halving each row's step until its loss falls in keeping with its slope.

    Losses are compared with room for rounding, so that a row at its minimum keeps its full step.
    """
    along = problem.margins(step)
    loss = problem.loss(here, margins)
    slack = torch.finfo(margins.dtype).eps * loss
    # Where the loss is all but straight a Newton step knows no bounds.
    length = (FURTHEST / along.abs().amax(1)).clamp(max=1.0)
    for _ in range(40):
        there = here + length[:, None] * step
        reached = margins + length[:, None] * along
        failed = problem.loss(there, reached) > loss - 2e-4 * length * excess + slack
        if not bool(failed.any()):
            return there, reached
        length = torch.where(failed, length / 2, length)
    stay = failed[:, None]
    return torch.where(stay, here, there), torch.where(stay, margins, reached)
