"""The labels of a collection: which feature each neuron is held against, on which test texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError, unknown_name
from needlepoint._core.text import Encoder
from needlepoint.activations.reduce import Rows
from needlepoint.activations.stream import gather
from needlepoint.evaluation.dossier.config import DossierConfig
from needlepoint.features import collection_spec, load_collection, split_collection
from needlepoint.features.collection import Collection
from needlepoint.features.split import Split
from needlepoint.models.model import Model
from needlepoint.models.sites import Site

MOST_VALIDATION = 24
"""Validation rows of each class of a feature that tell on which side a neuron means yes."""


@dataclass(frozen=True, eq=False)
class Held:
    """A collection in its parts, and for each neuron the feature that it is held against."""

    collection: Collection
    split: Split
    features: tuple[str, ...]
    """For each neuron, in their order."""
    signs: tuple[int, ...]
    """1 if a neuron is higher with its feature, -1 if lower, on validation rows."""
    chosen: tuple[int, ...]
    """Test texts to read."""


def ask_labelled(config: DossierConfig, encoder: Encoder) -> Collection:
    """The collection that a config names.

    Raises:
        UnknownNameError: If there is no such collection, or it has no such feature.
        DataError: If the texts or labels cannot be used.
        SourceError: If the sources of a built-in collection cannot be had.
    """
    spec = collection_spec(config.collection)
    if spec is None:
        found = load_collection(config.collection, encoder)
    else:
        found = spec(encoder, n_per_feature=config.examples, seed=config.seed)
    if config.feature and config.feature not in found.features:
        raise unknown_name(f"feature of {found.card.name}", config.feature, found.features)
    return found


def hold(model: Model, collection: Collection, config: DossierConfig, *, seed: int) -> Held:
    """Choose feature and side of each neuron on validation rows, and the test texts to read.

    A feature that was asked for is kept for all neurons. Otherwise each gets the one with the
    largest standardised mean difference. The split is by document, so that the test texts took
    no part; whether they did in finding the neuron depends on who found it, and with which seed.

    Raises:
        DataError: If the collection has too few documents to be split.
    """
    split = split_collection(collection, seed=seed)
    wanted = [config.feature] if config.feature else list(collection.features)
    differences = _differences(model, collection, split.validation, wanted, config.sites, seed)
    best = differences.abs().nan_to_num(nan=-1.0).argmax(0)
    features = tuple(wanted[feature] for feature in best.tolist())
    signs = tuple(
        -1 if float(differences[feature, place]) < 0 else 1
        for place, feature in enumerate(best.tolist())
    )
    chosen = _test_texts(collection, split.test, set(features), config.texts, seed)
    return Held(collection, split, features, signs, chosen)


def _differences(
    model: Model,
    collection: Collection,
    rows: Int[np.ndarray, " row"],
    features: Sequence[str],
    sites: Sequence[Site],
    seed: int,
) -> Float[Tensor, "feature k"]:
    """Standardised mean difference of each neuron for each feature, on a few rows of each class."""
    draw = np.random.default_rng(seed)
    parts = {}
    for feature in features:
        column = collection.features.index(feature)
        own = rows[collection.asked[rows, column]]
        of_class = [own[collection.labels[own, column] == wanted] for wanted in (True, False)]
        parts[feature] = [draw.permutation(part)[:MOST_VALIDATION] for part in of_class]
    used = np.unique(np.concatenate([part for both in parts.values() for part in both]))
    spans = collection.rows[used]
    texts, place = np.unique(spans[:, 0], return_inverse=True)
    spans = np.column_stack([place.reshape(-1), spans[:, 1:]])
    ids = [collection.ids[text] for text in texts.tolist()]
    found = gather(model, ids, list(sites), Rows.of(spans, collection.reduce), label="choosing")
    acts = torch.stack([found[site].double() for site in sites], dim=1)
    return torch.stack(
        [
            _standardised(*(acts[np.searchsorted(used, part)] for part in parts[feature]))
            for feature in features
        ]
    )


def _standardised(yes: Tensor, no: Tensor) -> Float[Tensor, " k"]:
    spread = (yes.var(0, correction=0) + no.var(0, correction=0)).div(2).sqrt()
    return (yes.mean(0) - no.mean(0)) / spread


def _test_texts(
    collection: Collection,
    rows: Int[np.ndarray, " row"],
    features: set[str],
    most: int,
    seed: int,
) -> tuple[int, ...]:
    """Test texts with each feature, and without it, drawn by one priority for all features."""
    priority = np.random.default_rng(seed + 1).permutation(len(collection.ids))
    chosen: set[int] = set()
    for feature in sorted(features):
        column = collection.features.index(feature)
        own = rows[collection.asked[rows, column]]
        for wanted in (True, False):
            part = own[collection.labels[own, column] == wanted]
            texts = np.unique(collection.rows[part, 0])
            chosen.update(texts[priority[texts].argsort()][:most].tolist())
    if not chosen:
        raise DataError(f"{collection.card.name} has no test texts; add documents.")
    return tuple(sorted(chosen))


def reduced_rows(
    collection: Collection,
    chosen: Sequence[int],
    feature: str,
    values: Float[np.ndarray, " row"],
    starts: Int[np.ndarray, " value"],
) -> tuple[Float[np.ndarray, " span"], Bool[np.ndarray, " span"]]:
    """Rows of the chosen texts as the collection reduces them, with their labels.

    Args:
        collection: The collection.
        chosen: Its texts that were read.
        feature: Rows that this is asked on.
        values: A neuron's activation at each token of these texts.
        starts: First of these tokens of each text.
    """
    column = collection.features.index(feature)
    place = {text: number for number, text in enumerate(chosen)}
    found, labels = [], []
    for row in np.flatnonzero(collection.asked[:, column]).tolist():
        text, start, end = collection.rows[row].tolist()
        if text not in place:
            continue
        part = values[starts[place[text]] + start : starts[place[text]] + end]
        ends = {"first": part[0], "last": part[-1], "max": part.max()}
        found.append(ends.get(collection.reduce, part.mean(dtype=np.float64)))
        labels.append(bool(collection.labels[row, column]))
    return np.array(found, dtype=np.float64), np.array(labels, dtype=bool)
