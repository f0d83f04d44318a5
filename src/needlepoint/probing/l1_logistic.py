"""Logistic regression with an L1 penalty on all neurons of a layer, solved to a duality gap.

Few neurons get a weight at all. Only neurons that may get one are worked on: a working set grows
by those that violate the optimality conditions most, and the gap, which is over the whole layer,
says when nothing is left to find. On the working set each Newton step minimises the second-order
model of the loss plus the penalty. All features step together.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import softplus

from needlepoint._core.errors import DataError
from needlepoint.probing.checks import check_data
from needlepoint.probing.columns import blocks
from needlepoint.probing.weights import example_weights

TOLERANCE = 1e-8
"""Gap at which a fit ends; no weights at all cost log 2."""
FIRST_SET = 32
ROUNDS = 60
NEWTON_STEPS = 30
INNER_STEPS = 300
ROUNDING = 1e-14
"""Rise of the objective that a step may show by rounding."""
BATCH_ELEMENTS = 2**24
"""Numbers in the working sets of the features that step together."""


@dataclass(frozen=True)
class L1Logistic:
    """L1 logistic regressions on standardised neurons, one for each feature; all float64."""

    weight: Float[Tensor, "feature neuron"]
    """Log-odds per standard deviation; exactly 0 for most. Copies of a neuron share its weight."""
    bias: Float[Tensor, " feature"]
    """Log-odds where every neuron is at its mean."""
    gradient: Float[Tensor, "feature neuron"]
    """Derivative of the loss by each weight: its size is `l1` where the weight is not 0."""
    loss: Float[Tensor, " feature"]
    """The objective that was minimised, penalty included."""
    gap: Float[Tensor, " feature"]
    """The minimum is at most this much lower."""


def fit_l1_logistic(
    acts: Float[Tensor, "example neuron"],
    labels: Bool[Tensor, "example feature"],
    *,
    l1: float,
    tolerance: float = TOLERANCE,
) -> L1Logistic:
    """L1-penalised logistic classifiers on all standardised neurons, for each feature.

    The objective, with `y = 1` or `-1` and `f = z @ weight + bias`, is

        (1/n) sum_i w_i log(1 + exp(-y_i f_i)) + l1 |weight|_1

    with `w_i = n / (2 n_class)`. The bias is free. scikit-learn's `LogisticRegression` with
    `class_weight="balanced"`, an L1 penalty and `saga` minimises the same with `C = 1 / (n * l1)`.

    Raises:
        DataError: If `l1` is not positive, the data cannot be used, or the gap stays open.
        OneClassError: If a feature has one class only.

    Example:
        >>> acts = torch.tensor([[0.0, 1.0], [0.0, -1.0], [1.0, 1.0], [1.0, -1.0]])
        >>> labels = torch.tensor([[False], [False], [True], [True]])
        >>> weight = fit_l1_logistic(acts, labels, l1=0.2689).weight[0]
        >>> [round(value, 3) for value in weight.tolist()]
        [1.0, 0.0]
    """
    check_data(acts, labels)
    if not 0 < l1 < torch.inf:
        raise DataError(f"l1 must be positive and finite, not {l1}; try 0.02.")
    first, group, copies = _distinct(acts)
    Z = torch.cat([part.z for part in blocks(acts[:, first], torch.float64)], dim=1)
    y = torch.where(labels.T, 1.0, -1.0).double()
    share = example_weights(labels, balanced=True) / len(labels)
    step = max(1, BATCH_ELEMENTS // (len(Z) * min(Z.shape[1], 4 * FIRST_SET)))
    parts = [
        _Fit(Z, signs, shares, l1).solve(tolerance)
        for signs, shares in zip(torch.split(y, step), torch.split(share, step), strict=True)
    ]
    weight, bias, gradient, loss, gap = (torch.cat(part) for part in zip(*parts, strict=True))
    if bool((gap > tolerance).any()):
        raise DataError(
            f"the L1 fit of feature {int(gap.argmax())} is still {float(gap.max()):.1e} from its "
            f"minimum; raise l1 or the tolerance ({tolerance:.0e})."
        )
    return L1Logistic((weight / copies)[:, group], bias, gradient[:, group], loss, gap)


def _distinct(acts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One neuron of each set of copies, the set of each neuron, and the sizes of the sets."""
    generator = torch.Generator().manual_seed(0)
    factor = torch.randint(-(2**62), 2**62, (len(acts), 1), generator=generator)
    parts = torch.split(acts.T, 256)
    factor = factor.to(acts.device)
    # Sums of integers that wrap around: equal columns give equal sums, others all but never.
    sums = [(part.T.double().contiguous().view(torch.int64) * factor).sum(0) for part in parts]
    _, group, copies = torch.unique(torch.cat(sums), return_inverse=True, return_counts=True)
    first = torch.full_like(copies, acts.shape[1])
    first.scatter_reduce_(0, group, torch.arange(len(group), device=acts.device), "amin")
    return first, group, copies


class _Fit:
    """The state of the fits of some features that step together."""

    def __init__(self, Z: Tensor, y: Tensor, share: Tensor, l1: float) -> None:
        self.Z, self.y, self.share, self.l1 = Z, y, share, l1
        self.bias = torch.zeros_like(y[:, 0])
        self.kept = self._wanted(torch.zeros(len(y), Z.shape[1]).to(y), FIRST_SET)
        self.weight = torch.zeros_like(self.kept, dtype=torch.float64)

    def solve(self, tolerance: float) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Weights, biases, gradients, losses and gaps."""
        for _ in range(ROUNDS):
            columns = self.Z.T[self.kept]
            self._minimise(columns, tolerance / 4)
            odds = self._odds(columns)
            gradient = -self._residual(odds) @ self.Z
            loss, gap = self._gap(odds, gradient)
            if bool((gap <= tolerance).all()):
                break
            self._extend(gradient)
        weight = torch.zeros_like(gradient).scatter_(1, self.kept, self.weight)
        return weight, self.bias, gradient, loss, gap

    def _odds(self, columns: Tensor) -> Tensor:
        return torch.bmm(self.weight[:, None], columns)[:, 0] + self.bias[:, None]

    def _residual(self, odds: Tensor) -> Tensor:
        return self.share * self.y * torch.sigmoid(-self.y * odds)

    def _loss(self, odds: Tensor, weight: Tensor) -> Tensor:
        data = (self.share * softplus(-self.y * odds)).sum(1)
        return data + self.l1 * weight.abs().sum(1)

    def _gap(self, odds: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """The objective, and how far above the dual objective it lies.

        As the bias is at its minimum the residuals add up to 0; shrunk until no gradient exceeds
        the penalty they are feasible for the dual.
        """
        loss = self._loss(odds, self.weight)
        shrink = (self.l1 / gradient.abs().amax(1)).clamp(max=1.0)[:, None]
        wrong = torch.sigmoid(-self.y * odds) * shrink
        minus_entropy = torch.xlogy(wrong, wrong) + torch.special.xlog1py(1 - wrong, -wrong)
        return loss, loss + (self.share * minus_entropy).sum(1)

    def _wanted(self, gradient: Tensor, count: int) -> Tensor:
        odds = torch.zeros_like(self.y)
        start = -self._residual(odds) @ self.Z if not gradient.any() else gradient
        return start.abs().topk(min(count, start.shape[1]), dim=1).indices

    def _extend(self, gradient: Tensor) -> None:
        """Keep the neurons in use, and let in as many again of those with the largest gradients."""
        in_use = torch.zeros_like(gradient).scatter_(1, self.kept, self.weight.abs())
        most = int((in_use > 0).sum(1).amax())
        size = min(max(self.kept.shape[1], 2 * most) + FIRST_SET, gradient.shape[1])
        urgency = torch.where(in_use > 0, torch.inf, gradient.abs())
        kept = urgency.topk(size, dim=1).indices
        every = torch.zeros_like(gradient).scatter_(1, self.kept, self.weight)
        self.kept, self.weight = kept, every.gather(1, kept)

    def _minimise(self, columns: Tensor, tolerance: float) -> None:
        """Newton steps on the working set until its own gap is closed."""
        for _ in range(NEWTON_STEPS):
            self._centre(columns)
            odds = self._odds(columns)
            gradient = -torch.bmm(columns, self._residual(odds)[:, :, None])[:, :, 0]
            if bool((self._gap(odds, gradient)[1] <= tolerance).all()):
                return
            wrong = torch.sigmoid(-self.y * odds)
            curvature = self.share * wrong * (1 - wrong) + 1e-12 * self.share
            mean = (columns * curvature[:, None]).sum(2) / curvature.sum(1)[:, None]
            scaled = (columns - mean[:, :, None]) * curvature.sqrt()[:, None]
            hessian = torch.bmm(scaled, scaled.mT)
            step = _model_minimum(hessian, gradient, self.weight, self.l1) - self.weight
            self._descend(columns, odds, step, -(step * mean).sum(1))

    def _descend(self, columns: Tensor, odds: Tensor, step: Tensor, bias_step: Tensor) -> None:
        """Go down a step, halved until the objective does not rise."""
        along = torch.bmm(step[:, None], columns)[:, 0] + bias_step[:, None]
        before = self._loss(odds, self.weight)
        length = torch.ones_like(before)[:, None]
        for _ in range(30):
            reached = self._loss(odds + length * along, self.weight + length * step)
            over = reached > before + ROUNDING
            if not bool(over.any()):
                break
            length = torch.where(over[:, None], length / 2, length)
        self.weight = torch.where((length == 1), self.weight + step, self.weight + length * step)
        self.bias = self.bias + length[:, 0] * bias_step

    def _centre(self, columns: Tensor) -> None:
        """Bring the bias to its minimum: the residuals then add up to 0."""
        odds = self._odds(columns)
        shift = torch.zeros_like(self.bias)
        for _ in range(50):
            residual = self._residual(odds + shift[:, None])
            slope = residual.sum(1)
            if bool((slope.abs() < 1e-14).all()):
                break
            wrong = torch.sigmoid(-self.y * (odds + shift[:, None]))
            bend = (self.share * wrong * (1 - wrong)).sum(1)
            shift = shift + (slope / bend.clamp(min=1e-12)).clamp(-1.0, 1.0)
        self.bias = self.bias + shift


def _model_minimum(
    hessian: Float[Tensor, "feature k k"],
    gradient: Float[Tensor, "feature k"],
    weight: Float[Tensor, "feature k"],
    l1: float,
) -> Float[Tensor, "feature k"]:
    """Minimum of the second-order model of the loss plus the penalty.

    Accelerated proximal gradient with restarts; then, on the weights that it leaves, the exact
    solution, which is taken where no weight changes its sign.
    """
    largest = torch.linalg.eigvalsh(hessian)[:, -1:].clamp(min=1e-12)
    linear = gradient - torch.bmm(hessian, weight[:, :, None])[:, :, 0]
    point, ahead, momentum = weight, weight, 1.0
    for _ in range(INNER_STEPS):
        slope = torch.bmm(hessian, ahead[:, :, None])[:, :, 0] + linear
        moved = ahead - slope / largest
        moved = torch.sign(moved) * (moved.abs() - l1 / largest).clamp(min=0.0)
        change = moved - point
        if bool(((ahead - moved) * change).sum() > 0):
            momentum = 1.0
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = moved + (momentum - 1) / following * change
        point, momentum = moved, following
        if float(change.abs().amax()) < 1e-10:
            break
    return _polish(hessian, linear, point, l1)


def _polish(hessian: Tensor, linear: Tensor, point: Tensor, l1: float) -> Tensor:
    """The exact minimum with the signs of `point`, where it has those signs."""
    on = point != 0
    both = on[:, :, None] & on[:, None]
    eye = torch.eye(point.shape[1], dtype=point.dtype, device=point.device)
    system = torch.where(both, hessian, 0.0) + eye * torch.where(on, 1e-12, 1.0)[:, None]
    right = torch.where(on, -linear - l1 * point.sign(), 0.0)
    exact = torch.linalg.solve(system, right)
    same = (exact.sign() == point.sign()).all(1, keepdim=True)
    return torch.where(same, exact, point)
