"""Circuits as JSON files of our own: plain text, with names in place of numbers, never pickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from needlepoint._core.errors import DataError, first_line
from needlepoint._core.files import write_text
from needlepoint.circuits.exchange.circuit import Circuit, Origin, place_of
from needlepoint.circuits.graph.graph import Graph

FORMAT = "needlepoint circuit"
SCHEMA = 1
MOST_EDGES = 2**30
"""Pairs of a writer and a reader in the largest graph that is read; models have a tenth of it."""
DAMAGE = (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError, OverflowError)
"""What reading values that are not those of a circuit can end in."""
_SIZES = ("n_layers", "n_heads", "n_kv_heads", "parallel", "coupled", "has_mlps")
_LATER = {"has_mlps": True}
"""What is meant where a file of an earlier version does not say."""


def save_circuit(circuit: Circuit, path: Path) -> None:
    """Write a circuit to a file, whole or not at all."""
    write_text(path, json.dumps(to_json(circuit), indent=1) + "\n")


def open_circuit(path: Path) -> Circuit:
    """Read a circuit from a file; `Circuit.require` checks that it is of the model at hand.

    Raises:
        DataError: If there is no such file, or it holds something else or another version.
    """
    return from_json(read_json(path))


def to_json(circuit: Circuit) -> dict[str, Any]:
    """The circuit as plain JSON values.

    `nodes` and `edges` hold what is kept or has a score: of edges, all that exist if there are
    scores, and the kept ones otherwise. An edge is called `WRITER->READER`.

    Example:
        >>> graph = Graph(n_layers=1, n_heads=1, n_kv_heads=1)
        >>> edges = torch.zeros(3, 5, dtype=torch.bool)
        >>> edges[0, 4] = True
        >>> circuit = Circuit(graph, 4, "edges", torch.tensor([True, False, False]), edges)
        >>> to_json(circuit)["edges"]
        {'embed->logits': {'kept': True}}
    """
    graph = circuit.graph
    scored = circuit.edge_scores is not None
    nodes = {
        node.name: _entry(circuit.nodes, circuit.node_scores, (place,))
        for place, node in enumerate(graph.writers)
    }
    shown = graph.edges if scored else circuit.edges
    names = [f"{writer}->{reader}" for writer, reader in graph.named(shown)]
    places = shown.nonzero().tolist()
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        **asdict(circuit.origin),
        "level": circuit.level,
        "signed": circuit.signed,
        "graph": {name: getattr(graph, name) for name in _SIZES} | {"d_model": circuit.d_model},
        "nodes": nodes,
        "edges": {
            name: _entry(circuit.edges, circuit.edge_scores, tuple(place))
            for name, place in zip(names, places, strict=True)
        },
    }


def from_json(value: Mapping[str, Any]) -> Circuit:
    """The circuit that `to_json` gave these values for.

    Raises:
        DataError: If the values are something else, of another version, or do not agree.
    """
    if value.get("format") != FORMAT:
        raise DataError(
            "this is no circuit of needlepoint: for one of EAP-IG or MIB use `open_eap_ig`."
        )
    if value.get("schema") != SCHEMA:
        raise DataError(
            f"the circuit was written with schema {value.get('schema')!r} and this version reads "
            f"{SCHEMA}: open it with the needlepoint version that wrote it."
        )
    try:
        return _read(value)
    except DAMAGE as error:
        raise DataError(
            f"the circuit is damaged ({type(error).__name__}: {first_line(error)}): write it again."
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        DataError: If there is no such file, or it holds no JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON ({error}).") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} holds no circuit: it should be one JSON object.")
    return value


def check_sizes(graph: Graph) -> None:
    """Refuse a graph that no model has, before room is made for it.

    Raises:
        DataError: If a size is no whole number from 1, or there are too many edges.
    """
    sizes = (graph.n_layers, graph.n_heads, graph.n_kv_heads)
    whole = all(isinstance(size, int) and not isinstance(size, bool) for size in sizes)
    if not whole or min(sizes) < 1 or graph.n_writers * graph.n_readers > MOST_EDGES:
        raise DataError(
            f"the circuit is damaged: no model has {' x '.join(repr(size)[:20] for size in sizes)} "
            "layers, heads and key/value heads."
        )


def _read(value: Mapping[str, Any]) -> Circuit:
    sizes = {**_LATER, **value["graph"]}
    graph = Graph(*(sizes[name] for name in _SIZES))
    check_sizes(graph)
    nodes = torch.zeros(graph.n_writers, dtype=torch.bool)
    edges = torch.zeros(graph.n_writers, graph.n_readers, dtype=torch.bool)
    node_scores, edge_scores = torch.zeros(nodes.shape), torch.zeros(edges.shape)
    for name, entry in value["nodes"].items():
        place = place_of(graph, name)
        nodes[place], node_scores[place] = entry["kept"], entry.get("score", 0.0)
    for name, entry in value["edges"].items():
        writer, _, reader = name.partition("->")
        cell = place_of(graph, writer), place_of(graph, reader, writer=False)
        edges[cell], edge_scores[cell] = entry["kept"], entry.get("score", 0.0)
    return Circuit(
        graph,
        int(sizes["d_model"]),
        value["level"],
        nodes,
        edges,
        node_scores if _scored(value["nodes"]) else None,
        edge_scores if _scored(value["edges"]) else None,
        bool(value["signed"]),
        Origin(**{name: str(value[name]) for name in asdict(Origin())}),
    )


def _entry(kept: torch.Tensor, scores: torch.Tensor | None, place: tuple[int, ...]) -> Any:
    found: dict[str, Any] = {"kept": bool(kept[place])}
    if scores is not None:
        found["score"] = float(scores[place])
    return found


def _scored(entries: Mapping[str, Any]) -> bool:
    return any("score" in entry for entry in entries.values())
