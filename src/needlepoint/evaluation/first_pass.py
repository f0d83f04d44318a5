"""One forward pass that ranks every neuron of every layer for every feature; no row is stored.

A second pass over the same texts can then keep the leading neurons only: see `second_pass`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from needlepoint._core.errors import DataError, OneClassError
from needlepoint._core.progress import heard, say
from needlepoint._core.seeds import seed_for
from needlepoint.activations.class_histograms import HELD_ROWS
from needlepoint.activations.extract import rows_per_second
from needlepoint.activations.plan import in_bytes, in_time
from needlepoint.activations.reduce import Rows
from needlepoint.activations.stream import BATCH_TOKENS, Chunk, collect
from needlepoint.evaluation.layer_statistics import LayerStatistics
from needlepoint.evaluation.neuron_rankings import DEFAULT, METHODS, NeuronRankings, Ranking
from needlepoint.evaluation.read_neurons import check_fits
from needlepoint.features.collection import Collection
from needlepoint.features.split import Split, split_collection
from needlepoint.models.model import Model
from needlepoint.models.sites import Part, Site

BINS = 64
PILOT_ROWS = 512
"""Training rows that bins are laid out by."""
BUFFER_ROWS = 1024
"""Rows that are held until they are summed together; a few at a time would take longer."""


@dataclass(frozen=True, eq=False)
class FirstPass:
    """Rankings of every neuron for every feature, and the rows that they are from.

    Test rows were not read at all.
    """

    collection: Collection
    split: Split
    rankings: NeuronRankings
    rows: int
    """Rows that were read: training and validation."""
    texts: int
    """Texts that these are of."""


def first_pass(
    model: Model,
    collection: Collection,
    *,
    seed: int = 0,
    split: Split | None = None,
    n_bins: int = BINS,
    batch_tokens: int = BATCH_TOKENS,
) -> FirstPass:
    """Rank every neuron of every layer for all features of a collection, in one forward pass.

    Rankings are from training rows; validation rows give one column to compare with, and test
    rows are not read. Memory grows with features, bins and neurons, not with rows; it is said
    beforehand, with the time.

    Args:
        model: The model to read.
        collection: Labelled text.
        seed: The seed of the whole run; the split is the one that studies make of it.
        split: A split of your own in its place.
        n_bins: Bins of each histogram, 2 to 256: more give closer bounds and take more memory.
        batch_tokens: Most tokens in one forward pass.

    Raises:
        DataError: If a text is too long for the model, a feature is in too few documents or asked
            on too few rows, or an activation is NaN or infinite; the message names the site.
        OneClassError: If a feature has training or validation rows of one class only.

    Source:
        Gurnee et al. 2023 (arXiv 2305.01610) for the rankings; the sums and histograms stream.
    """
    check_fits(model, collection)
    if split is None:
        of_split = seed_for(seed, features=collection.card.name, use="split")
        split = split_collection(collection, seed=of_split)
    _check_classes(collection, split)
    read = np.sort(np.concatenate([split.train, split.validation]))
    gathered = _Gathered(model, collection, split, n_bins)
    if heard():
        say(_announcement(model, collection, read, n_bins, batch_tokens))
    pilot = _pilot_texts(collection, split, seed_for(seed, use="pilot"))
    for rows, label in _stages(collection, read, pilot):
        for chunk, numbers in _stream(model, collection, rows, batch_tokens, label):
            gathered.take(chunk, numbers, hold=label == "reading a pilot")
        gathered.flush()
    texts = len(np.unique(collection.rows[read, 0]))
    return FirstPass(collection, split, gathered.rankings(seed), len(read), texts)


def memory_bytes(n_features: int, n_groups: int, n_layers: int, d_mlp: int, n_bins: int) -> int:
    """Most memory that the statistics of a first pass take, beside the model's own.

    Histograms of 16 bits, three float64 sums for each part, the rows that are held, and the bins of
    those that are yet to be counted.
    """
    neurons = n_layers * d_mlp
    histograms = 2 * n_bins * (n_features + n_groups)
    sums = 2 * 3 * 8 * n_features
    held = 4 * (PILOT_ROWS + BUFFER_ROWS) + HELD_ROWS
    return neurons * (histograms + sums + held)


class _Gathered:
    """The statistics of all layers, and the rows that are yet to enter them."""

    def __init__(self, model: Model, collection: Collection, split: Split, n_bins: int) -> None:
        self._sites = _sites(model)
        self._features = collection.features
        members, groups = np.unique(collection.asked, axis=1, return_inverse=True)
        del members
        of_features = groups.reshape(-1).tolist()
        self.layers = {site: LayerStatistics(of_features, n_bins) for site in self._sites}
        self._labels = torch.from_numpy(np.ascontiguousarray(collection.labels))
        self._members = torch.from_numpy(np.ascontiguousarray(collection.asked))
        self._train = torch.zeros(len(collection.rows), dtype=torch.bool)
        self._train[torch.from_numpy(split.train)] = True
        self._rows: list[Tensor] = []
        self._held: dict[Site, list[Tensor]] = {site: [] for site in self._sites}

    def take(self, chunk: Chunk, numbers: Int[Tensor, " example"], *, hold: bool) -> None:
        """Hold the rows of a batch; unless told otherwise, no more than fit the buffer."""
        for site in self._sites:
            _check_site(site, chunk.values[site], numbers)
            self._held[site].append(chunk.values[site])
        self._rows.append(numbers)
        if not hold and sum(map(len, self._rows)) >= BUFFER_ROWS:
            self.flush()

    def flush(self) -> None:
        """Let the rows that are held enter the statistics."""
        if not self._rows:
            return
        rows = torch.cat(self._rows)
        labels, members, train = self._labels[rows], self._members[rows], self._train[rows]
        for site, held in self._held.items():
            x = torch.cat(held)
            held.clear()
            self.layers[site].update(x, labels, members, train)
        self._rows.clear()

    def rankings(self, seed: int) -> NeuronRankings:
        """Every ranking, joined over the layers."""
        scores = [layer.scores() for layer in self.layers.values()]
        tables = {name: torch.stack([one[name] for one in scores], dim=1) for name in scores[0]}
        by = {
            name: Ranking(
                tables[name],
                tables.get(f"{name}.sign", tables["sign"]).to(torch.int8),
                tables.get(f"{name}.low"),
                tables.get(f"{name}.high"),
                0.5 if name == "auc" else 0.0,
            )
            for name in METHODS
            if name != "random"
        }
        by["random"] = Ranking.random(by[DEFAULT], seed)
        return NeuronRankings(self._features, by, tables["validation"])


def _sites(model: Model) -> list[Site]:
    return [Site.of(layer, Part.NEURONS) for layer in range(model.shape.n_layers)]


def _stages(
    collection: Collection, read: Int[np.ndarray, " example"], pilot: Bool[np.ndarray, " batch"]
) -> Iterator[tuple[Int[np.ndarray, " example"], str]]:
    """The rows of the pilot's texts, then the others."""
    early = pilot[collection.rows[read, 0]]
    for rows, label in ((read[early], "reading a pilot"), (read[~early], "reading neurons")):
        if len(rows):
            yield rows, label


def _pilot_texts(collection: Collection, split: Split, seed: int) -> Bool[np.ndarray, " batch"]:
    """Which texts are read first: drawn at random until they have enough training rows."""
    counts = np.bincount(collection.rows[split.train, 0], minlength=len(collection.ids))
    order = np.random.default_rng(seed).permutation(np.flatnonzero(counts))
    before = np.cumsum(counts[order]) - counts[order]
    chosen = np.zeros(len(collection.ids), dtype=bool)
    chosen[order[before < PILOT_ROWS]] = True
    return chosen


def _stream(
    model: Model,
    collection: Collection,
    rows: Int[np.ndarray, " example"],
    batch_tokens: int,
    label: str,
) -> Iterator[tuple[Chunk, Int[Tensor, " example"]]]:
    """Activations of some rows, with their numbers in the collection; other texts are not run."""
    texts, place = np.unique(collection.rows[rows, 0], return_inverse=True)
    spans = np.column_stack([place, collection.rows[rows, 1:]])
    ids = [collection.ids[text] for text in texts.tolist()]
    numbers = torch.from_numpy(rows)
    asked = Rows.of(spans, collection.reduce)
    for chunk in collect(model, ids, _sites(model), asked, batch_tokens=batch_tokens, label=label):
        yield chunk, numbers[chunk.rows]


def _announcement(
    model: Model,
    collection: Collection,
    read: Int[np.ndarray, " example"],
    n_bins: int,
    batch_tokens: int,
) -> str:
    """What the pass will take, in one line."""
    shape = model.shape
    groups = len(np.unique(collection.asked, axis=1).T)
    needed = memory_bytes(len(collection.features), groups, shape.n_layers, shape.d_mlp, n_bins)
    texts = np.unique(collection.rows[read, 0]).tolist()
    ids = [collection.ids[text] for text in texts]
    seconds = len(read) / rows_per_second(model, ids, len(read), batch_tokens)
    return (
        f"{len(read):,} rows x {shape.n_layers} layers x {shape.d_mlp} neurons for "
        f"{_features(collection)}, nothing stored: {in_bytes(needed)} of memory, "
        f"about {in_time(seconds)}."
    )


def _features(collection: Collection) -> str:
    count = len(collection.features)
    return f"{count} feature{'s' * (count != 1)}"


def _check_site(site: Site, x: Tensor, numbers: Int[Tensor, " example"]) -> None:
    """Refuse activations that are NaN or infinite, by name."""
    # A sum is not finite if an entry is not; only then look closer.
    if bool(torch.isfinite(x.sum(dtype=torch.float32))):
        return
    bad = (~torch.isfinite(x)).nonzero()
    if len(bad):
        row, neuron = (int(number) for number in bad[0])
        raise DataError(
            f"site {site}, neuron {neuron}, is {x[row, neuron].item()} on row "
            f"{int(numbers[row])}, so it cannot be ranked; run the model in float32, or leave "
            "that row out."
        )


def _check_classes(collection: Collection, split: Split) -> None:
    """Refuse a feature that has one class only, or two rows, in a part that is read."""
    for part, rows in (("training", split.train), ("validation", split.validation)):
        asked, labels = collection.asked[rows], collection.labels[rows]
        for feature, name in enumerate(collection.features):
            found = labels[asked[:, feature], feature]
            if len(found) == 2 and found.sum() == 1:
                raise DataError(
                    f"{part} rows have 2 that feature {name!r} is asked on, and its spread needs "
                    "at least 3; add rows, or leave the feature out."
                )
            if not found.any() or found.all():
                raise OneClassError(
                    f"{part} rows have {int(found.sum())} with feature {name!r} and "
                    f"{int((~found).sum())} without; add rows of the missing class, or leave "
                    "the feature out."
                )
