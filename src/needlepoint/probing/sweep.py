"""Adaptive thresholding: from many neurons down to one, refitting and dropping the weakest.

Paper: Gurnee et al. 2023 (arXiv 2305.01610), section 3. `adaptive_thresholding` keeps one ridge
penalty for every k; the procedure as the authors ran it is `paper.paper_adaptive_thresholding`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.probing.checks import check_data, check_ridge
from needlepoint.probing.deletion import DELETIONS
from needlepoint.probing.descent import Target
from needlepoint.probing.layer import Layer
from needlepoint.probing.path import Fitted, Rows, as_path, fit, shrink, stack
from needlepoint.probing.probe import Path, ProbeBatch
from needlepoint.probing.rankings import leading
from needlepoint.probing.side_by_side import side_by_side

DEFAULT_KS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256)


def adaptive_thresholding(
    acts: Float[Tensor, "example neuron"],
    labels: Bool[Tensor, "example feature"],
    *,
    l2: float | Float[Tensor, " feature"],
    ks: Sequence[int] = DEFAULT_KS,
    start: int | None = 256,
    deletion: str = "weight",
    scores: Tensor | None = None,
    balanced: bool = True,
) -> Path:
    """Sparse probes of every size in `ks`, for each feature, along a shrinking set of neurons.

    The `start` leading neurons are fitted together: those with the largest standardised mean
    difference, or the highest `scores`. Then, down the sizes in `ks` and `DEFAULT_KS`, neurons are
    given up by a rule and the others refitted from where the larger fit left them: what is found
    for one size does not hang on which others of `DEFAULT_KS` are wanted. Supports are nested. It
    is a heuristic: nothing says that a support is the best of its size. Ties go to the lower index.
    The penalty is that of `fit_logistic` on standardised neurons, the same for all k.

    Args:
        acts: Activations of the neurons of one layer.
        labels: Whether each example has each feature.
        l2: Ridge penalty, positive; one for all features or one for each. To try several
            penalties at once, repeat the labels: the repeats are fitted side by side.
        ks: Sizes wanted; those beyond `start`, or beyond the layer, are left out.
        start: How many neurons to start from; `None` starts from all.
        deletion: Name in `DELETIONS`: `weight` keeps the largest `|weight| * sd`; `wald` gives up
            the neurons whose loss costs least in the quadratic model of the fit, one by one.
        scores: A score of each neuron for each feature, `[feature, neuron]`, larger is better,
            from these examples; the standardised mean difference if not given.
        balanced: Whether both classes count alike.

    Raises:
        DataError: If no size is left, `l2` is not positive, the scores do not match, or the data
            cannot be used.
        OneClassError: If a feature has one class only.

    Example:
        >>> acts = torch.eye(6, 3).repeat(5, 1)
        >>> path = adaptive_thresholding(acts, acts[:, 1:2] > 0, l2=0.01)
        >>> path.ks, path.probe(0, 1).support.tolist()
        ((1, 2, 3), [1])
    """
    check_data(acts, labels)
    penalty = each_feature(l2, labels)
    rule = DELETIONS[deletion]
    start = min(start or acts.shape[1], acts.shape[1])
    sizes = sizes_within(ks, start)
    with torch.inference_mode():
        layer = Layer.of(acts, labels)
        target = Target.of(labels, layer.sd.dtype, balanced=balanced)
        support = leading(neuron_scores(scores, layer, labels), start).sort(1).values
        rows = Rows.of(layer, target, penalty, support)

    @torch.inference_mode()  # of each thread by itself
    def path_of(features: Tensor) -> list[Fitted]:
        some = rows.select(features)
        return shrink(some, fit(some, support[features]), sizes, rule, DEFAULT_KS)

    parts = side_by_side(path_of, labels.shape[1], acts.device)
    return as_path(layer, [stack(fits) for fits in zip(*parts, strict=True)])


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
    layer = Layer.of(acts, labels)
    target = Target.of(labels, layer.sd.dtype, balanced=balanced)
    return fit(Rows.of(layer, target, penalty, support), support).batch(layer)


def prepare(
    acts: Float[Tensor, "example neuron"],
    labels: Bool[Tensor, "example feature"],
    l2: float | Float[Tensor, " feature"],
    *,
    balanced: bool,
) -> Rows:
    """All neurons of a layer standardised, and what is to be fitted to them, once checked."""
    check_data(acts, labels)
    penalty = each_feature(l2, labels)
    layer = Layer.of(acts, labels)
    return Rows.of(layer, Target.of(labels, layer.sd.dtype, balanced=balanced), penalty)


def neuron_scores(
    scores: Tensor | None, layer: Layer, labels: Bool[Tensor, "example feature"]
) -> Float[Tensor, "feature neuron"]:
    """The scores by which neurons are ordered: those given, or the standardised mean difference.

    Raises:
        DataError: If there is not one for each feature and neuron, or one is NaN.
    """
    if scores is None:
        return layer.difference_std
    expected = (labels.shape[1], layer.acts.shape[1])
    if tuple(scores.shape) != expected:
        raise DataError(
            f"scores of shape {tuple(scores.shape)} for {expected[0]} features and {expected[1]} "
            "neurons; give one score for each feature and neuron of this layer."
        )
    if bool(scores.isnan().any()):
        raise DataError("scores hold NaN, which has no rank; give every neuron a score.")
    return scores.to(layer.acts.device)


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
