"""Adaptive thresholding: from many neurons down to one, refitting and dropping the weakest.

Paper: Gurnee et al. 2023 (arXiv 2305.01610), section 3. `adaptive_thresholding` keeps one ridge
penalty for every k; the procedure as the authors ran it is `paper.paper_adaptive_thresholding`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.probing.checks import check_data, check_ridge
from needlepoint.probing.columns import compute_dtype
from needlepoint.probing.logistic import Logistic, Problem, solve
from needlepoint.probing.probe import Path, ProbeBatch
from needlepoint.probing.rankings import ClassMoments, class_moments, leading

DEFAULT_KS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256)
BLOCK_BYTES = 256 * 2**20


def adaptive_thresholding(
    acts: Float[Tensor, "example neuron"],
    labels: Bool[Tensor, "example feature"],
    *,
    l2: float | Float[Tensor, " feature"],
    ks: Sequence[int] = DEFAULT_KS,
    start: int | None = 256,
    balanced: bool = True,
) -> Path:
    """Sparse probes of every size in `ks`, for each feature, along a shrinking set of neurons.

    The `start` neurons with the largest standardised mean difference are fitted together; then,
    down the sizes in `ks`, the neurons with the largest `|weight| * sd` are kept and refitted
    from where the larger fit left them. Supports are nested. It is a heuristic: nothing says that
    a support is the best of its size. Ties go to the lower index. The penalty is that of
    `fit_logistic` on standardised neurons, the same for all k.

    Args:
        acts: Activations of the neurons of one layer.
        labels: Whether each example has each feature.
        l2: Ridge penalty, positive; one for all features or one for each. To try several
            penalties at once, repeat the labels: the repeats are fitted side by side.
        ks: Sizes wanted; those beyond `start`, or beyond the layer, are left out.
        start: How many neurons to start from; `None` starts from all.
        balanced: Whether both classes count alike.

    Raises:
        DataError: If no size is left, `l2` is not positive, or the data cannot be used.
        OneClassError: If a feature has one class only.

    Example:
        >>> acts = torch.eye(6, 3).repeat(5, 1)
        >>> path = adaptive_thresholding(acts, acts[:, 1:2] > 0, l2=0.01)
        >>> path.ks, path.probe(0, 1).support.tolist()
        ((1, 2, 3), [1])
    """
    check_data(acts, labels)
    penalty = each_feature(l2, labels)
    start = min(start or acts.shape[1], acts.shape[1])
    sizes = sizes_within(ks, start)
    moments = class_moments(acts, labels, compute_dtype(acts))
    support = leading(moments.difference_std, start).sort(1).values
    width = 8 * acts.shape[0] * (start + 1)
    paths = []
    for rows in torch.split(torch.arange(len(support)), max(1, BLOCK_BYTES // width)):
        read = support[rows]
        problem = _problem(acts, labels[:, rows], read, penalty[rows], moments, balanced)
        paths.append(_shrink(problem, read, moments, sizes))
    return Path(tuple(_join(batches) for batches in zip(*paths, strict=True)))


def fit_on_support(
    acts: Float[Tensor, "example neuron"],
    labels: Bool[Tensor, "example feature"],
    support: Int[Tensor, "feature k"],
    *,
    l2: float | Float[Tensor, " feature"],
    balanced: bool = True,
) -> ProbeBatch:
    """Probes that read the neurons given for each feature; nothing is selected.

    For controls (random neurons) and for dense probes (all neurons). Neurons are standardised
    before the penalty is applied, as in `adaptive_thresholding`.

    Args:
        acts: Activations of the neurons of one layer.
        labels: Whether each example has each feature.
        support: Neurons to read, in increasing order.
        l2: Ridge penalty, positive; one for all features or one for each.
        balanced: Whether both classes count alike.

    Raises:
        DataError: If the layer lacks a neuron of the support, or the data cannot be used.
        OneClassError: If a feature has one class only.
    """
    check_data(acts, labels)
    if int(support.min()) < 0 or int(support.max()) >= acts.shape[1]:
        raise DataError(
            f"the support names neurons {int(support.min())} to {int(support.max())}; "
            f"this layer has 0 to {acts.shape[1] - 1}."
        )
    penalty = each_feature(l2, labels)
    moments = class_moments(acts, labels, compute_dtype(acts))
    problem = _problem(acts, labels, support, penalty, moments, balanced)
    return _in_units(support, solve(problem, torch.zeros_like(problem.penalty)), moments)


def sizes_within(ks: Sequence[int], limit: int) -> list[int]:
    """The sizes not above `limit`, increasing and each once.

    Raises:
        DataError: If none is left, or one is not positive.
    """
    sizes = sorted({k for k in ks if k <= limit})
    if not sizes or sizes[0] < 1:
        raise DataError(f"ks = {list(ks)} must hold a size from 1 to {limit}, and none below 1.")
    return sizes


def each_feature(l2: float | Tensor, labels: Tensor) -> Float[Tensor, " feature"]:
    """The penalty of each feature.

    Raises:
        DataError: If there is not one for all or one for each, or one is not positive.
    """
    check_ridge(l2)
    penalty = torch.as_tensor(l2, dtype=torch.float64, device=labels.device)
    if penalty.ndim > 1 or (penalty.ndim == 1 and len(penalty) != labels.shape[1]):
        raise DataError(
            f"{tuple(penalty.shape)} penalties for {labels.shape[1]} features; "
            "give one number, or one for each feature."
        )
    return penalty.expand(labels.shape[1])


def _problem(
    acts: Tensor,
    labels: Tensor,
    support: Tensor,
    l2: Tensor,
    moments: ClassMoments,
    balanced: bool,
) -> Problem:
    """Logistic problems on the standardised neurons of each support, a column of ones last."""
    X = acts.new_ones(len(support), acts.shape[0], support.shape[1] + 1, dtype=moments.sd.dtype)
    for columns, neurons in zip(X[:, :, :-1], support, strict=True):
        torch.sub(acts[:, neurons], moments.mean[neurons], out=columns)
        columns /= moments.sd[neurons]
    return Problem.of(X, labels, l2, balanced=balanced)


def _shrink(
    problem: Problem, support: Tensor, moments: ClassMoments, sizes: list[int]
) -> list[ProbeBatch]:
    """Probes by increasing k, each fit started from the one before it, on what that kept."""
    fit = solve(problem, torch.zeros_like(problem.penalty))
    found = [_in_units(support, fit, moments)] if support.shape[1] in sizes else []
    for k in reversed(sizes):
        if k == support.shape[1]:
            continue
        keep = leading(fit.weight.abs(), k).sort(1).values
        support, problem = support.gather(1, keep), problem.narrow(keep)
        fit = solve(problem, torch.cat([fit.weight.gather(1, keep), fit.bias[:, None]], dim=1))
        found.append(_in_units(support, fit, moments))
    return found[::-1]


def _in_units(support: Tensor, fit: Logistic, moments: ClassMoments) -> ProbeBatch:
    """A fit on standardised neurons, restated for the activations as they are."""
    weight = fit.weight.double() / moments.sd[support]
    bias = fit.bias.double() - (weight * moments.mean[support]).sum(1)
    return ProbeBatch(support, weight, bias, fit.loss, fit.gradient_norm, fit.n_iter)


def _join(batches: Sequence[ProbeBatch]) -> ProbeBatch:
    names = [field.name for field in fields(ProbeBatch)]
    return ProbeBatch(*(torch.cat([getattr(batch, name) for batch in batches]) for name in names))
