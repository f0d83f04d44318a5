"""How much of a behaviour the circuits of each method keep, on fresh prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor

from needlepoint.circuits.pair_batch import PairBatch
from needlepoint.circuits.registered import Question
from needlepoint.evaluation.circuits.ablated import Ablated
from needlepoint.evaluation.circuits.against_random import spread
from needlepoint.evaluation.circuits.curves import AreasJudged, judge_areas
from needlepoint.evaluation.circuits.method_runs import Ran
from needlepoint.evaluation.circuits.runs import run_heads
from needlepoint.evaluation.circuits.study_completeness import (
    COLUMNS,
    MINIMALITY_COLUMNS,
    Completeness,
    Planned,
    judge_completeness,
)
from needlepoint.evaluation.circuits.units import edge_units
from needlepoint.evaluation.intervals import Interval
from needlepoint.evaluation.truth import (
    Truth,
    drawn_sizes,
    faithfulness_frame,
    nested_circuits,
    random_orders,
)

SIZES = (1, 5, 10, 20, 40, 80)
EFFECT = "causal effect"
CURVE_COLUMNS = (
    "method",
    "order",
    "share",
    "size",
    "n_edges",
    "faithfulness",
    "low",
    "high",
)

EDGE_COMPLETENESS_COLUMNS = (*CURVE_COLUMNS[:5], "completeness", *CURVE_COLUMNS[6:])


@dataclass(frozen=True)
class HeadCircuit:
    """The circuit of heads that is put forward, and how it does on fresh prompts."""

    heads: Int[Tensor, " head"]
    faithfulness: Interval
    random: Interval
    """2.5 %, 50 % and 97.5 % points over random circuits of the same size."""
    frame: pd.DataFrame
    completeness: Completeness | None = None
    """Missing where it was not asked for."""


def run_head_circuits(
    ablated: Ablated,
    pairs: PairBatch,
    truth: Truth,
    rankings: Mapping[str, Tensor],
    *,
    n_random: int,
    generator: torch.Generator,
    completeness: bool = False,
) -> HeadCircuit:
    """Run the circuits of the heads that matter, of other rankings, and of chance.

    Heads outside a circuit are ablated together; every MLP computes on what it receives. The
    circuit put forward is exactly the heads that matter. Random circuits are run at its size, and
    a few of them at every size. With `completeness` the model is run without each of them, too;
    `judge_completeness` says what else, and what it costs.
    """
    n_heads, size = len(truth.matters), max(1, int(truth.matters.sum()))
    ordered = {EFFECT: truth.ranking, **rankings}
    sizes = sorted({n for n in SIZES if n < n_heads} | {size})
    orders, draws = random_orders(n_heads, n_random, generator), drawn_sizes(n_random, size, sizes)
    ranked = [nested_circuits(ranking, sizes) for ranking in ordered.values()]
    drawn = [nested_circuits(orders[draw], [n]) for draw, n in draws]
    kept = torch.cat([*ranked, *drawn])
    runs = run_heads(ablated.model, pairs, kept, kind=ablated.kind, data=ablated.means)
    intervals = runs.faithfulness(generator)
    found = [intervals.of(place) for place in range(len(kept))]
    names = [(by, n) for by in ordered for n in sizes]
    points = [(*one, found[place]) for place, one in enumerate(names)]
    chance = [(*one, found[len(names) + place]) for place, one in enumerate(draws)]
    chosen = next(one for by, n, one in points if by == EFFECT and n == size)
    frame = faithfulness_frame(points, chance)
    random = spread(torch.tensor([one.estimate for _, n, one in chance if n == size]))
    judged = None
    if completeness:
        planned = Planned(
            [(n, "ranked", by, 0) for by, n in names]
            + [(n, "random", "random", draw) for draw, n in draws],
            kept,
        )
        judged = judge_completeness(
            ablated,
            pairs,
            planned,
            runs,
            truth.ranking,
            size,
            n_random=n_random,
            generator=generator,
        )
    return HeadCircuit(truth.ranking[:size], chosen, random, frame, judged)


def rankings_of(ran: Ran, names: Sequence[str]) -> dict[str, Int[Tensor, " head"]]:
    """Heads by falling strength, for each of some methods that ran."""
    return {
        name: ran.runs[name].strength.argsort(descending=True, stable=True)
        for name in names
        if name in ran.runs
    }


def run_edge_circuits(
    question: Question, ran: Ran, generator: torch.Generator, *, completeness: bool = False
) -> dict[str, AreasJudged]:
    """Circuits of edges of every method that scores all edges, at the shares that MIB looks at."""
    units = edge_units(question.graph)
    return {
        name: judge_areas(
            question, run.found, units, generator=generator, completeness=completeness
        )
        for name, run in ran.runs.items()
        if run.level == "edges" and run.found is not None and not run.found.missing
    }


def curve_frame(areas: Mapping[str, AreasJudged]) -> pd.DataFrame:
    """One row for each method, order of its edges, and size of the circuit."""
    frames = []
    for name, found in areas.items():
        orders = {"largest first": found.largest_first, "helpful first": found.helpful_first}
        for order, curve in orders.items():
            frames.append(curve.frame().assign(method=name, order=order))
    if not frames:
        return pd.DataFrame(columns=list(CURVE_COLUMNS))
    return pd.concat(frames, ignore_index=True)[list(CURVE_COLUMNS)]


def edge_completeness_frame(areas: Mapping[str, AreasJudged]) -> pd.DataFrame:
    """One row for each method and size, edges with the largest scores first; empty if not asked."""
    frames = [
        one.complete.frame().assign(
            method=name, order="largest first", n_edges=one.largest_first.n_edges
        )
        for name, one in areas.items()
        if one.complete is not None
    ]
    if not frames:
        return pd.DataFrame(columns=list(EDGE_COMPLETENESS_COLUMNS))
    return pd.concat(frames, ignore_index=True)[list(EDGE_COMPLETENESS_COLUMNS)]


def completeness_frame(circuit: HeadCircuit | None) -> pd.DataFrame:
    """One row for each circuit of heads and what is left without it; empty if not asked for."""
    if circuit is None or circuit.completeness is None:
        return pd.DataFrame(columns=list(COLUMNS))
    return circuit.completeness.frame


def minimality_frame(circuit: HeadCircuit | None) -> pd.DataFrame:
    """One row for each head that was taken out of the circuit; empty if not asked for."""
    if circuit is None or circuit.completeness is None:
        return pd.DataFrame(columns=list(MINIMALITY_COLUMNS))
    return circuit.completeness.needed
