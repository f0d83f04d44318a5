"""How the labels of each feature may be moved, and the null of the search that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.evaluation.read_neurons import NeuronData
from needlepoint.probing.null import MaxNull, max_null, over_layers
from needlepoint.probing.permutations import Scheme, permutation_for

NOT_ASKED = "no permutations were asked for"
WORDS = {
    "documents": "documents swap labels",
    "shift": "labels shift within documents",
    "rows": "rows swap labels",
}
"""What each scheme does, in words that read after a number of permutations."""


@dataclass(frozen=True, eq=False)
class FeatureNull:
    """The null of the maximum over all neurons of all layers for one feature."""

    scheme: Scheme | None
    """How labels were moved; None if they could not be."""
    reason: str
    """Why there is no null; empty if there is one."""
    largest: Float[Tensor, " resample"] | None
    """The largest difference that each permutation found, in pooled standard deviations."""
    observed: tuple[Float[Tensor, " neuron"], ...] | None
    """For each layer the difference on every neuron with the labels as they are."""
    p_values: tuple[Float[Tensor, " neuron"], ...] | None
    """For each layer, family-wise over all neurons of all layers."""


@dataclass(frozen=True, eq=False)
class LabelNull:
    """Features whose labels are moved together, and how."""

    features: tuple[int, ...]
    train: Int[Tensor, "_"]
    scheme: Scheme
    n_permutations: int

    def null(
        self,
        acts: Float[Tensor, "example neuron"],
        labels: Bool[Tensor, "example feature"],
        documents: Int[Tensor, " example"],
        seed: int,
    ) -> MaxNull:
        """The null of one layer; the same permutations in every layer."""
        return max_null(
            acts[self.train],
            labels[self.train][:, list(self.features)],
            groups=documents[self.train],
            n_permutations=self.n_permutations,
            generator=torch.Generator().manual_seed(seed),
            scheme=self.scheme,
        )


@dataclass(frozen=True, eq=False)
class NullPlan:
    """How the labels of all features are moved, or why those of some are not."""

    parts: tuple[LabelNull, ...]
    reasons: dict[int, str]


def null_plan(
    data: NeuronData, labels: Bool[Tensor, "example feature"], n_permutations: int
) -> NullPlan:
    """For each feature the scheme that fits its labels on training rows.

    Features of the same rows and scheme move together. A feature whose labels vary within
    documents, but in too few ways for any p-value to be low, has no null, and a reason.
    """
    if not n_permutations:
        return NullPlan((), dict.fromkeys(range(labels.shape[1]), NOT_ASKED))
    parts: list[LabelNull] = []
    reasons: dict[int, str] = {}
    for group in data.groups:
        of_scheme: dict[Scheme, list[int]] = {}
        for feature in group.features:
            column = labels[group.train][:, [feature]]
            try:
                scheme = permutation_for(column, data.documents[group.train]).scheme
            except DataError:
                reasons[feature] = (
                    "labels vary within documents, but in so few of them that moving labels within "
                    "documents could show nothing"
                )
            else:
                of_scheme.setdefault(scheme, []).append(feature)
        parts += [
            LabelNull(tuple(features), group.train, scheme, n_permutations)
            for scheme, features in of_scheme.items()
        ]
    return NullPlan(tuple(parts), reasons)


def of_features(
    plan: NullPlan, nulls: Sequence[Sequence[MaxNull]], n_features: int
) -> tuple[FeatureNull, ...]:
    """The null of each feature, from those of each layer and each part of the plan."""
    found = {
        feature: FeatureNull(None, reason, None, None, None)
        for feature, reason in plan.reasons.items()
    }
    for part, layers in zip(plan.parts, zip(*nulls, strict=True), strict=True):
        joined = over_layers(layers)
        p_values = [layer.p_value for layer in joined]
        for place, feature in enumerate(part.features):
            found[feature] = FeatureNull(
                part.scheme,
                "",
                joined[0].null[:, place],
                tuple(layer.observed[place] for layer in joined),
                tuple(layer[place] for layer in p_values),
            )
    return tuple(found[feature] for feature in range(n_features))


def null_frame(nulls: Sequence[FeatureNull], features: Sequence[str]) -> pd.DataFrame:
    """The table of null maxima: one row for each feature and permutation."""
    frames = [
        pd.DataFrame(
            {
                "feature": feature,
                "scheme": null.scheme,
                "draw": range(len(null.largest)),
                "largest": null.largest.double().numpy(),
            }
        )
        for feature, null in zip(features, nulls, strict=True)
        if null.largest is not None
    ]
    columns = ["feature", "scheme", "draw", "largest"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)
