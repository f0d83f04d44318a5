"""The edges that the weights of a model have room for: all others carry nothing that is used.

An edge from a writer to a reader exists if the product of what the one writes and what the other
reads is not zero, on the directions that can occur and that matter further on. Taken one by one
from the logits down: a reader hears, of what a writer can write, only what some path from that
reader to the logits makes use of. Three facts about attention count. Its weights sum to 1, so
keys matter only where they differ between positions; queries only against such differences; and
where the values that are used are the same at all positions, neither matters. The first position,
where the same token always stands, is told from the others: nobody asks for the logits there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint.circuits.graph.graph import Graph, Kind
from needlepoint.circuits.graph.terms import graph_of
from needlepoint.circuits.known.spaces import reads, rows_reading
from needlepoint.circuits.known.written import HeadWeights, MLPWeights, Unfolded, unfold
from needlepoint.models.model import Model


def wired_edges(model: Model, tokens: Sequence[int] | None = None) -> Bool[Tensor, "writer reader"]:
    """The edges of a plain transformer that anything can depend on, from its weights alone.

    Cutting any other edge, or all others together, changes no logit of any prompt of these tokens,
    whatever takes the place of what it carried: zero, a mean, what another prompt has there. The
    converse does not hold of every ablation: an edge that carries the same on the clean and the
    corrupt prompt is wired but cannot be seen by resampling; see `seen_edges`.

    Args:
        model: A plain transformer: micro, planted, or compiled by Tracr.
        tokens: Tokens that may occur in a prompt; all that there are unless given.

    Raises:
        ModelError: If the model is of another kind.

    Example:
        >>> from needlepoint.models.micro import micro_model
        >>> model = micro_model()
        >>> wired, graph = wired_edges(model), graph_of(model)
        >>> int(wired.sum()), graph.n_edges
        (33, 46)
    """
    unfolded = unfold(model, tokens)
    walk = _Walk(graph_of(model), unfolded)
    walk.logits(unfolded.unembed)
    for layer in reversed(range(model.shape.n_layers)):
        walk.mlp(layer, unfolded.layers[layer].mlp)
        walk.attention(layer, unfolded.layers[layer].heads)
    return walk.edges


class _Heard(NamedTuple):
    """What readers hear of the stream: rows of a map."""

    first: Float[Tensor, "row d_model"]
    """At the first position."""
    later: Float[Tensor, "row d_model"]
    """At all others."""


class _Walk:
    """Goes from the logits down, and gathers what is made use of."""

    def __init__(self, graph: Graph, unfolded: Unfolded) -> None:
        self.graph = graph
        self.written = unfolded.writers
        self.nothing = unfolded.unembed[:0]
        self.edges = torch.zeros(graph.n_writers, graph.n_readers, dtype=torch.bool)
        self.maps: dict[int, _Heard] = {}

    def logits(self, unembed: Float[Tensor, "vocab d_model"]) -> None:
        self._note(Kind.LOGITS, self.graph.n_layers, 0, _Heard(self.nothing, unembed))

    def mlp(self, layer: int, weights: MLPWeights) -> None:
        used = self._used(self.graph.mlp(layer))
        first, later = (
            weights.up[rows_reading(weights.down.T, heard.T) & weights.alive(values)]
            for heard, values in zip(used, weights.inputs[:2], strict=True)
        )
        self._note(Kind.MLP, layer, 0, _Heard(first, later))

    def attention(self, layer: int, heads: Sequence[HeadWeights]) -> None:
        start = self.graph.heads(layer).start
        group = self.graph.n_heads // self.graph.n_kv_heads
        keys: dict[int, list[Tensor]] = {index: [] for index in range(self.graph.n_kv_heads)}
        values: dict[int, list[Tensor]] = {index: [] for index in range(self.graph.n_kv_heads)}
        for index, head in enumerate(heads):
            carried = [heard @ head.copies for heard in self._used(start + index)]
            chooses = [reads(heard, head.inputs.moves) for heard in carried]
            chooses[0] = chooses[0] and not head.causal
            asked = [head.query_map if choice else self.nothing for choice in chooses]
            self._note(Kind.Q, layer, index, _Heard(*asked))
            asking = [space for space, choice in zip(head.inputs, chooses, strict=False) if choice]
            keys[index // group].append(head.key_map(asking))
            values[index // group] += carried
        for kind, maps in ((Kind.K, keys), (Kind.V, values)):
            for index, parts in maps.items():
                self._note(kind, layer, index, _Heard(torch.cat(parts), torch.cat(parts)))

    def _note(self, kind: Kind, layer: int, index: int, heard: _Heard) -> None:
        """The edges into one reader, and what it hears."""
        place = self.graph.inputs(layer, kind).start + index
        self.maps[place] = heard
        for writer in range(self.graph.n_before(self.graph.readers[place])):
            found = self.written[writer]
            if kind is Kind.K:
                hears = reads(heard.later, found.moves)
            else:
                hears = reads(heard.first, found.first) or reads(heard.later, found.later)
            self.edges[writer, place] = hears

    def _used(self, writer: int) -> _Heard:
        """All that the readers of a writer hear."""
        heard = [self.maps[reader] for reader in self.edges[writer].nonzero()[:, 0].tolist()]
        first = torch.cat([self.nothing, *(one.first for one in heard)])
        return _Heard(first, torch.cat([self.nothing, *(one.later for one in heard)]))
