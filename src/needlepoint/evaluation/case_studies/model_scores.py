"""One model on one collection: its neurons in order of merit, and what they call on test rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint._core.progress import Bar
from needlepoint.evaluation.case_studies.matched_search import matched_subsets, rank_weights
from needlepoint.evaluation.join_features import join_features
from needlepoint.evaluation.read_neurons import NeuronData
from needlepoint.features.split import PARTS, Split
from needlepoint.probing.select import choose, probe_layer
from needlepoint.probing.sweep import DEFAULT_KS
from needlepoint.probing.threshold import best_threshold_f1, calls_at


@dataclass(frozen=True, eq=False)
class Ordered:
    """The neurons of all layers for one feature, the one that is preferred first.

    The order is that of F1 on training and validation rows together, at the best cut on training
    rows; ties go to the first layer and neuron.
    """

    layer: Int[Tensor, " unit"]
    neuron: Int[Tensor, " unit"]
    sign: Int[Tensor, " unit"]
    cut: Float[Tensor, " unit"]
    f1_chosen: Float[Tensor, " unit"]
    """F1 that the order is by."""
    weight: Float[Tensor, " unit"]
    """Chance that each is chosen if as few candidates are at hand as the smallest model has."""
    best_test_f1: float
    """Highest test F1 of any neuron: chosen on test rows, so it rises with their number."""


@dataclass(frozen=True, eq=False)
class SparseProbe:
    """A sparse probe of one feature: its size, its layer, and what it calls on test rows."""

    k: int
    layer: int
    called: Bool[Tensor, " example"]


@dataclass(frozen=True, eq=False)
class FeatureScores:
    """One feature in one model, on the test rows that it is asked on."""

    feature: str
    truth: Bool[Tensor, " example"]
    documents: tuple[str, ...]
    neurons: Ordered
    called: Bool[Tensor, "example unit"]
    """What each neuron of `neurons` calls positive."""
    sparse: SparseProbe
    """Of all neurons."""
    matched: tuple[SparseProbe, ...]
    """Of random sets of neurons, as many as the smallest model has."""


def split_like(data: NeuronData, parts: Mapping[str, int]) -> NeuronData:
    """The same data with documents in the parts where they are elsewhere.

    Documents that are in none of those parts are left out. Tokenizers cut documents differently,
    so that models need not have the same rows; they do have the same documents.

    Raises:
        DataError: If a feature then lacks a class in a part.
    """
    where = np.array([parts.get(name, -1) for name in data.collection.row_documents])
    split = Split(*(np.flatnonzero(where == part) for part in range(len(PARTS))))
    asked = data.collection.asked
    for part in PARTS:
        rows = getattr(split, part)
        for place, feature in enumerate(data.collection.features):
            labels = data.labels[rows[asked[rows, place]], place]
            if not bool(labels.any()) or bool(labels.all()):
                raise DataError(
                    f"the models share too few documents of {feature!r} for {part}: their "
                    "tokenizers leave different ones; ask for more examples."
                )
    return replace(data, split=split)


def parts_of_documents(data: NeuronData) -> dict[str, int]:
    """The part that each document is in."""
    names = data.collection.row_documents
    return {
        names[row]: place
        for place, part in enumerate(PARTS)
        for row in getattr(data.split, part).tolist()
    }


def score_model(
    data: NeuronData,
    n_layers: int,
    *,
    size: int,
    draws: int,
    max_k: int,
    generator: torch.Generator,
) -> tuple[FeatureScores, ...]:
    """Every feature of a collection in one model: single neurons, and sparse probes.

    Args:
        data: Activations of all layers.
        n_layers: Layers of the model.
        size: Candidates that the smallest model has.
        draws: Random sets of that many neurons for sparse probes, where there are more.
        max_k: Most neurons that a sparse probe reads.
        generator: Source of these sets.
    """
    ordered, called = _order(data, n_layers, size)
    width = data.layer(0).shape[1]
    everything = [torch.arange(width)] * n_layers
    sparse = _sparse(data, everything, max_k, "sparse probes")
    matched = [sparse]
    if size < n_layers * width:
        subsets = [matched_subsets(n_layers, width, size, generator) for _ in range(draws)]
        matched = [_sparse(data, some, max_k, "matched sparse probes") for some in subsets]
    names = data.collection.row_documents
    found = []
    for feature, name in enumerate(data.collection.features):
        test = data.of(feature).test
        found.append(
            FeatureScores(
                name,
                data.labels[test, feature],
                tuple(names[row] for row in test.tolist()),
                ordered[feature],
                called[feature],
                sparse[feature],
                tuple(one[feature] for one in matched),
            )
        )
    return tuple(found)


@dataclass(frozen=True)
class _Cuts:
    """Cuts of one layer and their F1, on the rows chosen on and on test rows."""

    cut: Float[Tensor, "feature neuron"]
    sign: Int[Tensor, "feature neuron"]
    f1_chosen: Float[Tensor, "feature neuron"]
    f1_test: Float[Tensor, "feature neuron"]


def _cuts(data: NeuronData, layer: int) -> _Cuts:
    acts, parts = data.layer(layer), []
    for group in data.groups:
        labels = data.labels[:, list(group.features)]
        best = best_threshold_f1(acts[group.train], labels[group.train])
        rows = torch.cat([group.train, group.validation])
        chosen, test = (
            calls_at(acts[some], best.threshold, best.sign, labels[some]).f1
            for some in (rows, group.test)
        )
        parts.append(_Cuts(best.threshold, best.sign, chosen, test))
    return join_features(parts, [list(group.features) for group in data.groups])


def _order(
    data: NeuronData, n_layers: int, size: int
) -> tuple[list[Ordered], list[Bool[Tensor, "example unit"]]]:
    """The neurons that could be chosen, for each feature, and their calls on test rows."""
    layers = []
    with Bar("ordering neurons", total=n_layers) as bar:
        for layer in range(n_layers):
            layers.append(_cuts(data, layer))
            bar.advance()
    cut, sign, f1, test = (
        torch.cat([getattr(one, name) for one in layers], dim=1)
        for name in ("cut", "sign", "f1_chosen", "f1_test")
    )
    width = layers[0].cut.shape[1]
    weight = rank_weights(n_layers * width, size)
    found = []
    for feature in range(len(f1)):
        order = f1[feature].argsort(descending=True, stable=True)[: len(weight)]
        found.append(
            Ordered(
                order // width,
                order % width,
                sign[feature, order],
                cut[feature, order],
                f1[feature, order],
                weight,
                float(test[feature].max()),
            )
        )
    return found, [_calls(data, feature, one) for feature, one in enumerate(found)]


def _calls(data: NeuronData, feature: int, found: Ordered) -> Bool[Tensor, "example unit"]:
    test = data.of(feature).test
    called = torch.zeros(len(test), len(found.layer), dtype=torch.bool)
    for layer in torch.unique(found.layer).tolist():
        here = (found.layer == layer).nonzero()[:, 0]
        values = data.layer(layer)[test][:, found.neuron[here]]
        high = values > found.cut[here]
        called[:, here] = torch.where(found.sign[here] > 0, high, values < found.cut[here])
    return called


def _sparse(
    data: NeuronData, neurons: Sequence[Int[Tensor, " neuron"]], max_k: int, label: str
) -> list[SparseProbe]:
    """The smallest probe within one standard error of the best, of some neurons of each layer."""
    ks = [k for k in DEFAULT_KS if k <= max_k]
    features = [list(group.features) for group in data.groups]
    layers = []
    with Bar(label, total=len(neurons)) as bar:
        for layer, some in enumerate(neurons):
            acts, probes = data.layer(layer)[:, some], []
            for group, own in zip(data.groups, features, strict=True):
                labels = data.labels[:, own]
                fit, check = group.train, group.validation
                probes.append(
                    probe_layer(acts[fit], labels[fit], acts[check], labels[check], ks=ks)
                )
            layers.append(join_features(probes, features))
            bar.advance()
    found = []
    for feature, choice in enumerate(choose(layers)):
        kept, test = choice.sparse, data.of(feature).test
        odds = kept.probe(data.layer(kept.layer)[test][:, neurons[kept.layer]])
        found.append(SparseProbe(kept.k, kept.layer, odds > kept.cut))
    return found
