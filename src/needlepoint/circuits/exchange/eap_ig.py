"""Circuits in the JSON layout that EAP-IG and the circuit track of MIB read and write.

There, nodes are called `input`, `a3.h5`, `m3` and `logits`, edges `a0.h1->a3.h5<q>`, and every
query head has keys and values of its own. A shared key or value input is therefore written once for
each head that reads it, each time with the score of the one edge that there is; on the way back the
copies are taken together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.errors import DataError, first_line
from needlepoint._core.files import write_text
from needlepoint.circuits.exchange.circuit import Circuit, Origin
from needlepoint.circuits.exchange.json_file import DAMAGE, check_sizes, read_json
from needlepoint.circuits.graph.graph import Graph, Kind, Node

Shared = Literal["equal", "mean", "sum"]
"""How the scores of the copies of a shared key or value input are taken together."""

_HEAD = re.compile(r"a(\d+)\.h(\d+)(?:<([qkv])>)?\Z")
_MLP = re.compile(r"m(\d+)\Z")
_OWN = "needlepoint"


def save_eap_ig(circuit: Circuit, path: Path) -> None:
    """Write a circuit in this layout, for instance as `importances.json` of a MIB submission."""
    write_text(path, json.dumps(to_eap_ig(circuit)) + "\n")


def open_eap_ig(path: Path, graph: Graph | None = None, *, shared: Shared = "equal") -> Circuit:
    """Read a circuit in this layout; see `from_eap_ig`.

    Raises:
        DataError: If there is no such file, or as in `from_eap_ig`. Files of tensors (`.pt`) are
            not read, as they can run code: write JSON there.
    """
    if path.suffix == ".pt":
        raise DataError(f"{path} is a pickled file and is not opened: write it with `to_json`.")
    return from_eap_ig(read_json(path), graph, shared=shared)


def to_eap_ig(circuit: Circuit) -> dict[str, Any]:
    """The circuit as plain values in this layout, every edge in it, kept or not.

    Scores are as they are: MIB's `absolute=False` takes the largest first, so negate scores that
    are effects of ablating before a signed evaluation there. Without scores, kept edges have 1 and
    others 0. What the layout has no place for stands under a key of its own, which its readers
    pass over.
    """
    graph = circuit.graph
    scores = circuit.edges.float() if circuit.edge_scores is None else circuit.edge_scores
    nodes: dict[str, Any] = {}
    for place, node in enumerate(graph.writers):
        nodes[_writer_name(node)] = {"in_graph": bool(circuit.nodes[place])}
        if circuit.node_scores is not None:
            nodes[_writer_name(node)]["score"] = float(circuit.node_scores[place])
    edges = {
        f"{_writer_name(graph.writers[row])}->{name}": {
            "score": float(scores[row, column]),
            "in_graph": bool(circuit.edges[row, column]),
        }
        for row, column in graph.edges.nonzero().tolist()
        for name in _reader_names(graph, graph.readers[column])
    }
    return {
        "cfg": {
            "n_layers": graph.n_layers,
            "n_heads": graph.n_heads,
            "parallel_attn_mlp": graph.parallel,
            "d_model": circuit.d_model,
        },
        "nodes": {**nodes, "logits": {"in_graph": True}},
        "edges": edges,
        _OWN: {
            **asdict(circuit.origin),
            "n_kv_heads": graph.n_kv_heads,
            "coupled": graph.coupled,
            "has_mlps": graph.has_mlps,
            "level": circuit.level,
            "signed": circuit.signed,
            "edge_scores": circuit.edge_scores is not None,
        },
    }


def from_eap_ig(
    value: Mapping[str, Any], graph: Graph | None = None, *, shared: Shared = "equal"
) -> Circuit:
    """The circuit that values in this layout stand for.

    Args:
        value: What the JSON file holds.
        graph: The graph of the model at hand, which says how many key/value heads there are; each
            query head is taken to have its own unless given, or said in a file of ours.
        shared: What to do with the copies of a shared key or value input. `equal` refuses copies
            that differ. `sum` is right for gradients that were computed head by head, as what
            reaches a shared input is the sum over its heads; `mean` for scores of another kind.
            For these two an edge is kept if one of its copies is.

    Raises:
        DataError: If something is missing or unknown, the sizes are not those of the graph, the
            circuit is of single neurons, or copies of a shared input differ.
    """
    try:
        sizes, own = value["cfg"], value.get(_OWN, {})
        made = _graph(sizes, own, graph)
        edges, scores = _edges(value["edges"], made, shared)
        nodes, node_scores = _nodes(value["nodes"], made)
        return Circuit(
            made,
            int(sizes["d_model"]),
            own.get("level", "edges"),
            nodes | edges.any(1),
            edges,
            node_scores,
            scores if own.get("edge_scores", True) else None,
            bool(own.get("signed", True)),
            Origin(**{name: str(own.get(name, "")) for name in asdict(Origin())}),
        )
    except DAMAGE as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise DataError(
            f"the file is not in the layout of EAP-IG ({reason}): it needs "
            "cfg, nodes, and edges with score and in_graph."
        ) from error


def _graph(sizes: Mapping[str, Any], own: Mapping[str, Any], graph: Graph | None) -> Graph:
    n_heads = int(sizes["n_heads"])
    n_kv_heads = own.get("n_kv_heads", n_heads) if graph is None else graph.n_kv_heads
    coupled = own.get("coupled", False) if graph is None else graph.coupled
    has_mlps = own.get("has_mlps", True) if graph is None else graph.has_mlps
    made = Graph(
        int(sizes["n_layers"]),
        n_heads,
        int(n_kv_heads),
        bool(sizes["parallel_attn_mlp"]),
        bool(coupled),
        bool(has_mlps),
    )
    check_sizes(made)
    if graph is not None and made != graph:
        raise DataError(
            f"the circuit is of a model with {made.n_layers} layers of {made.n_heads} heads"
            f"{' and a parallel MLP' * made.parallel}, and this one has {graph.n_layers} of "
            f"{graph.n_heads}{' and a parallel MLP' * graph.parallel}: open it with its own model."
        )
    return made


def _edges(
    entries: Mapping[str, Any], graph: Graph, shared: Shared
) -> tuple[Bool[Tensor, "writer reader"], Float[Tensor, "writer reader"]]:
    """Masks and scores of the edges, copies of a shared input taken together."""
    shape = (graph.n_writers, graph.n_readers)
    total, copies, kept = torch.zeros(shape).double(), torch.zeros(shape), torch.zeros(shape)
    first = torch.zeros(shape).double()
    for name, entry in entries.items():
        writer, _, reader = name.partition("->")
        cell = graph.writer(_writer(writer)), graph.reader(_reader(reader, graph))
        if not graph.edges[cell]:
            raise DataError(f"{name} is no edge of the model: leave it out.")
        score = float(entry["score"])
        if (
            shared == "equal"
            and copies[cell]
            and (score, entry["in_graph"])
            != (
                float(first[cell]),
                bool(kept[cell]),
            )
        ):
            raise DataError(
                f"{name} differs from the same edge of another head that shares this input: say "
                'shared="sum" for gradients of each head by itself, or shared="mean".'
            )
        first[cell] = score
        total[cell] += score
        copies[cell] += 1
        kept[cell] += bool(entry["in_graph"])
    scores = {"equal": first, "mean": total / copies.clamp(min=1), "sum": total}[shared]
    return kept > 0, scores.float()


def _nodes(
    entries: Mapping[str, Any], graph: Graph
) -> tuple[Bool[Tensor, " writer"], Float[Tensor, " writer"] | None]:
    nodes, scores = torch.zeros(graph.n_writers, dtype=torch.bool), torch.zeros(graph.n_writers)
    scored = False
    for name, entry in entries.items():
        if name == "logits":
            continue
        entry = {"in_graph": entry} if isinstance(entry, bool) else entry
        if "neurons" in entry:
            raise DataError(f"{name} has only some of its neurons: circuits here are of nodes.")
        place = graph.writer(_writer(name))
        nodes[place] = bool(entry["in_graph"])
        if "score" in entry:
            scored, scores[place] = True, float(entry["score"])
    return nodes, scores if scored else None


def _writer_name(node: Node) -> str:
    if node.kind is Kind.EMBED:
        return "input"
    return f"m{node.layer}" if node.kind is Kind.MLP else f"a{node.layer}.h{node.index}"


def _reader_names(graph: Graph, node: Node) -> Iterator[str]:
    """Its name there, or the names of all its copies."""
    if node.kind is Kind.LOGITS:
        yield "logits"
    elif node.kind is Kind.MLP:
        yield f"m{node.layer}"
    else:
        group = 1 if node.kind is Kind.Q else graph.n_heads // graph.n_kv_heads
        for head in range(node.index * group, (node.index + 1) * group):
            yield f"a{node.layer}.h{head}<{node.kind.value}>"


def _writer(name: str) -> str:
    """Our name of a writer."""
    if name == "input":
        return "embed"
    mlp, head = _MLP.match(name), _HEAD.match(name)
    if mlp:
        return f"L{mlp[1]}.mlp"
    if head and not head[3]:
        return f"L{head[1]}.H{head[2]}"
    raise DataError(f"{name!r} is no node of the layout of EAP-IG: they are like input, a0.h1, m0.")


def _reader(name: str, graph: Graph) -> str:
    """Our name of a reader."""
    mlp, head = _MLP.match(name), _HEAD.match(name)
    if name == "logits":
        return name
    if mlp:
        return f"L{mlp[1]}.mlp"
    if not head or not head[3]:
        raise DataError(
            f"{name!r} is no end of an edge in the layout of EAP-IG: they are like a0.h1<q>, m0, "
            "logits."
        )
    if head[3] == "q":
        return f"L{head[1]}.H{head[2]}.q"
    return f"L{head[1]}.{head[3].upper()}{int(head[2]) * graph.n_kv_heads // graph.n_heads}"
