"""Circuits as graphs of NetworkX, to lay them out, draw them or search them for ways."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import networkx as nx
import torch

from needlepoint._core.errors import DataError, first_line
from needlepoint._core.files import write_text
from needlepoint.circuits.exchange.circuit import Circuit, Origin, place_of
from needlepoint.circuits.exchange.json_file import DAMAGE, check_sizes, read_json
from needlepoint.circuits.graph.graph import ATTENTION_INPUTS, Graph, Kind, Node


def to_networkx(circuit: Circuit) -> nx.MultiDiGraph:
    """The kept nodes and edges, from the embedding to the logits.

    A head is one node, so that a way through the circuit is a way in the graph; which of its inputs
    an edge goes into is the edge's `channel`, and the key of the edge: two nodes can be joined by
    up to three edges. An edge into a key or value that several heads share is there once for each
    of those heads that is kept, all with the `shared` name of the one input. An edge that leads
    into no kept node is left out; pruned circuits have none.

    Nodes have `kind`, `layer`, `index` and `score`; edges `channel` (`q`, `k`, `v`, or None),
    `shared` (`L3.K0`, or None) and `score`. A score is None where there is none. The graph has as
    its attributes the origin of the circuit, its `level`, whether scores are `signed`, and the
    sizes of the model's graph, so that `from_networkx` gives the circuit back.
    """
    graph = circuit.graph
    sizes = {**asdict(graph), "d_model": circuit.d_model}
    told = {**asdict(circuit.origin), "level": circuit.level, "signed": circuit.signed}
    found: nx.MultiDiGraph = nx.MultiDiGraph(**told, **sizes)
    for place in circuit.nodes.nonzero()[:, 0].tolist():
        scores = circuit.node_scores
        _add(found, graph.writers[place], None if scores is None else float(scores[place]))
    _add(found, graph.readers[-1], None)
    for row, column in circuit.edges.nonzero().tolist():
        reader, scores = graph.readers[column], circuit.edge_scores
        in_head = reader.kind in ATTENTION_INPUTS
        shared = graph.n_kv_heads < graph.n_heads and reader.kind in (Kind.K, Kind.V)
        for target in _fed(circuit, column):
            found.add_edge(
                graph.writers[row].name,
                target,
                key=reader.kind.value,
                channel=reader.kind.value if in_head else None,
                shared=reader.name if shared else None,
                score=None if scores is None else float(scores[row, column]),
            )
    return found


def from_networkx(found: nx.MultiDiGraph) -> Circuit:
    """The circuit of a graph that `to_networkx` made: its nodes and edges, without scores.

    Scores of what is not in the circuit are not there, and a circuit has those of all or none.

    Raises:
        DataError: If it is no such graph.
    """
    told = found.graph
    try:
        graph = Graph(**{one.name: told[one.name] for one in fields(Graph)})
        check_sizes(graph)
        nodes = torch.zeros(graph.n_writers, dtype=torch.bool)
        edges = torch.zeros(graph.n_writers, graph.n_readers, dtype=torch.bool)
        nodes[[place_of(graph, name) for name in found if name != Kind.LOGITS]] = True
        for writer, target, data in found.edges(data=True):
            reader = data["shared"] or _reader(target, data["channel"])
            edges[place_of(graph, writer), place_of(graph, reader, writer=False)] = True
        origin = Origin(**{one.name: str(told[one.name]) for one in fields(Origin)})
        return Circuit(
            graph,
            int(told["d_model"]),
            told["level"],
            nodes,
            edges,
            signed=bool(told["signed"]),
            origin=origin,
        )
    except DAMAGE as error:
        raise DataError(
            f"the graph is no circuit of needlepoint ({type(error).__name__}: "
            f"{first_line(error)}): it should be one that to_networkx made."
        ) from error


def save_networkx(circuit: Circuit, path: Path) -> None:
    """Write a circuit's graph as node-link JSON, which `networkx.node_link_graph` reads."""
    write_text(path, json.dumps(to_node_link(circuit), indent=1) + "\n")


def open_networkx(path: Path) -> Circuit:
    """Read the circuit of a file of `save_networkx`.

    Raises:
        DataError: If there is no such file, or it holds something else.
    """
    return from_node_link(read_json(path))


def to_node_link(circuit: Circuit) -> dict[str, Any]:
    """The graph of a circuit in the node-link layout of NetworkX, edges under `edges`.

    Example:
        >>> graph = Graph(n_layers=1, n_heads=1, n_kv_heads=1)
        >>> edges = torch.zeros(3, 5, dtype=torch.bool)
        >>> edges[0, 4] = True
        >>> circuit = Circuit(graph, 4, "edges", torch.tensor([True, False, False]), edges)
        >>> [(one["source"], one["target"]) for one in to_node_link(circuit)["edges"]]
        [('embed', 'logits')]
    """
    made: dict[str, Any] = nx.node_link_data(to_networkx(circuit), edges="edges")
    return made


def from_node_link(value: Mapping[str, Any]) -> Circuit:
    """The circuit that `to_node_link` gave these values for, without scores.

    Raises:
        DataError: If the values are something else.
    """
    try:
        found = nx.node_link_graph(value, directed=True, multigraph=True, edges="edges")
    except DAMAGE as error:
        raise DataError(
            f"the file is no circuit in the node-link layout of NetworkX "
            f"({type(error).__name__}: {first_line(error)}): write it again."
        ) from error
    return from_networkx(found)


def _reader(target: str, channel: str | None) -> str:
    """Our name of the input of a head that shares none; of an MLP and the logits their own."""
    if channel is None:
        return target
    layer, _, head = target.partition(".H")
    return f"{target}.q" if channel == Kind.Q else f"{layer}.{channel.upper()}{head}"


def _add(found: nx.MultiDiGraph, node: Node, score: float | None) -> None:
    attributes: dict[str, Any] = {
        "kind": node.kind.value,
        "layer": node.layer,
        "index": node.index,
        "score": score,
    }
    found.add_node(node.name, **attributes)


def _fed(circuit: Circuit, reader: int) -> list[str]:
    """Names of the kept nodes that a reader is an input of."""
    graph: Graph = circuit.graph
    if graph.readers[reader].kind is Kind.LOGITS:
        return [graph.readers[reader].name]
    fed = (graph.feeds[reader] & circuit.nodes).nonzero()[:, 0]
    return [graph.writers[place].name for place in fed.tolist()]
