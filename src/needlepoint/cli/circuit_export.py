"""Write the circuit that a method found in a run to a file."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console

from needlepoint._core.errors import DataError, StoreError, unknown_name
from needlepoint._core.files import storage_errors
from needlepoint._core.records import Record, RunFolder
from needlepoint.circuits.exchange.circuit import Circuit, Origin, strongest_circuit
from needlepoint.circuits.exchange.eap_ig import save_eap_ig
from needlepoint.circuits.exchange.json_file import save_circuit
from needlepoint.circuits.graph.graph import Graph
from needlepoint.circuits.methods import Found


@dataclass(frozen=True)
class Export:
    """Which circuit to write, and where."""

    run: Path
    out: Path
    method: str
    size: int
    layout: Literal["needlepoint", "eap-ig"]
    cell: str = ""


def export_circuit(asked: Export) -> Circuit:
    """Write the strongest edges of a method of a run to a file, and say what was written.

    Raises:
        StoreError: If there is something at `out`, or the run cannot be read.
        DataError: If the run has no such circuit, method or number of edges.
    """
    if asked.out.exists():
        raise StoreError(f"{asked.out} exists already; choose another name.")
    run = RunFolder.open(asked.run)
    circuit = circuit_of_run(run, _cell(run, asked.cell), asked.method, asked.size)
    with storage_errors(asked.out):
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        (save_circuit if asked.layout == "needlepoint" else save_eap_ig)(circuit, asked.out)
    Console().print(
        f"Written: {asked.out}, {circuit.n_edges} edges of {len(circuit.node_names)} nodes left "
        f"of the {asked.size} strongest edges by {asked.method}.",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
    return circuit


def circuit_of_run(run: RunFolder, record: Record, method: str, size: int) -> Circuit:
    """The circuit of the strongest edges that a method found, from the record alone.

    Raises:
        DataError: If the run does not have what it takes.
    """
    sizes = record.summary.get("graph")
    methods = run.table(record.cell, "methods").set_index("method")
    if sizes is None or "signed" not in methods:
        raise DataError(
            f"{run.path} was made by a version that kept no scores of edges: run it again."
        )
    names = [name.removeprefix("edges.") for name in record.arrays if name.startswith("edges.")]
    if not names:
        raise DataError(
            f"{record.cell} of {run.path} has no scores of edges: run it with a method of edges, "
            "as in --methods eap."
        )
    if method not in names:
        raise unknown_name("method of edges in this run", method, names)
    sizes = dict(sizes)
    d_model = int(sizes.pop("d_model"))
    nodes = run.table(record.cell, "nodes")[f"score.{method}"].to_numpy()
    found = Found(
        torch.tensor(nodes, dtype=torch.float64),
        torch.tensor(run.arrays(record.cell)[f"edges.{method}"]),
        bool(methods.loc[method, "signed"]),
    )
    origin = Origin(
        str((run.header.get("model") or {}).get("name", "")),
        method,
        str(record.summary["task"]["name"]),
        str(record.config.get("ablation", "")),
        str(record.summary["ablation"]["metric"]),
    )
    return _joined(Graph(**sizes), d_model, found, size, origin)


def _joined(graph: Graph, d_model: int, found: Found, size: int, origin: Origin) -> Circuit:
    """The strongest edges, of which some must lie on a way from the embedding to the logits."""

    def strongest(n: int) -> Circuit:
        return strongest_circuit(graph, d_model, found, n, level="edges", origin=origin)

    circuit = strongest(size)
    if circuit.n_edges:
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
