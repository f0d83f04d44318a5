"""Running circuits of nodes: the same as cutting all edges out of the others, in every family."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor

from needlepoint.circuits.graph.graph import Kind
from needlepoint.circuits.graph.pruning import prune
from needlepoint.circuits.graph.run import run_edges
from needlepoint.circuits.graph.run_nodes import run_nodes
from needlepoint.circuits.graph.terms import graph_of, terms
from needlepoint.models.model import Model
from needlepoint.testing.pairs import random_pairs
from needlepoint.testing.tiny import TINY_FAMILIES, tiny_model

FAMILIES = sorted(TINY_FAMILIES)


def _some(model: Model, n: int = 6) -> Tensor:
    graph = graph_of(model)
    keep = torch.rand(n, graph.n_writers, generator=torch.Generator().manual_seed(1)) < 0.6
    keep[0], keep[1] = True, False
    return keep


@pytest.mark.parametrize("family", FAMILIES)
def test_ablating_nodes_is_cutting_all_edges_out_of_them(family: str) -> None:
    model = tiny_model(family)
    pairs, graph, keep = random_pairs(model), graph_of(model), _some(model)
    found = run_nodes(model, pairs, keep)
    expected = run_edges(model, pairs, graph.edges & keep[:, :, None])
    assert (found[0] - found[1]).abs().max() > 0.1
    assert (found[2:] - found[:1]).abs().max() > 0.1
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", ["gpt2", "llama", "llama-mqa", "gpt_neox", "gemma"])
def test_edges_between_kept_nodes_are_all_that_a_circuit_of_nodes_needs(family: str) -> None:
    """What a node outside reads does not matter, nor what a dangling one is given."""
    model = tiny_model(family)
    pairs, graph, keep = random_pairs(model), graph_of(model), _some(model)
    keep[2:, 0] = True
    between = torch.stack([graph.between(row) for row in keep])
    pruned = torch.stack([prune(graph, row)[0] for row in between])
    found = run_nodes(model, pairs, keep)
    for edges in (between, pruned):
        torch.testing.assert_close(run_edges(model, pairs, edges), found, atol=1e-4, rtol=1e-4)


def test_a_replacement_may_be_the_same_for_all_pairs_and_positions() -> None:
    model = tiny_model("llama")
    pairs, graph, keep = random_pairs(model), graph_of(model), _some(model)
    mean = terms(model, pairs.clean).mean((0, 1), keepdim=True).detach()
    found = run_nodes(model, pairs, keep, lambda piece: mean)
    keep_edges = graph.edges & keep[:, :, None]
    every = mean.expand(*pairs.clean.ids.shape, -1, -1)
    expected = run_edges(model, pairs, keep_edges, lambda piece: every[: len(piece)])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    resampled = run_nodes(model, pairs, keep)
    assert (found - resampled)[2:].abs().max() > 0.01


def test_pieces_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("qwen2")
    pairs, keep = random_pairs(model, n=7), _some(model)
    whole = run_nodes(model, pairs, keep)
    monkeypatch.setattr("needlepoint.circuits.graph.run_nodes.RUN_TOKENS", 1)
    monkeypatch.setattr("needlepoint.circuits.graph.run_nodes.EDGE_BYTES", 1)
    torch.testing.assert_close(run_nodes(model, pairs, keep), whole, atol=1e-5, rtol=1e-5)


def test_it_is_cheaper_than_cutting_edges() -> None:
    model = tiny_model("llama", num_hidden_layers=4)
    pairs, graph = random_pairs(model, n=8, width=12), graph_of(model)
    keep = torch.ones(40, graph.n_writers, dtype=torch.bool)
    keep[:, [i for i, node in enumerate(graph.writers) if node.kind is Kind.HEAD]] = False
    seconds = []
    for run in (
        lambda: run_nodes(model, pairs, keep),
        lambda: run_edges(model, pairs, graph.edges & keep[:, :, None]),
    ):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    assert seconds[0] < seconds[1]
