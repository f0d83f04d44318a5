"""Adaptive thresholding as its authors ran it: scikit-learn's saga, a new penalty at every k."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn.functional import softplus

from needlepoint.probing.checks import check_data
from needlepoint.probing.columns import blocks, compute_dtype
from needlepoint.probing.probe import Path, ProbeBatch
from needlepoint.probing.rankings import leading, mean_difference
from needlepoint.probing.sweep import DEFAULT_KS, sizes_within
from needlepoint.probing.weights import example_weights

MAX_ITER = 1000


def penalty_at(k: int) -> tuple[float, float]:
    """`C` and the share of L1 in the elastic net that the authors used for `k` neurons.

    `C = k / 20` and `rho = exp(-k / 20)`, kept within 0.1 and 0.9: penalty and sparsity change
    together along the curve.

    Example:
        >>> [round(value, 2) for value in penalty_at(16)]
        [0.8, 0.45]
    """
    return k / 20, min(max(math.exp(-k / 20), 0.1), 0.9)


def paper_adaptive_thresholding(
    acts: Float[Tensor, "example neuron"],
    labels: Bool[Tensor, "example feature"],
    *,
    ks: Sequence[int] = DEFAULT_KS,
    start: int = 256,
    seed: int = 0,
) -> Path:
    """The published sweep (Gurnee et al. 2023, released code), for comparison only.

    Each neuron is divided by `10 max(sd, 0.001)`, so that its spread becomes 0.1, and not centred.
    Neurons are ordered by the absolute mean difference; then, for falling k, the first k are
    fitted with balanced weights by saga for at most 1000 iterations with `penalty_at(k)`, and
    ordered anew by `|weight|`, all others scoring 0. Ties keep the order that they had before, the
    first order by index: hence supports are nested also where L1 sets weights to zero.

    The penalty changes with k, which mixes sparsity with regularisation; most fits of large k
    stop before they converge. `loss` is scikit-learn's objective over `C n`, elastic net included,
    and `gradient_norm` the length of its smallest subgradient: how far from converged it is.
    `adaptive_thresholding` is the sweep to use.

    Args:
        acts: Activations of the neurons of one layer.
        labels: Whether each example has each feature.
        ks: Sizes wanted; those beyond `start`, or beyond the layer, are left out.
        start: How many neurons to start from.
        seed: Seed of saga's order of examples.

    Raises:
        DataError: If no size is left, or the data cannot be used.
        OneClassError: If a feature has one class only.
    """
    check_data(acts, labels)
    sizes = sizes_within(ks, min(start, acts.shape[1]))
    spread = torch.cat([part.sd for part in blocks(acts)]).double()
    scale = 10 * spread.clamp(min=1e-3)
    order = leading(mean_difference(acts, labels).abs() / scale, min(start, acts.shape[1]))
    columns = [
        _shrink(acts[:, row] / scale[row].to(compute_dtype(acts)), label, row, sizes, seed)
        for label, row in zip(labels.T, order, strict=True)
    ]
    batches = []
    for fits in zip(*columns, strict=True):
        batch = ProbeBatch(*(torch.stack(parts) for parts in zip(*fits, strict=True)))
        batches.append(replace(batch, weight=batch.weight / scale[batch.support]))
    return Path(tuple(batches))


def _shrink(
    scaled: Tensor, label: Tensor, order: Tensor, sizes: list[int], seed: int
) -> list[tuple[Tensor, ...]]:
    """Fits of one feature by increasing k, each as the fields of a `ProbeBatch` row.

    `order` names the neurons of the columns of `scaled`, the most promising first.
    """
    found = []
    for k in reversed(sizes):
        scaled, order = scaled[:, :k], order[:k]
        fit = _saga(scaled, label, k, seed)
        support, place = order.sort()
        found.append((support, fit[0][place], *fit[1:]))
        rank = fit[0].abs().sort(descending=True, stable=True).indices
        scaled, order = scaled[:, rank], order[rank]
    return found[::-1]


def _saga(X: Tensor, label: Tensor, k: int, seed: int) -> tuple[Tensor, ...]:
    """Weight, bias, loss, gradient norm and iterations of one elastic-net fit."""
    C, rho = penalty_at(k)
    model = LogisticRegression(
        solver="saga",
        C=C,
        l1_ratio=rho,
        class_weight="balanced",
        max_iter=MAX_ITER,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X.cpu().numpy(), label.cpu().numpy())
    weight, bias = (
        torch.as_tensor(part, dtype=torch.float64, device=X.device)
        for part in (model.coef_[0], model.intercept_[0])
    )
    loss, norm = _optimality(X.double(), label, weight, bias, rho / C, (1 - rho) / C)
    return weight, bias, loss, norm, torch.as_tensor(int(model.n_iter_[0]), device=X.device)


def _optimality(
    X: Tensor, label: Tensor, weight: Tensor, bias: Tensor, l1: float, l2: float
) -> tuple[Tensor, Tensor]:
    """Objective over the number of examples, and the length of its smallest subgradient."""
    n = len(X)
    y = torch.where(label, 1.0, -1.0).double()
    share = example_weights(label[:, None], balanced=True)[0] / n
    margin = (X @ weight + bias) * y
    loss = (softplus(-margin) * share).sum()
    loss = loss + (l1 * weight.abs().sum() + l2 / 2 * weight.square().sum()) / n
    residual = -torch.sigmoid(-margin) * share * y
    slope = residual @ X + l2 / n * weight
    kept = slope + l1 / n * weight.sign()
    dropped = (slope.abs() - l1 / n).clamp(min=0.0)
    slope = torch.where(weight != 0, kept, dropped)
    return loss, (slope.square().sum() + residual.sum().square()).sqrt()
