"""One forward pass over all texts: the neurons asked for by token, and what goes with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint.activations.reduce import Rows
from needlepoint.activations.stream import collect
from needlepoint.evaluation.dossier.co_moments import CoMoments
from needlepoint.evaluation.dossier.corpus import TokenCorpus
from needlepoint.models.model import Model
from needlepoint.models.sites import Part, Site

BATCH_TOKENS = 1024
"""Tokens of one forward pass: the neurons of all layers at these are in memory at once."""


@dataclass(frozen=True, eq=False)
class Reading:
    """Activations on a corpus: of whole layers by token, and of all neurons in sums."""

    sites: tuple[Site, ...]
    layers: dict[int, Float[Tensor, "row neuron"]]
    """Every neuron of each layer that has one of the sites, at each token, in float32."""
    co_moments: tuple[CoMoments, CoMoments]
    """All neurons of all layers against the sites, on each half of the documents."""

    def values(self, site: Site) -> Float[np.ndarray, " row"]:
        """Activation of one neuron at each token."""
        found: np.ndarray = self.layers[site.layer][:, site.index].numpy()
        return found


def read_corpus(model: Model, corpus: TokenCorpus, sites: Sequence[Site]) -> Reading:
    """Read all neurons of all layers on a corpus, keeping layers that are asked for and sums.

    The first token that the model puts in front is never read.
    """
    n_layers = model.shape.n_layers
    half = torch.from_numpy(corpus.row_documents % 2)
    layers = {
        layer: torch.empty(len(corpus.tokens), model.shape.d_mlp)
        for layer in sorted({site.layer for site in sites})
    }
    sums = (CoMoments(), CoMoments())
    everywhere = [Site.of(layer, Part.NEURONS) for layer in range(n_layers)]
    for chunk in collect(
        model,
        corpus.ids,
        everywhere,
        Rows.each(corpus.ids),
        batch_tokens=BATCH_TOKENS,
        label="reading neurons",
    ):
        for layer, kept in layers.items():
            kept[chunk.rows] = chunk.values[Site.of(layer, Part.NEURONS)].float().cpu()
        asked = torch.stack([layers[site.layer][chunk.rows, site.index] for site in sites], dim=1)
        for number, part in enumerate(sums):
            here = half[chunk.rows] == number
            every = (chunk.values[one].float().cpu()[here] for one in everywhere)
            part.update(every, asked[here])
    return Reading(tuple(sites), layers, sums)
