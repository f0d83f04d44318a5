"""Published circuits judge scores of a GPT-2 of the right shape, from end to end, and no other."""

from __future__ import annotations

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.circuits.graph.graph import Graph
from needlepoint.circuits.graph.terms import graph_of
from needlepoint.circuits.known.published import (
    circuit_edges,
    circuit_heads,
    circuit_nodes,
    head_pair_edges,
    head_pair_scores,
    head_pairs,
    published_circuits,
)
from needlepoint.evaluation.metrics import roc_auc
from needlepoint.tasks.known_circuits import DOCSTRING, GREATER_THAN, IOI, known_circuits
from needlepoint.testing.tiny import tiny_model


@pytest.fixture(scope="module")
def gpt2():
    """Twelve layers of twelve heads, of two dimensions each."""
    return tiny_model("gpt2", n_layer=12, n_head=12, n_embd=24, n_inner=8).named("gpt2")


@pytest.mark.parametrize(
    ("task", "n_heads", "n_edges"),
    [("ioi", 26, 88), ("greater_than", 9, 18), ("gendered_pronoun", 7, 0)],
)
def test_heads_and_pairs_of_heads_are_judged_on_a_model_of_the_right_shape(
    gpt2, task, n_heads, n_edges
) -> None:
    graph = graph_of(gpt2)
    for circuit in published_circuits(task, gpt2):
        heads = circuit_heads(circuit, graph)
        assert heads.shape == (144,)
        assert int(heads.sum()) == n_heads
        rng = torch.Generator().manual_seed(0)
        noise = torch.randn(144, generator=rng)
        assert roc_auc(heads.float() + 0.1 * noise, heads) > 0.99
        assert 0.2 < roc_auc(noise, heads) < 0.8
        if not n_edges:
            with pytest.raises(DataError, match="no edges were published"):
                circuit_edges(circuit, graph)
            continue
        labels, among = head_pair_edges(circuit, graph), head_pairs(graph)
        assert int(labels.sum()) == n_edges
        assert int(among.sum()) == 9504
        assert not bool((labels & ~among).any())
        edges = circuit_edges(circuit, graph)
        scores = torch.where(edges, 1.0, 0.3 * torch.rand(edges.shape, generator=rng))
        pairs = head_pair_scores(graph, -scores)
        assert roc_auc(pairs[among], labels[among]) == pytest.approx(1)
        random = head_pair_scores(graph, torch.rand(edges.shape, generator=rng))
        assert 0.3 < roc_auc(random[among], labels[among]) < 0.7


def test_edges_go_by_the_inputs_that_were_published(gpt2) -> None:
    graph = graph_of(gpt2)
    named = set(graph.named(circuit_edges(IOI[0], graph)))
    assert {("L2.H2", "L5.K5"), ("L2.H2", "L5.V5"), ("L7.H3", "L9.H9.q")} <= named
    assert not {("L2.H2", "L5.H5.q"), ("L7.H3", "L9.K9")} & named
    assert len(named) == 36 * 2 + 52
    greater = set(graph.named(circuit_edges(GREATER_THAN[0], graph)))
    assert {("embed", "L0.mlp"), ("L0.H1", "L0.mlp"), ("L8.H11", "L8.mlp")} <= greater
    assert ("L11.mlp", "logits") in greater


def test_nodes_are_heads_mlps_and_the_embedding(gpt2) -> None:
    graph = graph_of(gpt2)
    nodes = circuit_nodes(GREATER_THAN[0], graph)
    found = {node.name for node, there in zip(graph.writers, nodes.tolist(), strict=True) if there}
    assert len(found) == 1 + 9 + 8
    assert {"embed", "L0.mlp", "L11.mlp", "L9.H1"} <= found


def test_a_shared_key_is_the_key_of_each_of_its_heads() -> None:
    graph = Graph(n_layers=12, n_heads=12, n_kv_heads=4)
    named = set(graph.named(circuit_edges(IOI[0], graph)))
    assert {("L2.H2", "L5.K1"), ("L2.H2", "L5.K2"), ("L2.H2", "L5.V3")} <= named
    scores = torch.zeros(graph.n_writers, graph.n_readers)
    scores[graph.writer("L2.H2"), graph.reader("L5.K1")] = -2
    pairs = head_pair_scores(graph, scores)
    assert pairs[26].nonzero()[:, 0].tolist() == [63, 64, 65]
    assert float(pairs.sum()) == 6


def test_docstring_variant_without_edges_still_has_heads() -> None:
    graph = Graph(n_layers=4, n_heads=8, n_kv_heads=8)
    assert int(head_pairs(graph).sum()) == 384
    assert int(head_pair_edges(DOCSTRING[0], graph).sum()) == 12
    assert int(circuit_heads(DOCSTRING[1], graph).sum()) == 6
    with pytest.raises(DataError, match="no edges were published of the 'paper' list"):
        head_pair_edges(DOCSTRING[1], graph)


def test_nothing_is_judged_on_another_model() -> None:
    assert published_circuits("ioi", tiny_model("gpt2")) == ()
    assert published_circuits("ioi", tiny_model("llama").named("smollm2")) == ()
    pretender = tiny_model("gpt2").named("gpt2")
    with pytest.raises(DataError, match="12 layers of 12 heads; a model of 3 layers of 4 heads"):
        published_circuits("ioi", pretender)
    assert known_circuits("docstring", "gpt2") == ()
