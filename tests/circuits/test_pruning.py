"""Pruning: what is left lies on a way from embedding to logits, and nothing else is lost."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from needlepoint.circuits.graph.graph import Graph
from needlepoint.circuits.graph.pruning import prune

GRAPHS = {
    "one head each": Graph(n_layers=3, n_heads=2, n_kv_heads=2),
    "shared keys": Graph(n_layers=3, n_heads=4, n_kv_heads=2),
    "parallel": Graph(n_layers=3, n_heads=2, n_kv_heads=1, parallel=True),
}


def _on_a_way(graph: Graph, edges: torch.Tensor) -> torch.Tensor:
    """Brute force: an edge stays if its reader leads to the logits and its writer is led to."""
    ways = nx.DiGraph()
    ways.add_nodes_from(["embed", "logits"])
    for row, column in edges.nonzero().tolist():
        for target in graph.feeds[column].nonzero()[:, 0].tolist():
            ways.add_edge(graph.writers[row].name, graph.writers[target].name)
        if column == graph.n_readers - 1:
            ways.add_edge(graph.writers[row].name, "logits")
    down = {"embed"} | nx.descendants(ways, "embed")
    up = {"logits"} | nx.ancestors(ways, "logits")
    found = torch.zeros_like(edges)
    for row, column in edges.nonzero().tolist():
        fed = {graph.writers[i].name for i in graph.feeds[column].nonzero()[:, 0].tolist()}
        ends = fed if column < graph.n_readers - 1 else {"logits"}
        found[row, column] = graph.writers[row].name in down and bool(ends & up & down)
    return found


@pytest.mark.parametrize("name", GRAPHS)
@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), share=st.sampled_from([0.02, 0.1, 0.3]))
def test_what_is_left_is_what_brute_force_leaves(name: str, seed: int, share: float) -> None:
    graph = GRAPHS[name]
    rng = torch.Generator().manual_seed(seed)
    some = (torch.rand(graph.edges.shape, generator=rng) < share) & graph.edges
    edges, nodes = prune(graph, some)
    assert torch.equal(edges, _on_a_way(graph, some))
    assert torch.equal(nodes, edges.any(1))
    again, _ = prune(graph, edges)
    assert torch.equal(again, edges), "pruning twice is pruning once"


@pytest.mark.parametrize("name", GRAPHS)
def test_the_whole_graph_has_nothing_dangling(name: str) -> None:
    graph = GRAPHS[name]
    edges, nodes = prune(graph, graph.edges)
    assert torch.equal(edges, graph.edges)
    assert bool(nodes.all())


def test_without_the_embedding_nothing_is_left() -> None:
    graph = GRAPHS["shared keys"]
    edges = graph.edges.clone()
    edges[0] = False
    left, nodes = prune(graph, edges)
    assert not bool(left.any())
    assert not bool(nodes.any())
