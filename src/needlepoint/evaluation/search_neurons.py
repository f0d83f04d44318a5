"""Search every layer for the neurons of every feature, with the null of the search beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.progress import Bar
from needlepoint.evaluation.join_features import join_features
from needlepoint.evaluation.read_neurons import FeatureRows, NeuronData, first_rows
from needlepoint.probing.null import MaxNull, max_null, over_layers
from needlepoint.probing.select import (
    Choice,
    LayerNeurons,
    LayerProbes,
    NeuronChoice,
    choose,
    choose_neurons,
    probe_layer,
    score_neurons,
)
from needlepoint.probing.sweep import DEFAULT_KS


@dataclass(frozen=True, eq=False)
class NeuronSearch:
    """The neuron chosen for each feature, and the null of the search."""

    neurons: tuple[NeuronChoice, ...]
    p_values: list[Float[Tensor, "feature neuron"]] | None
    """For each layer, corrected for all neurons of all layers. NaN for a feature whose labels vary
    within documents, so that documents cannot swap them; None if that is so for every feature."""

    def p_value(self, feature: int) -> float | None:
        """Family-wise p-value of the neuron chosen for a feature."""
        if self.p_values is None:
            return None
        neuron = self.neurons[feature]
        return _known(self.p_values[neuron.layer][feature, neuron.neuron])

    def smallest_p(self, feature: int) -> float | None:
        """Smallest family-wise p-value of any neuron for a feature, chosen or not."""
        if self.p_values is None:
            return None
        return _known(torch.stack([layer[feature].min() for layer in self.p_values]).min())


@dataclass(frozen=True, eq=False)
class Search(NeuronSearch):
    """What every layer showed, what was chosen for each feature, and the null of the search."""

    layers: list[LayerProbes]
    choices: tuple[Choice, ...]


def search(
    data: NeuronData,
    n_layers: int,
    *,
    labels: Bool[Tensor, "example feature"] | None = None,
    max_k: int,
    n_permutations: int,
    seed: int,
    label: str,
) -> Search:
    """Fit on training rows, choose on validation rows, layer by layer.

    Each feature is searched on the rows it is asked on; those with the same rows together.

    Args:
        data: The activations, read one layer at a time.
        n_layers: Layers to search.
        labels: Labels to use in place of the true ones, for a control.
        max_k: Most neurons that one probe reads.
        n_permutations: Shuffles behind the p-values.
        seed: Seed of the shuffles; the same in every layer, so that maxima can be joined.
        label: What the progress bar says.
    """
    ks: Sequence[int] = [k for k in DEFAULT_KS if k <= max_k]
    start = max(256, max_k) if max_k > 1 else 1

    def probe(*parts: Tensor) -> LayerProbes:
        return probe_layer(*parts, ks=ks, start=start)

    found = _each_layer(data, n_layers, labels, probe, n_permutations, seed, label)
    choices = choose(found.layers)
    neurons = tuple(choice.neuron for choice in choices)
    return Search(neurons, _p_values(found.nulls, data), found.layers, choices)


def search_single(
    data: NeuronData,
    n_layers: int,
    *,
    labels: Bool[Tensor, "example feature"] | None = None,
    n_permutations: int,
    seed: int,
    label: str,
) -> NeuronSearch:
    """The neuron that `search` would choose for each feature, without any sparse probe.

    The arguments are those of `search`, but no p-values are computed for 0 permutations.
    """
    found = _each_layer(data, n_layers, labels, score_neurons, n_permutations, seed, label)
    p_values = _p_values(found.nulls, data) if n_permutations else None
    return NeuronSearch(choose_neurons(found.layers), p_values)


def shuffled_labels(
    data: NeuronData, generator: torch.Generator
) -> Bool[Tensor, "example feature"]:
    """The labels with documents given one another's, within each part: nothing is left to find.

    A feature's labels are swapped among the rows it is asked on. Rows swap labels one by one
    where labels vary within a document.
    """
    shuffled = data.labels.clone()
    for group in data.groups:
        features = torch.tensor(group.features)
        for part in (group.train, group.validation, group.test):
            labels, documents = data.labels[part][:, features], data.documents[part]
            if not group.labels_of_documents:
                documents = torch.arange(len(part))
            shuffled[part[:, None], features] = _swap_documents(labels, documents, generator)
    return shuffled


def _known(p_value: Tensor) -> float | None:
    return None if bool(p_value.isnan()) else float(p_value)


def _swap_documents(labels: Tensor, documents: Tensor, generator: torch.Generator) -> Tensor:
    first, member = first_rows(documents)
    order = torch.randperm(len(first), generator=generator)
    return labels[first][order][member]


Layer = TypeVar("Layer", bound=LayerNeurons)


@dataclass(frozen=True, eq=False)
class _Layers(Generic[Layer]):
    """Results of each layer, and its nulls for each group of features."""

    layers: list[Layer]
    nulls: list[list[MaxNull | None]]


def _each_layer(
    data: NeuronData,
    n_layers: int,
    labels: Tensor | None,
    probe: Callable[[Tensor, Tensor, Tensor, Tensor], Layer],
    n_permutations: int,
    seed: int,
    label: str,
) -> _Layers[Layer]:
    labels = data.labels if labels is None else labels
    features = [list(group.features) for group in data.groups]
    found: _Layers[Layer] = _Layers([], [])
    with Bar(label, total=n_layers) as bar:
        for layer in range(n_layers):
            acts = data.layer(layer)
            probes, nulls = [], []
            for group in data.groups:
                own = labels[:, list(group.features)]
                fit, check = group.train, group.validation
                probes.append(probe(acts[fit], own[fit], acts[check], own[check]))
                nulls.append(_null(acts, own, data, group, n_permutations, seed))
            found.layers.append(join_features(probes, features))
            found.nulls.append(nulls)
            bar.advance()
    return found


def _null(
    acts: Tensor,
    labels: Tensor,
    data: NeuronData,
    group: FeatureRows,
    n_permutations: int,
    seed: int,
) -> MaxNull | None:
    """The null of one layer; None where labels vary within documents, or none is asked for."""
    if not group.labels_of_documents or not n_permutations:
        return None
    return max_null(
        acts[group.train],
        labels[group.train],
        groups=data.documents[group.train],
        n_permutations=n_permutations,
        generator=torch.Generator().manual_seed(seed),
    )


def _p_values(
    nulls: Sequence[Sequence[MaxNull | None]], data: NeuronData
) -> list[Float[Tensor, "feature neuron"]] | None:
    """For each layer the p-values of all features, from the nulls of each layer and group."""
    found: list[Tensor] | None = None
    for group, of_group in zip(data.groups, zip(*nulls, strict=True), strict=True):
        known = [null for null in of_group if null is not None]
        if not known:
            continue
        p_values = [null.p_value for null in over_layers(known)]
        if found is None:
            shape = (data.labels.shape[1], p_values[0].shape[1])
            found = [p_values[0].new_full(shape, torch.nan) for _ in p_values]
        for layer, p_value in zip(found, p_values, strict=True):
            layer[list(group.features)] = p_value
    return found
