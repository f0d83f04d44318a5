"""How well the best sparse probe does when labels mean nothing: the whole search done again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint._core.progress import Bar
from needlepoint.evaluation.label_nulls import LabelNull, null_plan
from needlepoint.evaluation.read_neurons import NeuronData
from needlepoint.probing.path_null import HighestF1, MovedLabels
from needlepoint.probing.permutations import Scheme

NOT_ASKED = "it takes as many searches as there are moves of the labels, and none were asked for"
COLUMNS = ["feature", "scheme", "draw", "highest_f1"]


@dataclass(frozen=True, eq=False)
class SparseNull:
    """The null of the highest validation F1 of any sparse probe of a feature."""

    scheme: Scheme | None
    """How labels were moved; None if they were not."""
    reason: str
    """Why there is no null; empty if there is one."""
    p_value: float | None
    """Share of searches that reach the true one's F1, itself counted; None without a null.

    Family-wise over all layers, sizes, neurons, ridges and cuts; never below `1 / (1 + moves)`.
    """
    highest: Float[Tensor, " resample"] | None
    """Highest validation F1 over layers and sizes with each move of the labels."""


def sparse_nulls(
    data: NeuronData,
    n_layers: int,
    *,
    n_permutations: int,
    options: Mapping[str, Any],
    seed: int,
) -> tuple[SparseNull, ...]:
    """For each feature the null of the sparse probe, or why there is none.

    Labels move as for the null of single neurons (documents swap them, or they shift within
    documents), within training and within validation documents, and the search is repeated for
    each move: every layer, size, neuron, ridge and cut is chosen again. It costs one search more
    than there are moves, as the true labels are searched beside them.

    Args:
        data: The activations, read one layer at a time, and the labels.
        n_layers: Layers to search.
        n_permutations: Moves of the labels; no feature has a null for 0.
        options: What the search was asked for: keywords of `probing.select.probe_path`.
        seed: Seed of the moves.
    """
    plan = null_plan(data, data.labels, n_permutations)
    why = NOT_ASKED if not n_permutations else ""
    found = {
        feature: SparseNull(None, why or reason, None, None)
        for feature, reason in plan.reasons.items()
    }
    searches: list[tuple[LabelNull, HighestF1]] = []
    for part in plan.parts:
        try:
            moved = _moved(data, part, torch.Generator().manual_seed(seed))
        except DataError:
            reason = "labels of validation rows vary within documents, unlike those of training"
            found |= {one: SparseNull(None, reason, None, None) for one in part.features}
        else:
            searches.append((part, HighestF1(moved, **options)))
    if searches:
        _search(data, n_layers, searches)
    for part, search in searches:
        for feature, p, null in zip(part.features, search.p_value, search.null.T, strict=True):
            found[feature] = SparseNull(part.scheme, "", float(p), null)
    return tuple(found[feature] for feature in range(data.labels.shape[1]))


def sparse_null_frame(nulls: Sequence[SparseNull], features: Sequence[str]) -> pd.DataFrame:
    """The table of these nulls: one row for each feature and move of the labels."""
    rows = [
        (feature, null.scheme, draw, f1)
        for feature, null in zip(features, nulls, strict=True)
        if null.highest is not None
        for draw, f1 in enumerate(null.highest.tolist())
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _moved(data: NeuronData, part: LabelNull, generator: torch.Generator) -> MovedLabels:
    features, validation = list(part.features), data.of(part.features[0]).validation
    return MovedLabels.of(
        data.labels[part.train][:, features],
        data.documents[part.train],
        data.labels[validation][:, features],
        data.documents[validation],
        scheme=part.scheme,
        n_permutations=part.n_permutations,
        generator=generator,
    )


def _search(
    data: NeuronData, n_layers: int, searches: Sequence[tuple[LabelNull, HighestF1]]
) -> None:
    """Every layer once, however many features have rows of their own."""
    with Bar("searching with moved labels", total=n_layers) as bar:
        for layer in range(n_layers):
            acts = data.layer(layer)
            for part, search in searches:
                search.add(acts[part.train], acts[data.of(part.features[0]).validation])
            bar.advance()
