"""What the probes read: all neurons of all layers on a collection, split by document."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.activations.extract import Extraction, extract
from needlepoint.activations.reduce import Rows
from needlepoint.features.collection import Collection
from needlepoint.features.split import Split, split_collection
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

    def layer(self, layer: int) -> Float[Tensor, "example neuron"]:
        """All rows of one layer, in float32 on the processor."""
        return self.extraction.read(Site.of(layer, Part.NEURONS)).float()

    @property
    def train(self) -> Int[Tensor, " example"]:
        """Rows that probes are fitted on."""
        return torch.from_numpy(self.split.train)

    @property
    def validation(self) -> Int[Tensor, " example"]:
        """Rows that layer, neuron, k, penalty and cut are chosen on."""
        return torch.from_numpy(self.split.validation)

    @property
    def test(self) -> Int[Tensor, " example"]:
        """Rows that are read once, for the probes that were chosen."""
        return torch.from_numpy(self.split.test)

    @property
    def labels_of_documents(self) -> bool:
        """Whether all rows of a document have the same labels."""
        _, member = torch.unique(self.documents, return_inverse=True)
        first = torch.full((int(member.max()) + 1,), len(member))
        first.scatter_reduce_(0, member, torch.arange(len(member)), "amin")
        return bool((self.labels == self.labels[first[member]]).all())


def read_neurons(model: Model, collection: Collection, *, seed: int) -> NeuronData:
    """Split a collection by document and extract all neurons of all layers into the store.

    Raises:
        DataError: If a text is longer than the model's context; the message says by how much.
    """
    _fits(model, collection)
    split = split_collection(collection, seed=seed)
    rows = Rows.of(collection.rows, collection.reduce)
    sites = [Site.of(layer, Part.NEURONS) for layer in range(model.shape.n_layers)]
    extraction = extract(model, collection.ids, sites, rows, label="reading neurons")
    _, documents = np.unique(np.asarray(collection.row_documents), return_inverse=True)
    return NeuronData(
        collection,
        extraction,
        split,
        torch.from_numpy(np.ascontiguousarray(collection.labels)),
        torch.from_numpy(documents),
    )


def _fits(model: Model, collection: Collection) -> None:
    limit = getattr(model.module.config, "max_position_embeddings", None)
    longest = max(len(ids) for ids in collection.ids) + len(model.prefix)
    if limit is not None and longest > limit:
        raise DataError(
            f"the longest text has {longest} tokens, but {model.name} reads {limit} at most; "
            "cut long texts into windows."
        )
