"""Circuits as values: what fits a graph, what is refused, what pruning leaves of the strongest."""

from __future__ import annotations

from dataclasses import replace

import jaxtyping
import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.circuits.exchange.circuit import Circuit, top_circuit
from needlepoint.circuits.graph.graph import Graph
from needlepoint.circuits.graph.terms import graph_of
from needlepoint.circuits.methods import Found
from needlepoint.testing.attention_only import tiny_attention_only
from needlepoint.testing.tiny import tiny_model

GRAPH = Graph(n_layers=2, n_heads=4, n_kv_heads=2)


def _circuit() -> Circuit:
    edges = torch.zeros(GRAPH.edges.shape, dtype=torch.bool)
    for writer, reader in (("embed", "L0.V1"), ("L0.H2", "logits")):
        edges[GRAPH.writer(writer), GRAPH.reader(reader)] = True
    return Circuit(GRAPH, 8, "edges", edges.any(1), edges)


def test_two_circuits_are_equal_in_all_parts_or_not() -> None:
    one = _circuit()
    assert one == _circuit()
    assert one != replace(one, d_model=16)
    assert one != replace(one, node_scores=torch.zeros(GRAPH.n_writers))
    assert one.named(task="ioi") != one
    assert one.named(task="ioi").origin.task == "ioi"
    assert (one.n_edges, one.node_names) == (2, ("embed", "L0.H2"))


@pytest.fixture
def without_shape_checks():
    """Let wrong shapes through to the guards, as they get where shapes are not checked."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.mark.usefixtures("without_shape_checks")
def test_shapes_of_another_graph_are_refused() -> None:
    with pytest.raises(DataError, match=r"edge_scores has shape \(2, 2\)"):
        replace(_circuit(), edge_scores=torch.zeros(2, 2))


def test_masks_that_do_not_fit_are_refused() -> None:
    one = _circuit()
    with pytest.raises(DataError, match="node_scores has a value that is not finite"):
        replace(one, node_scores=torch.full((GRAPH.n_writers,), torch.inf))
    with pytest.raises(DataError, match=r"embed -> L0\.V1 is kept without its writer"):
        replace(one, nodes=torch.zeros(GRAPH.n_writers, dtype=torch.bool))
    edges = one.edges.clone()
    edges[GRAPH.writer("L1.H0"), GRAPH.reader("L0.V0")] = True
    with pytest.raises(DataError, match=r"L1\.H0 -> L0\.V0 is no edge"):
        replace(one, edges=edges, nodes=edges.any(1))


def test_a_circuit_of_another_model_is_refused() -> None:
    one = _circuit()
    assert one.require(GRAPH, 8) is one
    with pytest.raises(DataError, match="n_kv_heads = 2 and this one has 4"):
        one.require(replace(GRAPH, n_kv_heads=4), 8)
    with pytest.raises(DataError, match="d_model = 8 and this one has 16"):
        one.require(GRAPH, 16)


def test_the_strongest_are_taken_and_pruned() -> None:
    model = tiny_model("llama")
    graph = graph_of(model)
    rng = torch.Generator().manual_seed(0)
    edges = torch.randn(graph.edges.shape, generator=rng) * graph.edges
    found = Found(torch.randn(graph.n_writers, generator=rng), edges)
    for size in (0, 30, graph.n_edges):
        circuit = top_circuit(model, graph, found, size, method="m")
        weakest = edges[graph.edges].abs().sort(descending=True).values[: max(size, 1)][-1]
        assert circuit.n_edges <= size
        assert bool((edges[circuit.edges].abs() >= weakest).all())
    assert circuit.n_edges == graph.n_edges
    assert (circuit.origin.model, circuit.origin.method) == (model.name, "m")
    nodes = top_circuit(model, graph, found, 5, level="nodes")
    assert len(nodes.node_names) <= 6
    assert nodes.node_names[0] == "embed"
    with pytest.raises(DataError, match="the model has 15 nodes"):
        top_circuit(model, graph, found, 16, level="nodes")
    with pytest.raises(DataError, match="scores nodes, not edges"):
        top_circuit(model, graph, Found(found.nodes), 3)


def test_what_is_not_said_of_the_embedding_leaves_out_the_scores_of_nodes() -> None:
    """As codes of heads do in a model of attention alone, where all but the embedding is heads."""
    model = tiny_attention_only()
    graph = graph_of(model)
    scores = torch.arange(graph.n_writers).float()
    scores[0] = torch.nan
    circuit = top_circuit(model, graph, Found(scores, missing="of heads only"), 2, level="nodes")
    assert circuit.node_names == ("embed", *(node.name for node in graph.writers[-2:]))
    assert circuit.node_scores is None
