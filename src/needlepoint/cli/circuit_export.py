"""Write the circuit that a method found in a run to a file."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import torch
from rich.console import Console

from needlepoint._core.errors import DataError, StoreError, unknown_name
from needlepoint._core.files import storage_errors
from needlepoint._core.records import Record, RunFolder
from needlepoint.circuits.exchange.circuit import Circuit, Origin, strongest_circuit
from needlepoint.circuits.exchange.eap_ig import save_eap_ig
from needlepoint.circuits.exchange.json_file import save_circuit
from needlepoint.circuits.exchange.networkx_graph import save_networkx
from needlepoint.circuits.graph.graph import Graph
from needlepoint.circuits.methods import Found, Level

Layout = Literal["needlepoint", "eap-ig", "networkx"]
SIZES: dict[Level, int] = {"edges": 500, "nodes": 20}
"""How many are written unless it is said."""
EFFECT = "effect"
"""What stands for the exact effects of nodes among the methods."""
_WRITERS = {"needlepoint": save_circuit, "eap-ig": save_eap_ig, "networkx": save_networkx}


@dataclass(frozen=True)
class Export:
    """Which circuit to write, and where."""

    run: Path
    out: Path
    method: str
    size: int
    layout: Layout
    cell: str = ""
    level: Level = "edges"


def export_circuit(asked: Export) -> Circuit:
    """Write the strongest edges or nodes of a method of a run to a file, and say what was written.

    Raises:
        StoreError: If there is something at `out`, or the run cannot be read.
        DataError: If the run has no such circuit, method or number of edges or nodes.
    """
    if asked.out.exists():
        raise StoreError(f"{asked.out} exists already; choose another name.")
    run = RunFolder.open(asked.run)
    record = _cell(run, asked.cell)
    circuit = circuit_of_run(run, record, asked.method, asked.size, level=asked.level)
    with storage_errors(asked.out):
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        _WRITERS[asked.layout](circuit, asked.out)
    Console().print(
        f"Written: {asked.out}, {circuit.n_edges} edges of {len(circuit.node_names)} nodes left "
        f"of the {asked.size} strongest {asked.level} by {asked.method}.",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
    return circuit


def circuit_of_run(
    run: RunFolder, record: Record, method: str, size: int, *, level: Level = "edges"
) -> Circuit:
    """The circuit of the strongest edges or nodes that a method found, from the record alone.

    Args:
        run: The run.
        record: Which of its circuits.
        method: Its name; `effect` for the exact effects of nodes.
        size: How many, the embedding not counted.
        level: Whether edges are chosen, or nodes, with all edges between them.

    Raises:
        DataError: If the run does not have what it takes.
    """
    sizes = record.summary.get("graph")
    methods = run.table(record.cell, "methods").set_index("method")
    if sizes is None or "signed" not in methods:
        raise DataError(
            f"{run.path} was made by a version that kept no scores of edges: run it again."
        )
    edges = [name.removeprefix("edges.") for name in record.arrays if name.startswith("edges.")]
    table = run.table(record.cell, "nodes")
    names = edges if level == "edges" else _scored(table)
    if not names:
        raise DataError(
            f"{record.cell} of {run.path} has no scores of {level}: run it with a method of "
            f"{level}, as in --methods {'eap' if level == 'edges' else 'attribution_patching'}."
        )
    if method not in names:
        raise unknown_name(f"method of {level} in this run", method, names)
    sizes = dict(sizes)
    d_model = int(sizes.pop("d_model"))
    column = EFFECT if method == EFFECT else f"score.{method}"
    found = Found(
        torch.tensor(table[column].to_numpy(), dtype=torch.float64),
        torch.tensor(run.arrays(record.cell)[f"edges.{method}"]) if method in edges else None,
        method == EFFECT or bool(methods.loc[method, "signed"]),
    )
    origin = Origin(
        str((run.header.get("model") or {}).get("name", "")),
        method,
        str(record.summary["task"]["name"]),
        str(record.config.get("ablation", "")),
        str(record.summary["ablation"]["metric"]),
    )
    return _joined(Graph(**sizes), d_model, found, size, level, origin)


def _scored(nodes: pd.DataFrame) -> list[str]:
    """The methods that a table of nodes has scores of, and the exact effects if there are some."""
    names = [str(name).removeprefix("score.") for name in nodes if str(name).startswith("score.")]
    return [EFFECT, *names] if nodes[EFFECT].notna().all() else names


def _joined(
    graph: Graph, d_model: int, found: Found, size: int, level: Level, origin: Origin
) -> Circuit:
    """The strongest edges, of which some must lie on a way from the embedding to the logits.

    The strongest nodes always do, as each reads the embedding and is read by the logits.
    """

    def strongest(n: int) -> Circuit:
        return strongest_circuit(graph, d_model, found, n, level=level, origin=origin)

    circuit = strongest(size)
    if circuit.n_edges or level == "nodes":
        return circuit
    more = range(size, graph.n_edges)
    least = size + bisect_left(more, True, key=lambda n: strongest(n).n_edges > 0)
    raise DataError(
        f"none of the {size} strongest edges by {origin.method} is on a way from the embedding to "
        f"the logits: ask for {least} or more, as in --size {least}."
    )


def _cell(run: RunFolder, name: str) -> Record:
    found = {
        one.cell: one for one in run.records() if one.kind == "circuit" and one.status == "done"
    }
    if not found:
        raise DataError(f"{run.path} has no finished circuit; make one with 'needlepoint circuit'.")
    if name and name not in found:
        raise unknown_name("circuit of this run", name, list(found))
    if not name and len(found) > 1:
        raise DataError(f"the run has several circuits: choose with --cell {' or '.join(found)}.")
    return found[name or next(iter(found))]
