"""Edges of a circuit that lie on no way from the embedding to the logits, taken away."""

from __future__ import annotations

from jaxtyping import Bool
from torch import Tensor

from needlepoint.circuits.graph.graph import Graph


def prune(
    graph: Graph, edges: Bool[Tensor, "writer reader"]
) -> tuple[Bool[Tensor, "writer reader"], Bool[Tensor, " writer"]]:
    """The edges on some way from the embedding to the logits, and the nodes that they join.

    A node without a kept edge into it, or without one out of it, is dangling: it is taken away
    with its edges, until none is left. The embedding needs no edge into it and the logits none
    out. Any one input of a head counts as an edge into it. Edges are only ever taken away.

    Source:
        Mueller et al., "MIB", 2025 (arXiv 2504.13151), as in the code of EAP-IG.

    Example:
        >>> import torch
        >>> graph = Graph(n_layers=2, n_heads=1, n_kv_heads=1)
        >>> kept = torch.zeros(graph.n_writers, graph.n_readers, dtype=torch.bool)
        >>> for writer, reader in [("embed", "L0.V0"), ("L0.H0", "logits"), ("L1.H0", "logits")]:
        ...     kept[graph.writer(writer), graph.reader(reader)] = True
        >>> edges, nodes = prune(graph, kept)
        >>> list(graph.named(edges)), [graph.writers[i].name for i in nodes.nonzero()[:, 0]]
        ([('embed', 'L0.V0'), ('L0.H0', 'logits')], ['embed', 'L0.H0'])
    """
    kept = edges & graph.edges
    feeds = graph.feeds.to(kept.device)
    while True:
        nodes = kept.any(1) & _reached(feeds, kept)
        fed = (feeds & nodes).any(1)
        fed[-1] = True
        left = kept & nodes[:, None] & fed
        if bool((left == kept).all()):
            return left, nodes
        kept = left


def _reached(
    feeds: Bool[Tensor, "reader writer"], kept: Bool[Tensor, "writer reader"]
) -> Bool[Tensor, " writer"]:
    """Which nodes have an edge into one of their inputs; the embedding needs none."""
    reached = (feeds & kept.any(0)[:, None]).any(0)
    reached[0] = True
    return reached
