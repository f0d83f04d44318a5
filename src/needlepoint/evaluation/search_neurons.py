"""Search every layer for the neurons of every feature, with the null of the search beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.progress import Bar
from needlepoint.evaluation.read_neurons import NeuronData
from needlepoint.probing.null import MaxNull, max_null, over_layers
from needlepoint.probing.select import Choice, LayerProbes, choose, probe_layer
from needlepoint.probing.sweep import DEFAULT_KS


@dataclass(frozen=True, eq=False)
class Search:
    """What every layer showed, what was chosen for each feature, and the null of the search."""

    layers: list[LayerProbes]
    choices: tuple[Choice, ...]
    p_values: list[Float[Tensor, "feature neuron"]] | None
    """For each layer, corrected for all neurons of all layers; None where labels vary within
    documents, so that documents cannot swap them."""

    def p_value(self, feature: int) -> float | None:
        """Family-wise p-value of the neuron chosen for a feature."""
        if self.p_values is None:
            return None
        neuron = self.choices[feature].neuron
        return float(self.p_values[neuron.layer][feature, neuron.neuron])

    def smallest_p(self, feature: int) -> float | None:
        """Smallest family-wise p-value of any neuron for a feature, chosen or not."""
        if self.p_values is None:
            return None
        return min(float(layer[feature].min()) for layer in self.p_values)


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

    Args:
        data: The activations, read one layer at a time.
        n_layers: Layers to search.
        labels: Labels to use in place of the true ones, for a control.
        max_k: Most neurons that one probe reads.
        n_permutations: Shuffles behind the p-values.
        seed: Seed of the shuffles; the same in every layer, so that maxima can be joined.
        label: What the progress bar says.
    """
    labels = data.labels if labels is None else labels
    ks: Sequence[int] = [k for k in DEFAULT_KS if k <= max_k]
    train, validation = data.train, data.validation
    layers, nulls = [], []
    documents_swap = data.labels_of_documents
    with Bar(label, total=n_layers) as bar:
        for layer in range(n_layers):
            acts = data.layer(layer)
            layers.append(
                probe_layer(
                    acts[train],
                    labels[train],
                    acts[validation],
                    labels[validation],
                    ks=ks,
                    start=max(256, max_k) if max_k > 1 else 1,
                )
            )
            if documents_swap:
                nulls.append(_null(acts[train], labels[train], data, n_permutations, seed))
            bar.advance()
    p_values = [null.p_value for null in over_layers(nulls)] if nulls else None
    return Search(layers, choose(layers), p_values)


def shuffled_labels(
    data: NeuronData, generator: torch.Generator
) -> Bool[Tensor, "example feature"]:
    """The labels with documents given one another's, within each part: nothing is left to find.

    Rows swap labels one by one where labels vary within a document.
    """
    shuffled = data.labels.clone()
    for part in (data.train, data.validation, data.test):
        if data.labels_of_documents:
            shuffled[part] = _swap_documents(data.labels[part], data.documents[part], generator)
        else:
            shuffled[part] = data.labels[part[torch.randperm(len(part), generator=generator)]]
    return shuffled


def _swap_documents(labels: Tensor, documents: Tensor, generator: torch.Generator) -> Tensor:
    names, member = torch.unique(documents, return_inverse=True)
    first = torch.stack([(member == document).nonzero()[0, 0] for document in range(len(names))])
    of_document = labels[first]
    return of_document[torch.randperm(len(names), generator=generator)][member]


def _null(
    acts: Tensor, labels: Tensor, data: NeuronData, n_permutations: int, seed: int
) -> MaxNull:
    return max_null(
        acts,
        labels,
        groups=data.documents[data.train],
        n_permutations=n_permutations,
        generator=torch.Generator().manual_seed(seed),
    )
