"""Exact logistic fits of one neuron each: all neurons and all features at once.

Each fit has two parameters, so a Newton step needs five weighted sums over the examples and the
solution of a 2 x 2 system. On CPU in float32 a step is a compiled pass over the matrix as it lies
(`one_neuron_loops`), and most neurons need one: they start where moments of both classes put the
minimum. Elsewhere neurons are taken in blocks that stay in cache; within a block all fits step
together and those that have arrived are dropped. The sums run in the precision of the activations
(at least float32) over residuals that keep their relative precision when a fit is nearly perfect;
the 2 x 2 systems and the parameters are float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import softplus

from needlepoint._core.compiled import on_threads
from needlepoint._core.lanes import LANES
from needlepoint.probing.checks import (
    check_finite,
    check_labels,
    check_matrix,
    check_ridge,
    check_same_device,
)
from needlepoint.probing.columns import compute_dtype, split_neurons
from needlepoint.probing.one_neuron_loops import fit_columns
from needlepoint.probing.weights import class_weights, example_weights

REACH = {torch.float32: 1e-3, torch.float64: 1e-6}
"""A fit has arrived when its last step moved no example's log-odds by more than this; as Newton
steps square the error, what is left is far smaller."""

LEFT = {torch.float32: 1e-11, torch.float64: 1e-18}
"""It has also arrived when no more than this can be left of its loss above the minimum."""


WIDE = 2048
"""Most neurons that compiled fits take side by side: so much of each example is read at once."""
COPIED = 256
"""Neurons that are copied at a time, where activations are not float32 in one piece."""
ROOM = 2**21
"""Most activations that they copy at once to have few neurons together, 8 MiB on each thread; room
for sixteen neurons is there in any case."""


@dataclass(frozen=True)
class OneNeuronFits:
    """Logistic fits `log-odds = weight * activation + bias`, one for each feature and neuron."""

    weight: Float[Tensor, "feature neuron"]
    """In units of one over the activation; float64, as are bias and loss."""
    bias: Float[Tensor, "feature neuron"]
    loss: Float[Tensor, "feature neuron"]
    """The objective that was minimised, penalty included; chance costs log 2 when balanced."""
    converged: Bool[Tensor, "feature neuron"]
    """Whether the last step moved no example's log-odds noticeably."""
    n_iter: Int[Tensor, "feature neuron"]
    """Newton steps taken."""


def fit_one_neuron(
    acts: Float[Tensor, "example neuron"],
    labels: Bool[Tensor, "example feature"],
    *,
    l2: float,
    balanced: bool = True,
    max_iter: int = 100,
) -> OneNeuronFits:
    """Logistic classifiers on each neuron alone, for each feature, at their exact minimum.

    The objective of one fit, with `y = 1` or `-1`, `f = weight * activation + bias` and `sd` the
    neuron's standard deviation over all examples, is

        (1/n) sum_i w_i log(1 + exp(-y_i f_i)) + (l2/2) (weight * sd)**2

    with `w_i = n / (2 n_class)` if `balanced`, else 1. The bias is free. scikit-learn's
    `LogisticRegression` minimises the same on the standardised column with `C = 1 / (n * l2)`. A
    constant neuron gets weight 0 and the bias that the class weights call for.

    Raises:
        DataError: If `l2` is not positive, or the data cannot be used.
        OneClassError: If a feature has one class only.

    Example:
        >>> acts = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
        >>> labels = torch.tensor([[False], [False], [True], [True]])
        >>> fits = fit_one_neuron(acts, labels, l2=0.1)
        >>> round(fits.weight.item(), 3), round(-fits.bias.item() / fits.weight.item(), 3)
        (1.361, 1.5)
    """
    check_matrix(acts)
    check_labels(labels, acts.shape[0])
    check_same_device(acts, labels)
    check_ridge(l2)
    if acts.device.type == "cpu" and compute_dtype(acts) == torch.float32:
        found = _fit_compiled(acts.detach(), labels, l2, balanced, max_iter)
    else:
        check_finite(acts)
        found = _fit_in_blocks(acts, labels, l2, balanced, max_iter)
    return OneNeuronFits(found[0], found[1], found[2], found[3].bool(), found[4].long())


def _fit_in_blocks(
    acts: Float[Tensor, "example neuron"],
    labels: Bool[Tensor, "example feature"],
    l2: float,
    balanced: bool,
    max_iter: int,
) -> Float[Tensor, "5 feature neuron"]:
    """Weight, bias, loss, converged and steps, by passes of torch over blocks of neurons."""
    weights = example_weights(labels, balanced=balanced).to(compute_dtype(acts))
    targets = [_Target.of(*pair) for pair in zip(labels.T, weights, strict=True)]
    tables = []
    for columns in split_neurons(acts):
        block = _Block.of(columns)
        fits = [_fit_block(block, target, l2, max_iter) for target in targets]
        tables.append(torch.stack(fits, dim=1))
    return torch.cat(tables, dim=2)


def _fit_compiled(
    acts: Float[Tensor, "example neuron"],
    labels: Bool[Tensor, "example feature"],
    l2: float,
    balanced: bool,
    max_iter: int,
) -> Float[Tensor, "5 feature neuron"]:
    """Weight, bias, loss, converged and steps, by loops that read the matrix once for each step.

    They look for values that are not finite themselves: the threads of a pass of torch's would go
    on waiting for more, for as long as the fits take, on the cores that these need. Values whose
    squares float32 cannot add up are fitted in float64.
    """
    positive, of_class = labels.T.numpy(), class_weights(labels, balanced=balanced).numpy()
    near = np.array([REACH[torch.float32], LEFT[torch.float32]])
    n, d = acts.shape
    out = torch.empty(5, labels.shape[1], d, dtype=torch.float64)
    strange = np.zeros(d, dtype=bool)
    threads = torch.get_num_threads()
    whole = acts.dtype == torch.float32 and acts.is_contiguous()
    share = -(-d // (threads * LANES)) * LANES if whole else COPIED
    width = min(share, WIDE)
    lanes = max(1, min(width // 4, ROOM // n) // LANES) * LANES

    def fit(lo: int) -> None:
        hi = min(lo + share, d)
        values = acts if whole else acts[:, lo:hi].float().contiguous()
        more = l2, max_iter, near, width, np.empty(n * lanes, np.float32), out.numpy(), strange
        fit_columns(values.numpy(), 0 if whole else lo, lo, hi, positive, of_class, *more)

    on_threads(fit, range(0, d, share), threads)
    if strange.any():
        check_finite(acts)
        large = torch.from_numpy(strange)
        out[..., large] = _fit_in_blocks(acts[:, large].double(), labels, l2, balanced, max_iter)
    return out


@dataclass(frozen=True)
class _Block:
    """Some standardised neurons, laid out one to a row, with room for one value of each entry."""

    z: Float[Tensor, "neuron example"]
    mean: Float[Tensor, " neuron"]
    sd: Float[Tensor, " neuron"]
    reach: Float[Tensor, " neuron"]
    """Largest |z| of each neuron."""
    room: Float[Tensor, "2 neuron example"]

    @classmethod
    def of(cls, columns: Float[Tensor, "example neuron"]) -> _Block:
        dtype = compute_dtype(columns)
        z = columns.new_empty(columns.shape[::-1], dtype=dtype)
        # A copy of the columns first: passes over a slice of a wide matrix miss the caches.
        z.copy_(columns.contiguous().T)
        average = z.new_full((z.shape[1],), 1 / z.shape[1])
        mean = z @ average
        z -= mean[:, None]
        rest = z @ average
        z -= rest[:, None]
        sd = (torch.linalg.vecdot(z, z) / z.shape[1]).sqrt()
        mean = mean + rest
        _set_constants(columns, z, mean, sd)
        z *= sd.reciprocal()[:, None]
        reach = torch.maximum(z.amax(1), -z.amin(1)).double()
        return cls(z, mean.double(), sd.double(), reach, z.new_empty(2, *z.shape))


def _set_constants(columns: Tensor, z: Tensor, mean: Tensor, sd: Tensor) -> None:
    """Give constant neurons their value as mean, unit spread, and zeros."""
    # Only a spread of the size of rounding errors calls for a closer look.
    for row in (sd <= 1e-5 * columns[0].abs()).nonzero().flatten().tolist():
        if bool((columns[:, row] == columns[0, row]).all()):
            z[row], mean[row], sd[row] = 0.0, columns[0, row].to(mean.dtype), 1.0


@dataclass(frozen=True)
class _Target:
    """Signed labels, the weights of the examples, and products of them, for one feature."""

    y: Float[Tensor, " example"]
    weight: Float[Tensor, " example"]
    signed: Float[Tensor, " example"]
    against: Float[Tensor, " example"]
    """The labels with the other sign."""

    @classmethod
    def of(cls, label: Bool[Tensor, " example"], weight: Float[Tensor, " example"]) -> _Target:
        y = torch.where(label, 1.0, -1.0).to(weight.dtype)
        return cls(y, weight, y * weight, -y)


def _fit_block(block: _Block, target: _Target, l2: float, max_iter: int) -> Tensor:
    """Weight, bias, loss, converged and steps of each neuron of a block, as rows `[5, neuron]`."""
    point = _discriminant_start(block, target, l2)
    converged, n_iter = _newton(block, target, l2, point, max_iter)
    margin = _margins(block.z, point, target, block.room[0])
    data = softplus(margin) @ target.weight / margin.shape[1]
    loss = data.double() + l2 / 2 * point[0].square()
    weight = point[0] / block.sd
    return torch.stack([weight, point[1] - weight * block.mean, loss, converged, n_iter])


def _discriminant_start(block: _Block, target: _Target, l2: float) -> Tensor:
    """Linear discriminant of each neuron, shrunk by the ridge: a start near the minimum."""
    positive = (target.y > 0).to(target.y.dtype)
    n, n_positive = positive.numel(), positive.sum().double()
    above = (block.z @ positive).double()
    upper, lower = above / n_positive, -above / (n - n_positive)
    share = n_positive / n
    within = 1 - share * (1 - share) * (upper - lower).square()
    weight = (upper - lower) / (within.clamp(min=1e-3) + 4 * l2)
    # A start beyond the minimum lies where the loss is flat, and steps from there go astray.
    weight = weight.clamp(-3.0, 3.0)
    odds = (target.weight @ positive).double() / (target.weight.sum() - target.weight @ positive)
    return torch.stack([weight, odds.log() - weight * (upper + lower) / 2])


def _margins(z: Tensor, point: Tensor, target: _Target, into: Tensor) -> Tensor:
    """Minus the label times the log-odds, `[neuron, example]`."""
    weight, bias = point.to(z.dtype)
    return torch.mul(z, weight[:, None], out=into).add_(bias[:, None]).mul_(target.against)


def _newton(
    block: _Block, target: _Target, l2: float, point: Tensor, max_iter: int
) -> tuple[Tensor, Tensor]:
    """Move `point` to the minimum in place; return which fits arrived and their steps.

    A full step is kept unless the slope along it, at its end, has turned to more than half of what
    it was: the objective is convex, so a slope that still falls means that the step went down, and
    one that turned a little means that it ended near the line's minimum. Otherwise the step is
    shortened to `log(1 + r) / r`, with `r` the largest change of any log-odds along it, which
    lowers the objective for certain (Bach 2010, self-concordant analysis).
    """
    dtype = block.z.dtype
    rows = torch.arange(len(block.z), device=block.z.device)
    converged, n_iter = (torch.zeros_like(point[0]) for _ in range(2))
    z, reach = block.z, block.reach
    step, slope = torch.zeros_like(point), torch.zeros_like(point[0])
    for taken in range(1, max_iter + 1):
        here = point[:, rows]
        gradient, hessian = _derivatives(z, here, target, l2, block.room)
        over = (gradient * step).sum(0) > slope.abs() / 2
        furthest = step[0].abs() * reach + step[1].abs()
        back = (torch.log1p(furthest) / furthest.clamp(min=1e-300) - 1) * step
        fresh = _solve(hessian, -gradient)
        slope = torch.where(over, 0.0, (gradient * fresh).sum(0))
        step = torch.where(over, 0.0, fresh)
        point[:, rows] = here + torch.where(over, back, fresh)
        n_iter[rows] = taken
        far = step[0].abs() * reach + step[1].abs()
        # A Newton step of reach r leaves at most this share of what it promised (Bach 2010).
        r = far.clamp(1e-9, 20.0)
        left = r.exp() * ((r.expm1() - r) / r).square() * slope.abs() / 2
        still = over | ((far > REACH[dtype]) & (left > LEFT[dtype]))
        converged[rows[~still]] = 1.0
        if not bool(still.any()):
            break
        # Dropping fits copies those that stay: worth it if they are few.
        if 3 * int(still.sum()) <= 2 * len(rows):
            rows, reach, step, slope = rows[still], reach[still], step[:, still], slope[still]
            z = z[still]
    return converged, n_iter


def _derivatives(
    z: Tensor, point: Tensor, target: _Target, l2: float, room: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradient `[2, neuron]` and the three entries of the Hessian `[3, neuron]`, in float64."""
    wrong = _margins(z, point, target, room[0, : len(z)]).sigmoid_()
    curvature = torch.addcmul(wrong, wrong, wrong, value=-1, out=room[1, : len(z)])
    bias = wrong @ target.signed
    weight = wrong.mul_(z) @ target.signed
    both = [curvature @ target.weight]
    for _ in range(2):
        both.append(curvature.mul_(z) @ target.weight)
    n = z.shape[1]
    gradient = torch.stack([weight, bias]).double().div_(-n)
    hessian = torch.stack(both[::-1]).double().div_(n)
    gradient[0] += l2 * point[0]
    hessian[0] += l2
    return gradient, hessian


def _solve(hessian: Tensor, right: Tensor) -> Tensor:
    """Solutions of the 2 x 2 systems; a floor keeps the bias finite when its curvature is nil."""
    ww, wb, bb = hessian
    bb = bb.clamp(min=1e-12)
    determinant = (ww * bb - wb.square()).clamp(min=1e-12 * ww * bb)
    weight = (bb * right[0] - wb * right[1]) / determinant
    bias = (ww * right[1] - wb * right[0]) / determinant
    return torch.stack([weight, bias])
