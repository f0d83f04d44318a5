"""The k leading neurons of a ranking, for every k."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint.probing.checks import check_data
from needlepoint.probing.descent import Target
from needlepoint.probing.layer import Layer
from needlepoint.probing.path import Fitted, Rows, as_path, fit, fit_part
from needlepoint.probing.probe import Path
from needlepoint.probing.rankings import leading
from needlepoint.probing.sweep import DEFAULT_KS, each_feature, neuron_scores, sizes_within


def top_k(
    acts: Float[Tensor, "example neuron"],
    labels: Bool[Tensor, "example feature"],
    *,
    l2: float | Float[Tensor, " feature"],
    ks: Sequence[int] = DEFAULT_KS,
    scores: Tensor | None = None,
    balanced: bool = True,
) -> Path:
    """Sparse probes on the leading neurons of a ranking, of every size in `ks`, for each feature.

    The ranking is not changed by the fits: a neuron that repeats what a better one says keeps its
    place. Supports are nested. Ties go to the lower index.

    Args:
        acts: Activations of the neurons of one layer.
        labels: Whether each example has each feature.
        l2: Ridge penalty, positive; one for all features or one for each.
        ks: Sizes wanted; those beyond the layer are left out.
        scores: A score of each neuron for each feature, `[feature, neuron]`, larger is better,
            from these examples; the standardised mean difference if not given.
        balanced: Whether both classes count alike.

    Raises:
        DataError: If no size is left, `l2` is not positive, the scores do not match, or the data
            cannot be used.
        OneClassError: If a feature has one class only.

    Example:
        >>> acts = torch.eye(6, 3).repeat(5, 1)
        >>> scores = torch.tensor([[1.0, 2.0, 3.0]])
        >>> top_k(acts, acts[:, 1:2] > 0, l2=0.01, ks=[2], scores=scores).probe(0, 2).support
        tensor([1, 2])
    """
    check_data(acts, labels)
    sizes, penalty = sizes_within(ks, acts.shape[1]), each_feature(l2, labels)
    layer = Layer.of(acts, labels)
    target = Target.of(labels, layer.sd.dtype, balanced=balanced)
    order = leading(neuron_scores(scores, layer, labels), sizes[-1])
    rows = Rows.of(layer, target, penalty, order)
    found = [fit(rows, order.sort(1).values)]
    for k in reversed(sizes[:-1]):
        found.append(fit_part(rows, found[-1], _places(found[-1], order[:, :k])))
    return as_path(layer, found[::-1])


def _places(larger: Fitted, neurons: Tensor) -> Tensor:
    """Where neurons stand in the supports of a larger fit, in increasing order."""
    return torch.searchsorted(larger.support, neurons.sort(1).values)
