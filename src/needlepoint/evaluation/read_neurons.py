"""What the probes read: all neurons of all layers on a collection, split by document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint._core.progress import say
from needlepoint.activations.extract import Extraction, Reading, read_into_store
from needlepoint.activations.reduce import Rows
from needlepoint.activations.stream import BATCH_TOKENS
from needlepoint.activations.units import Units
from needlepoint.features.collection import Collection
from needlepoint.features.split import Split, split_collection
from needlepoint.features.windowed import windowed
from needlepoint.models.model import Model
from needlepoint.models.sites import Part, Site


@dataclass(frozen=True, eq=False)
class NeuronData:
    """Activations in a store, labels, and the three parts; the test part is asked for by name."""

    collection: Collection
    extraction: Extraction
    split: Split
    labels: Bool[Tensor, "example feature"]
    documents: Int[Tensor, " example"]
    """Number of the document of each row."""
    _kept: dict[int, Tensor] = field(default_factory=dict, init=False, repr=False)

    def layer(self, layer: int) -> Float[Tensor, "example neuron"]:
        """All rows of one layer, in float32 on the processor; the last one read is kept."""
        if layer not in self._kept:
            self._kept.clear()
            self._kept[layer] = self.extraction.read(Site.of(layer, Part.NEURONS)).float()
        return self._kept[layer]

    @cached_property
    def groups(self) -> tuple[FeatureRows, ...]:
        """The features, those that are asked on the same rows together, with their rows."""
        patterns, group = np.unique(self.collection.asked, axis=1, return_inverse=True)
        group = group.reshape(-1)
        order = dict.fromkeys(group.tolist())
        return tuple(
            self._group(np.flatnonzero(group == number), patterns[:, number]) for number in order
        )

    def of(self, feature: int) -> FeatureRows:
        """The rows that a feature is asked on."""
        return next(group for group in self.groups if feature in group.features)

    @property
    def train(self) -> Int[Tensor, " example"]:
        """Rows that probes are fitted on, of all features."""
        return torch.from_numpy(self.split.train)

    @property
    def validation(self) -> Int[Tensor, " example"]:
        """Rows that layer, neuron, k, penalty and cut are chosen on, of all features."""
        return torch.from_numpy(self.split.validation)

    @property
    def test(self) -> Int[Tensor, " example"]:
        """Rows that are read once, for the probes that were chosen, of all features."""
        return torch.from_numpy(self.split.test)

    def _group(self, features: np.ndarray, asked: np.ndarray) -> FeatureRows:
        rows = torch.from_numpy(np.flatnonzero(asked))
        labels = self.labels[rows][:, features.tolist()]
        train, validation, test = (
            torch.from_numpy(part[asked[part]])
            for part in (self.split.train, self.split.validation, self.split.test)
        )
        of_documents = _of_documents(labels, self.documents[rows])
        return FeatureRows(tuple(features.tolist()), rows, train, validation, test, of_documents)


@dataclass(frozen=True, eq=False)
class FeatureRows:
    """Features that are asked on the same rows, and the numbers of these rows in each part."""

    features: tuple[int, ...]
    rows: Int[Tensor, "_"]
    """All of them, in increasing order."""
    train: Int[Tensor, "_"]
    """Rows that probes are fitted on."""
    validation: Int[Tensor, "_"]
    """Rows that layer, neuron, k, penalty and cut are chosen on."""
    test: Int[Tensor, "_"]
    """Rows that are read once, for the probes that were chosen."""
    labels_of_documents: bool
    """Whether all these rows of a document have the same labels."""


def first_rows(
    documents: Int[Tensor, " example"],
) -> tuple[Int[Tensor, " document"], Int[Tensor, " example"]]:
    """The first row of each document, and which of these documents each row is of.

    Example:
        >>> first_rows(torch.tensor([7, 4, 7]))
        (tensor([1, 0]), tensor([1, 0, 1]))
    """
    names, member = torch.unique(documents, return_inverse=True)
    first = torch.full((len(names),), len(member))
    first.scatter_reduce_(0, member, torch.arange(len(member)), "amin")
    return first, member


def _of_documents(
    labels: Bool[Tensor, "example feature"], documents: Int[Tensor, " example"]
) -> bool:
    first, member = first_rows(documents)
    return bool((labels == labels[first[member]]).all())


def read_neurons(
    model: Model,
    collection: Collection,
    *,
    seed: int,
    units: Units | None = None,
    layers: Sequence[int] | None = None,
) -> NeuronData:
    """Split a collection by document and extract the neurons of all layers into the store.

    All of them, or only `units` of each layer; these are then the columns of the layer. If only
    some `layers` are wanted, the pass ends at the last of them.

    Raises:
        DataError: If a text is longer than the model's context; the message says by how much.
    """
    check_fits(model, collection)
    split = split_collection(collection, seed=seed)
    reading = neuron_reading(model, collection, units=units, layers=layers)
    extraction = read_into_store(reading, model, label="reading neurons")
    _, documents = np.unique(np.asarray(collection.row_documents), return_inverse=True)
    return NeuronData(
        collection,
        extraction,
        split,
        torch.from_numpy(np.ascontiguousarray(collection.labels)),
        torch.from_numpy(documents),
    )


def check_fits(model: Model, collection: Collection) -> None:
    """Refuse texts that are longer than the model's context.

    Raises:
        DataError: With the length of the longest.
    """
    limit = getattr(model.module.config, "max_position_embeddings", None)
    longest = max(len(ids) for ids in collection.ids) + len(model.prefix)
    if limit is not None and longest > limit:
        raise DataError(
            f"the longest text has {longest} tokens, but {model.name} reads {limit} at most; "
            "cut long texts into windows: needlepoint.features.windowed.windowed."
        )


def neuron_reading(
    model: Model,
    collection: Collection,
    *,
    units: Units | None = None,
    layers: Sequence[int] | None = None,
) -> Reading:
    """What `read_neurons` reads of which texts."""
    wanted = range(model.shape.n_layers) if layers is None else layers
    sites = tuple(Site.of(layer, Part.NEURONS) for layer in wanted)
    rows = Rows.of(collection.rows, collection.reduce)
    return Reading(collection.ids, sites, rows, units=units or Units())


def longest_window(positions: int | None, *, n_prefix: int) -> int:
    """Most tokens of a text that are read at once, without the first token.

    Args:
        positions: Most that the model reads, or None if nothing bounds them.
        n_prefix: How many tokens are put in front.
    """
    return min(positions or BATCH_TOKENS, BATCH_TOKENS) - n_prefix


def cut_to_fit(model: Model, collection: Collection) -> Collection:
    """The collection, its long texts cut into windows that the model reads in one small batch.

    A window has at most `BATCH_TOKENS` tokens, however many the model could read, so that memory
    does not grow with the length of a text. What is cut is said.
    """
    positions = getattr(model.module.config, "max_position_embeddings", None)
    most = longest_window(positions, n_prefix=len(model.prefix))
    found = windowed(collection, most)
    if found is not collection:
        long = sum(len(ids) > most for ids in collection.ids)
        say(
            f"{long:,} of {len(collection.ids):,} texts are longer than {most:,} tokens: cut into "
            f"windows, {len(collection.rows):,} rows to {len(found.rows):,}."
        )
    return found
