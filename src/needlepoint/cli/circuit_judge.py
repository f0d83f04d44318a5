"""Run a circuit from a file on fresh prompts, and print how it does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool
from rich.console import Console
from rich.table import Table
from torch import Tensor

from needlepoint._core.cores import free_cores
from needlepoint._core.errors import DataError, unknown_name
from needlepoint._core.progress import progress_bars
from needlepoint._core.seeds import seed_for
from needlepoint.circuits.exchange.circuit import Circuit
from needlepoint.circuits.exchange.eap_ig import Shared, from_eap_ig
from needlepoint.circuits.exchange.json_file import FORMAT, from_json, read_json
from needlepoint.circuits.exchange.networkx_graph import from_node_link
from needlepoint.circuits.graph.terms import graph_of
from needlepoint.cli.printed import number, print_table, table
from needlepoint.cli.show_minimality import show_minimality
from needlepoint.evaluation.checks import check_task_name
from needlepoint.evaluation.circuits.ablated import Ablated
from needlepoint.evaluation.circuits.against_random import (
    CircuitJudged,
    RandomCircuits,
    judge_circuit,
)
from needlepoint.evaluation.circuits.minimality import Minimality, minimality
from needlepoint.evaluation.circuits.units import Units, edge_units, node_units
from needlepoint.evaluation.configs import ABLATIONS, MIN_RANDOM, HeadsConfig
from needlepoint.evaluation.intervals import Interval
from needlepoint.models.model import Model
from needlepoint.tasks import load_task
from needlepoint.tasks.pairs import Prompts


@dataclass(frozen=True)
class Judge:
    """Which file to judge, and how."""

    file: Path
    task: str
    model: str
    corruption: str
    ablation: str
    pairs: int
    random_circuits: int
    minimality: int
    shared: Shared
    seed: int
    dtype: str


def judge_file(asked: Judge) -> CircuitJudged:
    """Run a circuit from a file on fresh prompts, and print how it does.

    Raises:
        DataError: If the file is no circuit, or of another model, or a number is too small.
        UnknownNameError: If there is no such task or ablation.
    """
    from needlepoint.models.load import load_model

    value = read_circuit_json(asked.file)
    _check(asked)
    torch.set_num_threads(free_cores())
    with progress_bars():
        model = load_model(asked.model, dtype=asked.dtype)
        circuit = circuit_for(value, model, asked.shared)
        prompts = load_task(
            asked.task,
            model.encoder,
            n_pairs=asked.pairs,
            seed=asked.seed,
            corruption=asked.corruption,
        )
        prompts = prompts.first(min(asked.pairs, prompts.n_pairs))
        config = HeadsConfig(
            task=asked.task, ablation=asked.ablation or _own_ablation(circuit), seed=asked.seed
        )
        ablated = Ablated.of(model, prompts, config)
        judged = judge(circuit, ablated, prompts, asked.random_circuits)
        tried = _try_units(circuit, ablated, prompts, asked.minimality)
    where = f"On {prompts.n_pairs} pairs of {prompts.task} ({prompts.corruption})"
    _show(Console(), circuit, judged, f"{where}; what is cut is replaced: {ablated.words}.")
    if tried is not None:
        show_minimality(Console(), tried, circuit.level)
    return judged


def judge(circuit: Circuit, ablated: Ablated, prompts: Prompts, n_random: int) -> CircuitJudged:
    """The circuit against random ones, of edges or of nodes as it is."""
    units, kept = _units(circuit)
    seed = seed_for(ablated.seed, task=prompts.task, use="judging a circuit")
    draws = torch.Generator().manual_seed(seed)
    return judge_circuit(ablated.question(prompts), units, kept, generator=draws, n_random=n_random)


def _try_units(
    circuit: Circuit, ablated: Ablated, prompts: Prompts, at_most: int
) -> Minimality | None:
    """What the circuit could do without, of so many of its edges or nodes; not asked if 0."""
    if not at_most:
        return None
    units, kept = _units(circuit)
    seed = seed_for(ablated.seed, task=prompts.task, use="minimality of a circuit")
    draws = torch.Generator().manual_seed(seed)
    return minimality(ablated.question(prompts), units, kept, generator=draws, at_most=at_most)


def _units(circuit: Circuit) -> tuple[Units, Bool[Tensor, " unit"]]:
    """The edges or nodes of the whole model, and which of them are the circuit."""
    if circuit.level == "edges":
        units = edge_units(circuit.graph)
        return units, circuit.edges[units.which]
    units = node_units(circuit.graph)
    return units, circuit.nodes[units.which]


def read_circuit_json(path: Path) -> dict[str, Any]:
    """What a file of any layout holds; one of ours is read whole, to find what is wrong.

    Raises:
        DataError: If it is of no known layout.
    """
    value = read_json(path)
    if value.get("format") == FORMAT:
        from_json(value)
    elif "multigraph" in value:
        from_node_link(value)
    elif not {"cfg", "nodes", "edges"} <= set(value):
        raise DataError(
            f"{path} is no circuit: it has neither 'format': '{FORMAT}' nor, as EAP-IG and MIB "
            "write, cfg, nodes and edges, nor is it node-link JSON of NetworkX."
        )
    return value


def circuit_for(value: dict[str, Any], model: Model, shared: Shared) -> Circuit:
    """The circuit of any layout, which must be of this model.

    Raises:
        DataError: If it is not; the message says what differs.
    """
    graph = graph_of(model)
    if value.get("format") == FORMAT:
        circuit = from_json(value)
    elif "multigraph" in value:
        circuit = from_node_link(value)
    else:
        circuit = from_eap_ig(value, graph, shared=shared)
    return circuit.require(graph, model.shape.d_model)


def _check(asked: Judge) -> None:
    if asked.ablation and asked.ablation not in ABLATIONS:
        raise unknown_name("ablation", asked.ablation, ABLATIONS)
    for name, least in (("pairs", 2), ("random_circuits", MIN_RANDOM), ("minimality", 0)):
        if getattr(asked, name) < least:
            raise DataError(f"{name} is {getattr(asked, name)}; it must be at least {least}.")
    check_task_name(asked.task, asked.corruption)


def _own_ablation(circuit: Circuit) -> str:
    own = circuit.origin.ablation
    return own if own in ABLATIONS else ABLATIONS[0]


def _show(console: Console, circuit: Circuit, judged: CircuitJudged, where: str) -> None:
    origin = circuit.origin
    known = [("found by", origin.method), ("for", origin.task), ("in", origin.model)]
    words = " ".join(f"{word} {name}" for word, name in known if name)
    left = f", {judged.n_edges} edges after pruning" if judged.size != judged.n_edges else ""
    words = f"; {words}" if words else ""
    _say(console, f"The circuit: {judged.size} {circuit.level}{left}{words}.")
    _say(console, where)
    found = table("", "estimate>", "95% interval", "p>")
    for name in ("faithfulness", "completeness"):
        own: Interval = getattr(judged, name)
        found.add_row(name, number(own.estimate), _range(own), "")
        _add_random(found, name, judged.by_size, "as many")
        _add_random(found, name, judged.by_layer, "as many in each layer")
    print_table(console, "1 is the aim of both", found)
    note = (
        f"Random: the median of {judged.by_size.n} random circuits of as many {circuit.level}, and "
        "where 95% of them lie. p: how often one of them is as near to 1. Faithfulness: what is "
        "left when all else is cut. Completeness: what is lost when the circuit is."
    )
    console.print(note, style="dim", highlight=False, markup=False)
    console.print(_verdict(judged), highlight=False, markup=False)


def _verdict(judged: CircuitJudged) -> str:
    """Whether the circuit does better than chance, by intervals alone."""
    beaten = [
        random.faithfulness.high < judged.faithfulness.low
        for random in (judged.by_size, judged.by_layer)
    ]
    if all(beaten):
        return "It keeps more of the behaviour than random circuits of either kind."
    return (
        "It is not shown to keep more of the behaviour than random circuits: its interval reaches "
        "into their range."
    )


def _add_random(found: Table, name: str, random: RandomCircuits, matched: str) -> None:
    spread: Interval = getattr(random, name)
    p_value = number(getattr(random, f"p_{name}"), 3)
    found.add_row(f"  random, {matched}", number(spread.estimate), _range(spread), p_value)


def _range(found: Interval) -> str:
    return f"{number(found.low)} to {number(found.high)}"


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False)
