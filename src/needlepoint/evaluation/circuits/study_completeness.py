"""The circuit of heads that a study puts forward, judged by more than what it keeps alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint.circuits.pair_batch import PairBatch
from needlepoint.evaluation.circuits.ablated import Ablated
from needlepoint.evaluation.circuits.against_random import RandomCircuits
from needlepoint.evaluation.circuits.draws import layer_matched
from needlepoint.evaluation.circuits.minimality import Minimality, minimal_units
from needlepoint.evaluation.circuits.runs import CircuitRuns, RunOnce, run_heads
from needlepoint.evaluation.intervals import Interval, percentile_interval
from needlepoint.evaluation.truth import nested_circuits

NOT_ASKED = (
    "completeness, minimality and circuits matched layer by layer were not asked for; "
    "--completeness runs them"
)
LAYERED = "layers matched"
COLUMNS = ("size", "kind", "ranked_by", "draw", "faithfulness", "completeness", "low", "high")
MINIMALITY_COLUMNS = ("unit", "change", "p", "minimal", "helps")
N_OUTSIDE = 20
AT_MOST = 20
"""Heads of the circuit that are taken out one by one, drawn at random if it has more."""


@dataclass(frozen=True, eq=False)
class Planned:
    """Circuits of a study: what each is, and which heads it has."""

    names: list[tuple[int, str, str, int]]
    """Size, kind, by what its heads were ranked, draw."""
    kept: Bool[Tensor, "row head"]


@dataclass(frozen=True, eq=False)
class Completeness:
    """What the circuits of a study leave of the model, and what the one put forward lacks."""

    completeness: Interval
    """Of the circuit put forward: 1 - f(M without C), with an interval over pairs."""
    by_size: RandomCircuits
    by_layer: RandomCircuits
    minimal: Minimality | None
    """Missing if the circuit is of all heads."""
    frame: pd.DataFrame
    """One row for each circuit; `low` and `high` are of completeness, over pairs."""

    @property
    def needed(self) -> pd.DataFrame:
        """The heads that were taken out one by one, and what changed."""
        empty = pd.DataFrame(columns=list(MINIMALITY_COLUMNS))
        return empty if self.minimal is None else self.minimal.changes

    def summary(self) -> dict[str, Any]:
        """For the record."""
        found: dict[str, Any] = {"completeness": self.completeness._asdict()}
        for name, null in (("by_size", self.by_size), ("by_layer", self.by_layer)):
            found[name] = {
                "n": null.n,
                "faithfulness": null.faithfulness._asdict(),
                "completeness": null.completeness._asdict(),
                "p_faithfulness": null.p_faithfulness,
                "p_completeness": null.p_completeness,
            }
        if self.minimal is None:
            return found | {"minimality": None, "minimality_reason": "the circuit is of all heads"}
        changes = self.minimal.changes
        return found | {
            "minimality": {
                "n_tried": len(changes),
                "n_needed": int(changes["minimal"].sum()),
                "n_outside": len(self.minimal.outside),
                "threshold": self.minimal.threshold,
            }
        }


def judge_completeness(
    ablated: Ablated,
    pairs: PairBatch,
    planned: Planned,
    alone: CircuitRuns,
    ranking: Int[Tensor, " head"],
    size: int,
    *,
    n_random: int,
    generator: torch.Generator,
) -> Completeness:
    """Run what every circuit of a study leaves of the model, and circuits matched in each layer.

    It takes one run for each circuit, two for each that is matched layer by layer to one of the
    ranking at the same size (as many draws as of other random circuits), and at most
    `AT_MOST + N_OUTSIDE + 1` for minimality, for each pair.

    Args:
        ablated: How heads are ablated.
        pairs: Fresh pairs.
        planned: The circuits that were run, those of `ranking` at each size among them.
        alone: The same, as they were run.
        ranking: Of the heads that are put forward.
        size: How many of them are.
        n_random: Random circuits at that size.
        generator: Source of the draws and of the bootstrap over pairs.
    """
    shape = ablated.model.shape
    layer_of = torch.arange(shape.n_layers).repeat_interleave(shape.n_heads)
    run = RunOnce(partial(run_heads, ablated.model, pairs, kind=ablated.kind, data=ablated.means))
    layered = _layered(planned, ranking, layer_of, n_random, generator)
    names = [*planned.names, *layered.names]
    without = run(torch.cat([~planned.kept, layered.kept, ~layered.kept]))
    metric = torch.cat([alone.circuits, without.circuits])
    draws = CircuitRuns(alone.empty, alone.full, metric, ()).draws(generator)
    n, m = len(planned.names), len(layered.names)
    faithful = torch.cat([draws[0, :n], draws[0, 2 * n : 2 * n + m]])
    complete = 1 - torch.cat([draws[:, n : 2 * n], draws[:, 2 * n + m :]], dim=1)
    own = names.index(next(one for one in names if one[0] == size and one[1] == "ranked"))
    value = (float(faithful[own]), float(complete[0, own]))

    def null(kind: str) -> RandomCircuits:
        places = [at for at, one in enumerate(names) if one[0] == size and one[1] == kind]
        return RandomCircuits.of(faithful[places], complete[0, places], own=value)

    circuit = nested_circuits(ranking, [size])[0]
    minimal = _minimal(run, circuit, ablated, layer_of, generator)
    intervals = [percentile_interval(one[1:], float(one[0])) for one in complete.unbind(1)]
    frame = _frame(names, faithful, intervals)
    return Completeness(intervals[own], null("random"), null(LAYERED), minimal, frame)


def _minimal(
    run: RunOnce,
    circuit: Bool[Tensor, " head"],
    ablated: Ablated,
    layer_of: Int[Tensor, " head"],
    generator: torch.Generator,
) -> Minimality | None:
    """The circuit with one head less, no other taken out; nothing of the circuit of all heads."""
    if bool(circuit.all()):
        return None
    return minimal_units(
        run,
        circuit,
        [f"L{one.layer}.H{one.index}" for one in ablated.model.head_sites()],
        layer_of,
        generator=generator,
        n_subsets=0,
        n_outside=N_OUTSIDE,
        at_most=AT_MOST,
    )


def _layered(
    planned: Planned,
    ranking: Int[Tensor, " head"],
    layer_of: Int[Tensor, " head"],
    n_random: int,
    generator: torch.Generator,
) -> Planned:
    """As many draws as of other random circuits at each size, matched to those of the ranking."""
    names, kept = [], []
    draws = Counter(size for size, kind, _, _ in planned.names if kind == "random")
    for size, n in sorted(draws.items()):
        circuit = nested_circuits(ranking, [size])[0]
        names += [(size, LAYERED, LAYERED, draw) for draw in range(n)]
        kept.append(layer_matched(circuit, layer_of, n_random, generator)[:n])
    return Planned(names, torch.cat(kept))


def _frame(
    names: Sequence[tuple[int, str, str, int]],
    faithful: Float[Tensor, " row"],
    complete: Sequence[Interval],
) -> pd.DataFrame:
    rows = [
        (*name, alone, one.estimate, one.low, one.high)
        for name, alone, one in zip(names, faithful.tolist(), complete, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
