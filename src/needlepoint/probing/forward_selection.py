"""Forward selection: from no neuron up, each time the one that lowers the loss most."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.probing.outlook import Outlook, best_refit
from needlepoint.probing.path import Fitted, Rows, as_path, fit, stack
from needlepoint.probing.probe import Path
from needlepoint.probing.rankings import leading
from needlepoint.probing.sweep import DEFAULT_KS, prepare, sizes_within


def forward_selection(
    acts: Float[Tensor, "example neuron"],
    labels: Bool[Tensor, "example feature"],
    *,
    l2: float | Float[Tensor, " feature"],
    ks: Sequence[int] = DEFAULT_KS,
    refine: int = 4,
    balanced: bool = True,
) -> Path:
    """Sparse probes of every size in `ks`, for each feature, along a growing set of neurons.

    Each time the score test, the fall of the loss that the quadratic model promises, picks
    `refine` of all neurons of the layer; each is fitted together with the neurons already read,
    and the one with the lowest loss stays. Supports are nested. A neuron once taken is never
    given up, so that nothing says that a support is the best of its size. Ties go to the lower
    index. Time grows with the largest size asked for,
    one pass over the layer for each neuron and more: ask for sizes up to some dozens.

    Args:
        acts: Activations of the neurons of one layer.
        labels: Whether each example has each feature.
        l2: Ridge penalty, positive; one for all features or one for each.
        ks: Sizes wanted; those beyond the layer are left out.
        refine: Neurons that are fitted at each step before one is taken.
        balanced: Whether both classes count alike.

    Raises:
        DataError: If no size is left, `l2` or `refine` is not positive, or the data cannot be
            used.
        OneClassError: If a feature has one class only.

    Example:
        >>> acts = torch.eye(6, 3).repeat(5, 1)
        >>> path = forward_selection(acts, acts[:, 1:2] > 0, l2=0.01)
        >>> path.ks, path.probe(0, 1).support.tolist()
        ((1, 2, 3), [1])
    """
    if refine < 1:
        raise DataError(f"refine must be at least 1, not {refine}.")
    sizes = sizes_within(ks, acts.shape[-1])
    rows = prepare(acts, labels, l2, balanced=balanced)
    paths = [_grow(rows, feature, sizes, refine) for feature in range(labels.shape[1])]
    return as_path(rows.layer, [stack(fits) for fits in zip(*paths, strict=True)])


def _grow(rows: Rows, feature: int, sizes: list[int], refine: int) -> list[Fitted]:
    """The fits of one feature at each size."""
    empty = torch.zeros(1, 0, dtype=torch.long, device=rows.block.device)
    here, found = fit(rows.only(feature), empty), []
    for k in range(1, sizes[-1] + 1):
        outlook = Outlook.of(rows, here, feature)
        tried = (
            leading(outlook.gains()[None], min(refine, len(rows.block) - k + 1))[0].sort().values
        )
        supports = torch.cat([here.support.expand(len(tried), -1), tried[:, None]], dim=1)
        step = (-outlook.slope / outlook.bend)[tried, None].to(here.point.dtype)
        point = here.point.expand(len(tried), -1)
        start = torch.cat([point[:, :-1], step, point[:, -1:]], dim=1)
        here = best_refit(rows, feature, supports, start)
        if k in sizes:
            found.append(here)
    return found
