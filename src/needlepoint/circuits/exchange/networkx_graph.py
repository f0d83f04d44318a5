"""Circuits as graphs of NetworkX, to lay them out, draw them or search them for ways."""

from __future__ import annotations

from typing import Any

import networkx as nx

from needlepoint.circuits.exchange.circuit import Circuit
from needlepoint.circuits.graph.graph import ATTENTION_INPUTS, Graph, Kind, Node


def to_networkx(circuit: Circuit) -> nx.MultiDiGraph:
    """The kept nodes and edges, from the embedding to the logits.

    A head is one node, so that a way through the circuit is a way in the graph; which of its inputs
    an edge goes into is the edge's `channel`, and the key of the edge: two nodes can be joined by
    up to three edges. An edge into a key or value that several heads share is there once for each
    of those heads that is kept, all with the `shared` name of the one input. An edge that leads
    into no kept node is left out; pruned circuits have none.

    Nodes have `kind`, `layer`, `index` and `score`; edges `channel` (`q`, `k`, `v`, or None),
    `shared` (`L3.K0`, or None) and `score`. A score is None where there is none. The graph has
    the origin of the circuit as its attributes.
    """
    found: nx.MultiDiGraph = nx.MultiDiGraph(**vars(circuit.origin))
    graph = circuit.graph
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
