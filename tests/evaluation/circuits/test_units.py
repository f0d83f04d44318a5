"""Units of circuits, and circuits drawn at random."""

from __future__ import annotations

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.circuits.graph.graph import Graph
from needlepoint.circuits.methods import Found
from needlepoint.evaluation.circuits.draws import layer_matched, random_subsets, size_matched
from needlepoint.evaluation.circuits.units import edge_units, first_units, node_units

GRAPH = Graph(n_layers=3, n_heads=4, n_kv_heads=2)


def _found(seed: int = 0) -> Found:
    rng = torch.Generator().manual_seed(seed)
    edges = torch.randn(GRAPH.n_writers, GRAPH.n_readers, generator=rng) * GRAPH.edges
    return Found(torch.randn(GRAPH.n_writers, generator=rng), edges)


@pytest.mark.parametrize("units", [node_units(GRAPH), edge_units(GRAPH)], ids=lambda u: u.level)
def test_keeping_every_unit_is_the_whole_graph(units) -> None:
    found = units.pruned(torch.ones(1, units.n, dtype=torch.bool))
    assert torch.equal(found.edges[0], GRAPH.edges)
    assert bool(found.nodes.all())
    assert len(units.names) == len(set(units.names)) == units.n == len(units.layer_of)


def test_edges_are_named_and_layered_by_their_reader() -> None:
    units = edge_units(GRAPH)
    assert units.n == GRAPH.n_edges
    place = units.names.index("L0.H1->L2.K1")
    assert int(units.layer_of[place]) == 2
    mask = units.mask(["embed->L0.V0", "L0.H1->logits"])
    kept = units.pruned(mask[None]).edges[0]
    assert set(GRAPH.named(kept)) == {("embed", "L0.V0"), ("L0.H1", "logits")}


def test_parts_that_are_always_in_are_not_counted() -> None:
    heads = node_units(GRAPH, among=GRAPH.is_head)
    assert heads.n == 12
    none = heads.pruned(torch.zeros(1, 12, dtype=torch.bool))
    kept = {GRAPH.writers[i].name for i in none.nodes[0].nonzero()[:, 0].tolist()}
    assert kept == {"embed", "L0.mlp", "L1.mlp", "L2.mlp"}
    nodes = node_units(GRAPH).pruned(torch.zeros(1, node_units(GRAPH).n, dtype=torch.bool))
    assert set(GRAPH.named(nodes.edges[0])) == {("embed", "logits")}


def test_strength_and_scores_are_in_the_order_of_the_units() -> None:
    found, nodes, edges = _found(), node_units(GRAPH), edge_units(GRAPH)
    assert torch.equal(nodes.scores(found), found.nodes[1:])
    assert torch.equal(nodes.strength(found), found.nodes[1:].abs())
    place = edges.names.index("L1.mlp->L2.H3.q")
    cell = GRAPH.writer("L1.mlp"), GRAPH.reader("L2.H3.q")
    assert edges.scores(found)[place] == found.edges[cell]
    only_nodes = Found(found.nodes)
    with pytest.raises(DataError, match="scores nodes, not edges"):
        edges.scores(only_nodes)
    with pytest.raises(DataError, match="scores nodes, not edges"):
        edges.strength(only_nodes)


def test_a_name_that_is_no_unit_is_refused() -> None:
    with pytest.raises(DataError, match="'embed' is no unit here"):
        node_units(GRAPH).mask(["embed"])


def test_the_first_units_are_nested() -> None:
    kept = first_units(_found().nodes.abs(), [0, 3, 7, 16])
    assert kept.sum(1).tolist() == [0, 3, 7, 16]
    assert all(bool((kept[i] <= kept[i + 1]).all()) for i in range(3))


def test_random_circuits_match_in_size_and_in_layers(generator: torch.Generator) -> None:
    units = node_units(GRAPH)
    kept = units.mask(["L0.H1", "L2.H0", "L2.H2", "L2.mlp"])
    for draw, per_layer in (
        (size_matched(kept, 400, generator), False),
        (layer_matched(kept, units.layer_of, 400, generator), True),
    ):
        assert bool((draw.sum(1) == 4).all())
        in_last = draw[:, units.layer_of == 2].sum(1)
        assert bool((in_last == 3).all()) == per_layer
        share = draw.float().mean(0)
        expected = torch.tensor([0.2, 0.0, 0.6])[units.layer_of] if per_layer else 4 / 15
        assert (share - expected).abs().max() < 0.1
        assert len({tuple(row) for row in draw.tolist()}) > 40


def test_random_parts_are_of_all_sizes_and_inside(generator: torch.Generator) -> None:
    kept = torch.arange(20) % 3 == 0
    parts = random_subsets(kept, 700, generator)
    assert not bool((parts & ~kept).any())
    counts = torch.bincount(parts.sum(1), minlength=8)
    assert len(counts) == 8
    assert (counts / 700 - 1 / 8).abs().max() < 0.05
    assert (parts[:, kept].float().mean(0) - 0.5).abs().max() < 0.08
    with pytest.raises(DataError, match="the circuit is empty"):
        random_subsets(torch.zeros(5).bool(), 2, generator)
