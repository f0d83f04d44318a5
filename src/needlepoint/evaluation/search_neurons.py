"""Search every layer for the neurons of every feature, with the null of the search beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.progress import Bar
from needlepoint.evaluation.join_features import join_features
from needlepoint.evaluation.label_nulls import FeatureNull, null_plan, of_features
from needlepoint.evaluation.read_neurons import NeuronData, first_rows
from needlepoint.probing.null import MaxNull
from needlepoint.probing.select import (
    Choice,
    LayerNeurons,
    LayerProbes,
    NeuronChoice,
    SparseChoice,
    choose,
    choose_neurons,
    choose_sizes,
    probe_layer,
    score_neurons,
)
from needlepoint.probing.selectors import DELETION, RANKING
from needlepoint.probing.sweep import DEFAULT_KS


@dataclass(frozen=True, eq=False)
class NeuronSearch:
    """The neuron chosen for each feature, and the null of the search."""

    neurons: tuple[NeuronChoice, ...]
    nulls: tuple[FeatureNull, ...]
    """For each feature the null of the maximum over all neurons of all layers, or why none is."""

    @property
    def p_values(self) -> list[Float[Tensor, "feature neuron"]] | None:
        """For each layer, corrected for all neurons of all layers; None if no feature has any.

        NaN for a feature without a null.
        """
        known = [null.p_values for null in self.nulls if null.p_values is not None]
        if not known:
            return None
        nothing = [torch.full_like(layer, torch.nan) for layer in known[0]]
        of_features = [nothing if null.p_values is None else null.p_values for null in self.nulls]
        return [torch.stack(layer) for layer in zip(*of_features, strict=True)]

    def p_value(self, feature: int) -> float | None:
        """Family-wise p-value of the neuron chosen for a feature."""
        p_values, neuron = self.nulls[feature].p_values, self.neurons[feature]
        return None if p_values is None else float(p_values[neuron.layer][neuron.neuron])

    def smallest_p(self, feature: int) -> float | None:
        """Smallest family-wise p-value of any neuron for a feature, chosen or not."""
        p_values = self.nulls[feature].p_values
        return None if p_values is None else min(float(layer.min()) for layer in p_values)


@dataclass(frozen=True, eq=False)
class Search(NeuronSearch):
    """What every layer showed, what was chosen for each feature, and the null of the search."""

    layers: list[LayerProbes]
    choices: tuple[Choice, ...]
    sizes: tuple[tuple[SparseChoice, ...], ...]
    """For each feature the sparse probe of every k, each of the layer that is best for that k."""


def search(
    data: NeuronData,
    n_layers: int,
    *,
    labels: Bool[Tensor, "example feature"] | None = None,
    max_k: int,
    method: str = "adaptive_thresholding",
    ranking: str = RANKING,
    deletion: str = DELETION,
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
        method: How their neurons are selected: a name of `SELECTORS`.
        ranking: What the method starts from: a name of `RANKINGS`.
        deletion: How it gives neurons up: a name of `DELETIONS`.
        n_permutations: Shuffles behind the p-values.
        seed: Seed of the shuffles; the same in every layer, so that maxima can be joined. Rankings
            that draw have it too.
        label: What the progress bar says.
    """
    options = sweep_options(max_k, method=method, ranking=ranking, deletion=deletion, seed=seed)

    def probe(*parts: Tensor) -> LayerProbes:
        return probe_layer(*parts, **options)

    found = _each_layer(data, n_layers, labels, probe, n_permutations, seed, label)
    choices = choose(found.layers)
    neurons = tuple(choice.neuron for choice in choices)
    return Search(neurons, found.nulls, found.layers, choices, choose_sizes(found.layers))


def sweep_options(
    max_k: int, *, method: str, ranking: str, deletion: str, seed: int
) -> dict[str, Any]:
    """What `probe_layer` and `probe_path` are given for a sweep up to `max_k` neurons."""
    return {
        "ks": [k for k in DEFAULT_KS if k <= max_k],
        "start": max(256, max_k) if max_k > 1 else 1,
        "method": method,
        "ranking": ranking,
        "deletion": deletion,
        "seed": seed,
    }


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
    return NeuronSearch(choose_neurons(found.layers), found.nulls)


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


def _swap_documents(labels: Tensor, documents: Tensor, generator: torch.Generator) -> Tensor:
    first, member = first_rows(documents)
    order = torch.randperm(len(first), generator=generator)
    return labels[first][order][member]


Layer = TypeVar("Layer", bound=LayerNeurons)


@dataclass(frozen=True, eq=False)
class _Layers(Generic[Layer]):
    """Results of each layer, and the null of each feature over all of them."""

    layers: list[Layer]
    nulls: tuple[FeatureNull, ...]


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
    plan = null_plan(data, labels, n_permutations)
    layers: list[Layer] = []
    nulls: list[list[MaxNull]] = []
    with Bar(label, total=n_layers) as bar:
        for layer in range(n_layers):
            acts = data.layer(layer)
            probes = []
            for group in data.groups:
                own = labels[:, list(group.features)]
                fit, check = group.train, group.validation
                probes.append(probe(acts[fit], own[fit], acts[check], own[check]))
            layers.append(join_features(probes, features))
            nulls.append([part.null(acts, labels, data.documents, seed) for part in plan.parts])
            bar.advance()
    return _Layers(layers, of_features(plan, nulls, labels.shape[1]))
