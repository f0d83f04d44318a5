"""Swap search: better supports of a given size, by exchanging one neuron at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.probing.deletion import DELETIONS
from needlepoint.probing.one_neuron import fit_one_neuron
from needlepoint.probing.outlook import Outlook, best_refit
from needlepoint.probing.path import Fitted, Rows, as_path, fit, shrink, stack
from needlepoint.probing.probe import Path
from needlepoint.probing.rankings import leading
from needlepoint.probing.sweep import DEFAULT_KS, neuron_scores, prepare, sizes_within

LOWER = {torch.float32: 1e-6, torch.float64: 1e-10}
"""A swap must lower the loss by more than this share of it."""


def swap_search(
    acts: Float[Tensor, "example neuron"],
    labels: Bool[Tensor, "example feature"],
    *,
    l2: float | Float[Tensor, " feature"],
    ks: Sequence[int] = DEFAULT_KS,
    start: int | None = 256,
    deletion: str = "weight",
    scores: Tensor | None = None,
    refine: int = 8,
    max_swaps: int = 50,
    balanced: bool = True,
) -> Path:
    """Sparse probes of every size in `ks`, none worse in its objective than that of the sweep.

    For each size, from the support that `adaptive_thresholding` finds: of all exchanges of a
    neuron that is read for one of the layer that is not, those `refine` are fitted for which the
    quadratic model promises most, and the best is made if it lowers the loss; until none does.
    Supports of different sizes need not be nested. The probe of one neuron is the best of all
    neurons of the layer, exactly; of larger sizes nothing says so. Ties go to the lower index.

    Args:
        acts: Activations of the neurons of one layer.
        labels: Whether each example has each feature.
        l2: Ridge penalty, positive; one for all features or one for each.
        ks: Sizes wanted; those beyond `start`, or beyond the layer, are left out.
        start: How many neurons the sweep starts from; `None` starts from all.
        deletion: Rule of the sweep, a name in `DELETIONS`.
        scores: A score of each neuron for each feature, by which the sweep starts; see there.
        refine: Exchanges that are fitted before one is made.
        max_swaps: Most exchanges for one probe.
        balanced: Whether both classes count alike.

    Raises:
        DataError: If no size is left, `l2` or `refine` is not positive, the scores do not match,
            or the data cannot be used.
        OneClassError: If a feature has one class only.

    Example:
        >>> acts = torch.eye(6, 3).repeat(5, 1)
        >>> swap_search(acts, acts[:, 1:2] > 0, l2=0.01, ks=[1]).probe(0, 1).support.tolist()
        [1]
    """
    if refine < 1:
        raise DataError(f"refine must be at least 1, not {refine}.")
    rule, limit = DELETIONS[deletion], min(start or acts.shape[-1], acts.shape[-1])
    sizes = sizes_within(ks, limit)
    rows = prepare(acts, labels, l2, balanced=balanced)
    support = leading(neuron_scores(scores, rows.layer, labels), limit).sort(1).values
    found = []
    for begin in shrink(rows, fit(rows, support), sizes, rule, DEFAULT_KS):
        if begin.support.shape[1] == 1:
            found.append(_best_neurons(rows, acts, labels, balanced))
            continue
        each = range(labels.shape[1])
        parts = [_improve(rows, f, begin.one(f), refine, max_swaps) for f in each]
        found.append(stack(parts))
    return as_path(rows.layer, found)


def _best_neurons(rows: Rows, acts: Tensor, labels: Tensor, balanced: bool) -> Fitted:
    """The best neuron of the layer for each feature, from the exact fits of all."""
    losses = [
        fit_one_neuron(acts, labels[:, f : f + 1], l2=float(rows.l2[f]), balanced=balanced).loss
        for f in range(labels.shape[1])
    ]
    return fit(rows, leading(-torch.cat(losses), 1))


def _improve(rows: Rows, feature: int, here: Fitted, refine: int, max_swaps: int) -> Fitted:
    """The fit of one feature after the exchanges that lower its loss."""
    k, d = here.support.shape[1], len(rows.block)
    for _ in range(max_swaps if k < d else 0):
        outlook = Outlook.of(rows, here, feature)
        promise = outlook.exchanges().flatten()
        tried = leading(promise[None], min(refine, k * (d - k)))[0]
        # By the neuron that comes, so that a tie goes to the lower index.
        tried = tried[(tried % d).argsort(stable=True)]
        gone, come = tried // d, tried % d
        supports = here.support.repeat(len(tried), 1).scatter(1, gone[:, None], come[:, None])
        start = here.point.repeat(len(tried), 1).scatter(1, gone[:, None], 0.0)
        best = best_refit(rows, feature, supports, start)
        if float(best.fit.loss) >= float(here.fit.loss) * (1 - LOWER[start.dtype]):
            break
        here = best
    return here
