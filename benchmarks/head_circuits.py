"""Circuits of the first heads of each ranking: what they keep alone, and what is left without them.

    python benchmarks/circuit_comparison.py --circuits --tasks ioi greater_than
    python benchmarks/circuit_comparison.py --circuits hisp eap_gim --tasks ioi

One record for each task in benchmarks/records/head_circuits.TASK.json, with what each method ranks
heads by, so that circuits can be run again without the methods. Circuits are run on the fresh pairs
of the comparison; every head outside is resampled, every MLP computes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from head_readings import DEFAULT_MODEL, record_path
from needlepoint._core.files import write_text
from needlepoint._core.provenance import machine, now, versions
from needlepoint._core.records import jsonable
from needlepoint._core.seeds import seed_for
from needlepoint.circuits.pair_batch import PairBatch
from needlepoint.evaluation.circuits.curves import chosen_sizes
from needlepoint.evaluation.circuits.judged_curves import judge_curves
from needlepoint.evaluation.circuits.minimality import minimal_units
from needlepoint.evaluation.circuits.runs import RunOnce, run_heads
from needlepoint.evaluation.circuits.units import first_units
from needlepoint.models.model import Model

EFFECT = "effect"
"""The exact effects that methods are judged by, as a ranking of its own."""
METHODS = (
    "eap",
    "change_and_answer",
    "discrete_sae",
    "mean_difference",
    "effect_size",
    "hisp",
    "output_norm",
)
"""Of which circuits are run unless others are named: what takes less than half a minute."""
PAIRS = 8
MORE_PAIRS = {"agreement": 12, "gendered_pronoun": 12}
"""Tasks of which fewer pairs do not always tell the whole model from one with no heads."""
SHARES = (0.02, 0.05, 0.1, 0.2, 0.5)
"""Of all heads."""
AT = 0.1
"""Share of all heads at which circuits are held against layer-matched ones, and taken apart."""
N_RANDOM = 20
AT_MOST = 13
"""Heads of a circuit that are taken out one by one, drawn at random of those it has."""
DIGITS = 5


@dataclass(frozen=True)
class Ranked:
    """What a method ranks heads by."""

    method: str
    label: str
    control: bool
    strength: str
    """Numbers of all heads in layer-major order."""

    @property
    def values(self) -> Tensor:
        """The same as a tensor."""
        return torch.tensor([float(value) for value in self.strength.split()])


def line(strength: Tensor) -> str:
    """What heads are ranked by, to six digits and on one line of JSON."""
    return " ".join(f"{value:.6g}" for value in strength.tolist())


def kept(task: str, model: str = DEFAULT_MODEL) -> dict[str, Any]:
    """The record of a task as it is now; empty if there is none."""
    path = record_path("head_circuits", task, model)
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def run_and_keep(
    model: Model, pairs: PairBatch, task: str, rankings: Sequence[Ranked], where: str
) -> None:
    """Run the circuits of some rankings on one task, and add each to its record once it is done."""
    run = RunOnce(partial(run_heads, model, pairs))
    for ranked in rankings:
        keep(_record(model, task, len(pairs), [_judged(model, run, task, ranked)]), task, where)


def _record(model: Model, task: str, n_pairs: int, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "benchmark": "head_circuits",
        "date": now(),
        "machine": machine(),
        "versions": versions(),
        "model": {key: model.card()[key] for key in ("name", "dtype", "sha256")},
        "task": task,
        "settings": {
            "pairs": n_pairs,
            "shares": SHARES,
            "n_random": N_RANDOM,
            "at": AT,
            "at_most": AT_MOST,
            "threads": torch.get_num_threads(),
        },
        "methods": rows,
    }


def _judged(model: Model, run: RunOnce, task: str, ranked: Ranked) -> dict[str, Any]:
    """One row; the draws begin alike for all, so that random circuits of a size are the same."""
    layers = torch.tensor([site.layer for site in model.head_sites()])
    sites = [f"L{site.layer}.H{site.index}" for site in model.head_sites()]
    draws = torch.Generator().manual_seed(seed_for(0, task=task, use="head circuits"))
    begin, before = time.process_time(), run.n_run
    found = judge_curves(
        run,
        ranked.values,
        layers,
        generator=draws,
        shares=SHARES,
        layered=(AT,),
        n_random=N_RANDOM,
    )
    size = chosen_sizes(SHARES, len(layers))[SHARES.index(AT)]
    needed = minimal_units(
        run,
        first_units(ranked.values, [size])[0],
        sites,
        layers,
        generator=draws,
        n_subsets=0,
        n_outside=N_RANDOM,
        at_most=AT_MOST,
    )
    return {
        "method": ranked.method,
        "label": ranked.label,
        "control": ranked.control,
        "strength": ranked.strength,
        "curve": [_short(row) for row in found.frame().to_dict("records")],
        "minimality": {
            "size": size,
            "tried": len(needed.changes),
            "needed": int(needed.changes["minimal"].sum()),
            "median_change": round(float(needed.changes["change"].median()), DIGITS),
            "threshold": round(needed.threshold, DIGITS),
        },
        "circuits_run": run.n_run - before,
        "cpu_seconds": round(time.process_time() - begin, 1),
    }


def _short(row: Mapping[Any, Any]) -> dict[str, float | None]:
    """Numbers to a few digits; missing ones, where no such circuits were drawn, as null."""
    return {
        str(name): None if value != value else round(float(value), DIGITS)
        for name, value in row.items()
    }


def keep(record: dict[str, Any], task: str, model: str) -> None:
    """Add to the record what was found; a method that is in both is as in the new one."""
    old = kept(task, model)
    rows = {row["method"]: row for row in [*old.get("methods", []), *record["methods"]]}
    text = json.dumps(jsonable({**record, "methods": list(rows.values())}), indent=1) + "\n"
    write_text(record_path("head_circuits", task, model), text)
