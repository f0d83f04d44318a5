"""Probes on what comes before the first layer, and on neurons that nobody chose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint.activations.reduce import Rows
from needlepoint.activations.stream import gather
from needlepoint.features.collection import Collection
from needlepoint.models.model import Model
from needlepoint.models.sites import Part, Site
from needlepoint.probing.rankings import leading, mean_difference_std
from needlepoint.probing.scores import best_cut, confusion, roc_auc
from needlepoint.probing.select import L2_GRID
from needlepoint.probing.sweep import fit_on_support

LEADING_NEURONS = 512
"""The paper draws its random neurons from this many that differ most between the classes."""


@dataclass(frozen=True, eq=False)
class RidgeProbe:
    """A probe that reads given columns: log-odds of all rows and the cut from validation rows."""

    odds: Float[Tensor, " example"]
    cut: float
    f1_validation: float
    auc_validation: float


def embedding_rows(model: Model, collection: Collection) -> Float[Tensor, "example d_model"]:
    """What enters the first block at each row of a collection, reduced as its rows are.

    The embedding of the token, with that of its position where the model adds one. The forward
    pass ends there, so this costs next to nothing.
    """
    site = Site.of(0, Part.RESID_IN)
    rows = Rows.of(collection.rows, collection.reduce)
    return gather(model, collection.ids, [site], rows, label="reading embeddings")[site].float()


def ridge_probe(
    acts: Float[Tensor, "example unit"],
    truth: Bool[Tensor, " example"],
    train: Int[Tensor, "_"],
    validation: Int[Tensor, "_"],
    *,
    columns: Int[Tensor, " k"] | None = None,
    l2: Sequence[float] = L2_GRID,
) -> RidgeProbe:
    """A logistic probe on some columns, or all: nothing is selected but penalty and cut.

    Args:
        acts: Activations of all rows.
        truth: Whether each row has the feature.
        train: Numbers of the rows to fit on.
        validation: Numbers of the rows that the penalty (by AUC) and the cut are chosen on.
        columns: Columns to read, in increasing order; all unless given.
        l2: Penalties to choose from.
    """
    columns = torch.arange(acts.shape[1]) if columns is None else columns
    grid = torch.tensor(sorted(l2, reverse=True), dtype=torch.float64)
    labels = truth[:, None].expand(-1, len(grid))
    fits = fit_on_support(acts[train], labels[train], columns.expand(len(grid), -1), l2=grid)
    odds = torch.stack([fits.probe(at)(acts).double() for at in range(len(grid))], dim=1)
    auc = roc_auc(odds[validation], labels[validation])
    at = int(auc.argmax())
    chosen, wanted = odds[:, at : at + 1], truth[validation][:, None]
    cut = best_cut(chosen[validation], wanted)
    f1 = float(confusion(chosen[validation] > cut, wanted).f1[0])
    return RidgeProbe(chosen[:, 0], float(cut[0]), f1, float(auc[at]))


def random_neurons(
    acts: Float[Tensor, "example neuron"],
    truth: Bool[Tensor, " example"],
    k: int,
    generator: torch.Generator,
    *,
    among: int | None = None,
) -> Int[Tensor, " k"]:
    """Numbers of `k` random neurons of a layer, in increasing order.

    Args:
        acts: Training activations.
        truth: Whether each of these rows has the feature.
        k: How many; no more than there are to draw from.
        generator: Source of randomness.
        among: Draw from this many that differ most between the classes; from all unless given.
    """
    pool = torch.arange(acts.shape[1])
    if among is not None:
        pool = leading(mean_difference_std(acts, truth[:, None]), among)[0]
    return pool[torch.randperm(len(pool), generator=generator)[:k]].sort().values
