"""What the sparse probe of every size says of the test rows, read once from each layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint.evaluation.read_neurons import NeuronData
from needlepoint.probing.select import SparseChoice


def size_odds(
    data: NeuronData, sizes: Sequence[Sequence[SparseChoice]]
) -> list[Float[Tensor, "example k"]]:
    """For each feature the log-odds of its probes, one for each size, on its test rows; float64.

    Layers are read one after another, each once, however many probes read it. Nothing is chosen
    here: layers, neurons, weights and cuts are those of `sizes`.

    Args:
        data: The activations, and which rows each feature is tested on.
        sizes: For each feature its probes, from `choose_sizes`.
    """
    found = [
        torch.zeros(len(data.of(feature).test), len(probes), dtype=torch.float64)
        for feature, probes in enumerate(sizes)
    ]
    for layer in sorted({kept.layer for probes in sizes for kept in probes}):
        acts = data.layer(layer)
        for group in data.groups:
            own = acts[group.test]
            for feature in group.features:
                for place, kept in enumerate(sizes[feature]):
                    if kept.layer == layer:
                        found[feature][:, place] = kept.probe(own).double()
    return found
