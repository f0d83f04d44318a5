"""Ridge logistic regression on a given set of columns, batched over features.

Newton steps with a Cholesky factor. The factor is kept while it still serves: a step with a
slightly old factor costs two matrix-vector products, a new one a Gram matrix, of wide fits a rough
one. A sweep hands the Hessian of a larger fit down, whose rows and columns serve the smaller one.
The ridge keeps the matrix positive definite with more columns than examples and when the classes
are separable.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.probing.checks import check_acts, check_labels, check_ridge, check_same_device
from needlepoint.probing.columns import compute_dtype
from needlepoint.probing.descent import Descent, Target
from needlepoint.probing.gram import against, along, can_be_rough, rough_gram, weighted_gram

KEEP = 0.2
"""A factor is kept while a step with it shrinks the predicted excess at least by this."""
CHEAP = 64
"""Up to this width a Gram matrix costs no more than the step that it would save."""


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
    check_same_device(X, labels)
    if X.shape[0] != labels.shape[1]:
        raise DataError(
            f"X holds columns for {X.shape[0]} features and labels for {labels.shape[1]}; "
            "give one matrix for each feature."
        )
    rows = X.to(compute_dtype(X)).mT
    rows = torch.cat([rows, torch.ones_like(rows[:, :1])], dim=1)
    target = Target.of(labels, rows.dtype, balanced=balanced)
    ridge = torch.as_tensor(l2, dtype=torch.float64, device=X.device).expand(len(X))
    point = rows.new_zeros(rows.shape[:2])
    if start is not None:
        point = torch.cat([start[0], start[1][:, None]], dim=1).to(rows.dtype)
    return solve(Problem.of(rows, target, ridge), point, max_iter=max_iter).fit


@dataclass(frozen=True)
class Problem:
    """Weighted logistic losses with a ridge, one for each feature."""

    X: Float[Tensor, "feature width example"]
    """Rows that the classifiers read, the last of which is all ones: the bias."""
    target: Target
    penalty: Float[Tensor, "feature width"]

    @classmethod
    def of(cls, X: Tensor, target: Target, l2: Float[Tensor, " feature"]) -> Problem:
        """The problem of given rows (ones included), target and penalties."""
        penalty = l2.to(X.dtype)[:, None].repeat(1, X.shape[1])
        penalty[:, -1] = 0.0
        return cls(X, target, penalty)

    def select(self, features: Tensor) -> Problem:
        """Some of the features."""
        if len(features) == len(self.X):
            return self
        return Problem(self.X[features], self.target.select(features), self.penalty[features])

    def margins(self, point: Tensor) -> Tensor:
        """Label times log-odds, `[feature, example]`."""
        return along(self.X, point).mul_(self.target.y)

    def derivatives(self, point: Tensor, margins: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient of each feature, and the curvature of each example."""
        push, curvature = self.target.derivatives(margins)
        return self.penalty * point - against(self.X, push * self.target.y), curvature

    def hessian(
        self, curvature: Tensor, *, rough: bool = False
    ) -> Float[Tensor, "feature width width"]:
        """Second derivatives, ridge included."""
        hessian = (rough_gram if rough else weighted_gram)(self.X, curvature)
        hessian.diagonal(dim1=1, dim2=2).add_(self.penalty)
        return hessian


def factorise(
    hessian: Float[Tensor, "feature width width"],
) -> Float[Tensor, "feature width width"]:
    """Cholesky factor of a Hessian; a trace of ridge is added where rounding asks for it.

    Raises:
        DataError: If no trace of ridge helps: the columns are out of scale.
    """
    shifted = hessian.clone()
    diagonal = shifted.diagonal(dim1=1, dim2=2)
    tiny = torch.finfo(hessian.dtype).eps * diagonal.mean(1, keepdim=True)
    diagonal += tiny
    factor: Tensor
    for _ in range(10):
        factor, failed = torch.linalg.cholesky_ex(shifted)
        if not bool(failed.any()):
            return factor
        tiny = tiny * 16
        diagonal += torch.where(failed[:, None] > 0, tiny, 0.0)
    raise DataError(
        "the columns are too large, or too unlike in scale, for this precision; "
        "standardise them, or give them in float64."
    )


@dataclass(frozen=True)
class Solved:
    """A fit, and the Hessian that its last steps were taken with: near the minimum, not at it."""

    fit: Logistic
    hessian: Float[Tensor, "feature width width"]


def solve(
    problem: Problem,
    point: Float[Tensor, "feature width"],
    *,
    hessian: Float[Tensor, "feature width width"] | None = None,
    max_iter: int = 100,
) -> Solved:
    """The minimum of each feature, reached from `point`, with its loss and gradient.

    Args:
        problem: What to minimise.
        point: Where to start, the bias last.
        hessian: An approximate Hessian to start with; the one at `point` if not given.
        max_iter: Most steps to take.
    """
    search = _Cholesky(problem, point, hessian)
    search.run(max_iter)
    norm = search.end_gradient.norm(dim=1).double()
    fit = Logistic(search.end[:, :-1], search.end[:, -1], search.end_loss, search.n_iter, norm)
    return Solved(fit, search.end_hessian)


class _Cholesky(Descent[Problem]):
    """Steps by a factor of the Hessian, kept while it serves."""

    def __init__(self, problem: Problem, point: Tensor, hessian: Tensor | None) -> None:
        super().__init__(problem, point)
        self.rough = can_be_rough(problem.X)
        self.kept = KEEP if point.shape[1] > CHEAP else 0.0
        self.exact |= hessian is None and not self.rough
        self.hessian = self._here() if hessian is None else hessian.clone()
        self.factor = factorise(self.hessian)
        self.before: Tensor | None = None
        self.end_hessian = self.hessian

    def propose(self) -> tuple[Tensor, Tensor]:
        """The step that the factor proposes, made anew where it has grown stale."""
        before = self.before
        if before is not None and self.kept == 0:
            return self._renewed()
        step, self.before = _solve(self.factor, self.gradient)
        if before is None:
            return step, self.before
        stale = self.before > self.kept * before
        if bool(stale.all()):
            return self._renewed()
        self.exact = stale & (not self.rough)
        if bool(stale.any()):
            at = stale.nonzero()[:, 0]
            fresh = self.problem.select(at).hessian(self.curvature[at], rough=self.rough)
            self.hessian[at], self.factor[at] = fresh, factorise(fresh)
            step[at], self.before[at] = _solve(self.factor[at], self.gradient[at])
        return step, self.before

    def _here(self) -> Tensor:
        return self.problem.hessian(self.curvature, rough=self.rough)

    def _renewed(self) -> tuple[Tensor, Tensor]:
        """Steps with all factors made anew."""
        self.hessian = self._here()
        if len(self.rows) == len(self.end_hessian):
            self.end_hessian = self.hessian
        self.factor = factorise(self.hessian)
        self.exact = torch.full_like(self.exact, not self.rough)
        step, self.before = _solve(self.factor, self.gradient)
        return step, self.before

    def note(self, taken: int) -> None:
        """Write down where the features stand, and the Hessian that led there."""
        super().note(taken)
        if len(self.rows) < len(self.end_hessian):
            self.end_hessian[self.rows] = self.hessian

    def keep(self, still: Tensor) -> None:
        """Go on with some of the features."""
        super().keep(still)
        self.problem = self.problem.select(still)
        self.hessian, self.factor = self.hessian[still], self.factor[still]
        self.before = None if self.before is None else self.before[still]


def _solve(factor: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """The step that a factor of the Hessian proposes, and the fall of the loss it promises."""
    step = -torch.cholesky_solve(gradient[:, :, None], factor)[:, :, 0]
    return step, -(gradient * step).sum(1) / 2
