"""Circuits on disk and in the layouts of others: round trips, names, and what is not read."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from needlepoint._core.errors import DataError, NeedlepointError
from needlepoint.circuits.exchange.circuit import Circuit, Origin, strongest_circuit
from needlepoint.circuits.exchange.eap_ig import (
    from_eap_ig,
    open_eap_ig,
    save_eap_ig,
    to_eap_ig,
)
from needlepoint.circuits.exchange.json_file import (
    from_json,
    open_circuit,
    save_circuit,
    to_json,
)
from needlepoint.circuits.exchange.networkx_graph import (
    from_networkx,
    from_node_link,
    open_networkx,
    save_networkx,
    to_networkx,
    to_node_link,
)
from needlepoint.circuits.graph.graph import Graph
from needlepoint.circuits.graph.pruning import prune
from needlepoint.circuits.methods import Found


def _drawn(seed: int, share: float, flags: list[bool]) -> Circuit:
    """A circuit of a random graph, with or without scores."""
    rng = torch.Generator().manual_seed(seed)
    layers, kv_heads, group, width = (torch.randint(3, (4,), generator=rng) + 1).tolist()
    sizes = (layers, kv_heads * group, kv_heads)
    graph = Graph(*sizes, parallel=flags[0], coupled=flags[1], has_mlps=flags[7])
    edges = (torch.rand(graph.edges.shape, generator=rng) < share) & graph.edges
    nodes = edges.any(1) | (torch.rand(graph.n_writers, generator=rng) < 0.2)
    scores = torch.randn(graph.edges.shape, generator=rng) * graph.edges
    node_scores = torch.randn(graph.n_writers, generator=rng)
    return Circuit(
        graph,
        width,
        "nodes" if flags[2] else "edges",
        nodes,
        edges,
        node_scores if flags[3] else None,
        scores if flags[4] else None,
        flags[5],
        Origin(model="tiny", task="ioi" if flags[6] else ""),
    )


FLAGS = st.lists(st.booleans(), min_size=8, max_size=8)
any_circuit = given(st.integers(0, 10**6), st.sampled_from([0.0, 0.1, 0.5, 1.0]), FLAGS)


@settings(deadline=None, max_examples=40)
@any_circuit
def test_both_layouts_give_the_circuit_back(seed: int, share: float, flags: list[bool]) -> None:
    circuit = _drawn(seed, share, flags)
    assert from_json(json.loads(json.dumps(to_json(circuit)))) == circuit
    value = json.loads(json.dumps(to_eap_ig(circuit)))
    for shared in ("equal", "mean"):
        found = from_eap_ig(value, shared=shared)
        assert found.edges.equal(circuit.edges)
        assert found.graph == circuit.graph
    assert from_eap_ig(value) == circuit


@settings(deadline=None, max_examples=40)
@any_circuit
def test_the_other_layout_has_the_edges_that_its_own_code_makes(
    seed: int, share: float, flags: list[bool]
) -> None:
    """Names and number as EAP-IG enumerates them: every head with keys and values of its own."""
    circuit = _drawn(seed, share, flags)
    graph, value = circuit.graph, to_eap_ig(circuit)
    expected, before = [], ["input"]
    for layer in range(graph.n_layers):
        heads = [f"a{layer}.h{head}" for head in range(graph.n_heads)]
        expected += [f"{w}->{h}<{c}>" for w in before for h in heads for c in "qkv"]
        seen = before if graph.parallel else before + heads
        mlp = [f"m{layer}"] * graph.has_mlps
        expected += [f"{writer}->{one}" for one in mlp for writer in seen]
        before = [*before, *heads, *mlp]
    expected += [f"{writer}->logits" for writer in before]
    assert sorted(value["edges"]) == sorted(expected)
    assert set(value["nodes"]) == {*before, "logits"}
    assert set(value["cfg"]) == {"n_layers", "n_heads", "parallel_attn_mlp", "d_model"}


def test_gpt2_has_as_many_edges_as_published() -> None:
    assert Graph(n_layers=12, n_heads=12, n_kv_heads=12).n_edges == 32_491


def _shared() -> tuple[Graph, Circuit]:
    graph = Graph(n_layers=2, n_heads=4, n_kv_heads=2)
    edges = torch.zeros(graph.edges.shape, dtype=torch.bool)
    for writer, reader in (
        ("embed", "L0.V1"),
        ("L0.H2", "L1.K0"),
        ("L0.H2", "L1.H1.q"),
        ("L1.H1", "logits"),
    ):
        edges[graph.writer(writer), graph.reader(reader)] = True
    nodes = edges.any(1)
    return graph, Circuit(graph, 8, "edges", nodes, edges, None, edges.float() * 2)


def test_copies_of_a_shared_key_are_taken_together_or_refused() -> None:
    graph, circuit = _shared()
    value = to_eap_ig(circuit)
    copies = [f"a0.h2->a1.h{head}<k>" for head in range(4)]
    assert [value["edges"][name]["in_graph"] for name in copies] == [True, True, False, False]
    value["edges"][copies[1]] = {"score": 1.0, "in_graph": False}
    with pytest.raises(DataError, match="differs from the same edge of another head"):
        from_eap_ig(value, graph)
    cell = graph.writer("L0.H2"), graph.reader("L1.K0")
    for shared, expected in (("mean", 1.5), ("sum", 3.0)):
        found = from_eap_ig(value, graph, shared=shared)
        assert float(found.edge_scores[cell]) == expected
        assert bool(found.edges[cell])


def test_a_file_of_other_tools_needs_only_what_they_write(tmp_path: Path) -> None:
    graph, circuit = _shared()
    value = to_eap_ig(circuit)
    del value["needlepoint"]
    value["nodes"] = {name: one["in_graph"] for name, one in value["nodes"].items()}
    path = tmp_path / "importances.json"
    path.write_text(json.dumps(value))
    found = open_eap_ig(path, graph)
    assert found.edges.equal(circuit.edges)
    assert found.origin == Origin()
    own_keys = open_eap_ig(path)
    assert own_keys.graph.n_kv_heads == 4
    assert own_keys.n_edges == 6, "two shared edges of two heads each, and two others"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.pop("cfg"), "not in the layout of EAP-IG"),
        (
            lambda v: v["edges"].update({"a1.h0->a0.h0<q>": {"score": 0, "in_graph": True}}),
            "no edge",
        ),
        (lambda v: v["edges"].update({"a0.h0->x": {"score": 0, "in_graph": True}}), "no end of an"),
        (lambda v: v["edges"].update({"z->m0": {"score": 0, "in_graph": True}}), "no node of the"),
        (lambda v: v["nodes"]["m0"].update(neurons=[True]), "only some of its neurons"),
        (lambda v: v["edges"].update({"input->logits": 1.0}), "not in the layout of EAP-IG"),
        (lambda v: v["cfg"].update(n_heads=2), "2 layers of 2 heads, and this one has 2 of 4"),
    ],
)
def test_what_is_not_in_the_layout_is_refused_in_one_sentence(change, message: str) -> None:
    graph, circuit = _shared()
    value = to_eap_ig(circuit)
    change(value)
    with pytest.raises(NeedlepointError, match=message):
        from_eap_ig(value, graph)


def test_files_are_plain_text_and_others_are_not_opened(tmp_path: Path) -> None:
    _, circuit = _shared()
    save_circuit(circuit, tmp_path / "own.json")
    save_eap_ig(circuit, tmp_path / "other.json")
    assert open_circuit(tmp_path / "own.json") == circuit
    assert open_eap_ig(tmp_path / "other.json") == circuit
    with pytest.raises(DataError, match="no circuit of needlepoint"):
        open_circuit(tmp_path / "other.json")
    with pytest.raises(DataError, match="pickled file and is not opened"):
        open_eap_ig(tmp_path / "graph.pt")
    with pytest.raises(DataError, match="cannot be read as JSON"):
        open_circuit(tmp_path / "nowhere.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(DataError, match="should be one JSON object"):
        open_circuit(tmp_path / "list.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "written with schema 2 and this version reads 1"),
        ({"nodes": {"L7.H0": {"kept": True}}}, "does not fit the graph that it names"),
        ({"nodes": None}, "the circuit is damaged"),
        ({"graph": {}}, "the circuit is damaged (KeyError"),
    ],
)
def test_own_files_that_are_damaged_or_newer_are_refused(change, message: str) -> None:
    value = to_json(_shared()[1])
    with pytest.raises(DataError, match=re.escape(message)):
        from_json({**value, **change})


def test_a_way_through_the_circuit_is_a_way_in_the_graph() -> None:
    _, circuit = _shared()
    found = to_networkx(circuit.named(task="ioi"))
    assert isinstance(found, nx.DiGraph)
    assert nx.shortest_path(found, "embed", "logits") == ["embed", "L0.H2", "L1.H1", "logits"]
    assert found.graph["task"] == "ioi"
    assert found.nodes["L0.H2"] == {"kind": "head", "layer": 0, "index": 2, "score": None}
    channels = {data["channel"]: data for _, _, data in found.edges("L0.H2", data=True)}
    assert set(channels) == {"q", "k"}
    assert channels["k"]["shared"] == "L1.K0"
    assert channels["q"]["shared"] is None
    assert channels["q"]["score"] == 2.0


@settings(deadline=None, max_examples=30)
@any_circuit
def test_graphs_of_pruned_circuits_are_acyclic_and_hold_every_edge(
    seed: int, share: float, flags: list[bool]
) -> None:
    circuit = _drawn(seed, share, flags)
    edges, nodes = prune(circuit.graph, circuit.edges)
    whole = Circuit(circuit.graph, 8, "edges", nodes, edges)
    found = to_networkx(whole)
    assert nx.is_directed_acyclic_graph(found)
    assert set(found.nodes) == {*whole.node_names, "logits"}
    inputs = {(w, d["shared"]) for w, _, d in found.edges(data=True) if d["shared"]}
    own = [1 for *_, d in found.edges(data=True) if not d["shared"]]
    assert len(inputs) + len(own) == whole.n_edges, "a shared input counts once"


@settings(deadline=None, max_examples=30)
@any_circuit
def test_a_graph_gives_its_nodes_and_edges_back(seed: int, share: float, flags: list[bool]) -> None:
    drawn = _drawn(seed, share, flags)
    edges, nodes = prune(drawn.graph, drawn.edges)
    circuit = replace(drawn, nodes=nodes, edges=edges)
    bare = replace(circuit, node_scores=None, edge_scores=None)
    assert from_networkx(to_networkx(circuit)) == bare
    value = json.loads(json.dumps(to_node_link(circuit)))
    assert from_node_link(value) == bare
    theirs = nx.node_link_graph(value, edges="edges")
    assert from_networkx(theirs) == bare
    assert nx.utils.graphs_equal(theirs, to_networkx(circuit))


@settings(deadline=None, max_examples=30)
@any_circuit
def test_circuits_of_nodes_come_back_from_every_layout(
    seed: int, share: float, flags: list[bool]
) -> None:
    """The strongest nodes with all edges between them, scores of edges or none."""
    drawn = _drawn(seed, share, flags)
    graph = drawn.graph
    rng = torch.Generator().manual_seed(seed)
    found = Found(torch.randn(graph.n_writers, generator=rng), drawn.edge_scores, flags[5])
    n = round(share * (graph.n_writers - 1))
    circuit = strongest_circuit(graph, 8, found, n, level="nodes", origin=Origin(method="m"))
    assert len(circuit.node_names) <= n + 1
    assert circuit.edges.equal(graph.between(circuit.nodes))
    assert from_json(json.loads(json.dumps(to_json(circuit)))) == circuit
    assert from_eap_ig(json.loads(json.dumps(to_eap_ig(circuit)))) == circuit
    bare = replace(circuit, node_scores=None, edge_scores=None)
    assert from_node_link(json.loads(json.dumps(to_node_link(circuit)))) == bare


def test_graphs_that_are_no_circuits_are_refused(tmp_path: Path) -> None:
    _, circuit = _shared()
    save_networkx(circuit, tmp_path / "graph.json")
    bare = replace(circuit, edge_scores=None)
    assert open_networkx(tmp_path / "graph.json") == bare
    with pytest.raises(DataError, match="the graph is no circuit of needlepoint"):
        from_networkx(nx.MultiDiGraph())
    with pytest.raises(DataError, match="no circuit in the node-link layout"):
        from_node_link({"multigraph": True})
    value = to_node_link(circuit)
    value["edges"][0]["target"] = "L9.H9"
    with pytest.raises(DataError, match=r"does not fit the graph that it names: .*L9\."):
        from_node_link(value)
    found = to_networkx(circuit)
    found = nx.relabel_nodes(found, {next(name for name in found if ".H" in name): "L9.H0"})
    with pytest.raises(DataError, match=r"does not fit the graph that it names: .*L9\.H0"):
        from_networkx(found)


def test_files_of_before_models_without_mlps_are_of_models_with_them() -> None:
    _, circuit = _shared()
    value = to_json(circuit)
    assert value["graph"].pop("has_mlps") is True
    assert from_json(value) == circuit
