"""All methods on behaviours of a model, judged by what ablating each head really does.

    python benchmarks/head_readings.py --tasks ioi greater_than --only effects
    python benchmarks/circuit_comparison.py --tasks ioi greater_than
    python benchmarks/circuit_comparison.py --page

The model is SmolLM2, or another that both scripts are given by `--model`. The truth of a task is
its record of exact effects. One record for each task in
benchmarks/records/circuit_comparison.TASK.json, or circuit_comparison.TASK.MODEL.json for another
model; methods that are in it already are not run again, unless `--again` names them. Scores read
the activations of SCORE_PAIRS pairs, methods that run the model are given ATTRIBUTION_PAIRS of
them, and circuits of edges are run on FRESH_PAIRS others. `--circuits` runs circuits of heads of
what was ranked before, and of quick methods whose ranking was not kept; their records are those of
head_circuits.py. `--page` writes docs/circuits.md, its
tables alone, docs/circuits_full.md and docs/known_circuits.md from these records and that of
known_circuits.py.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

import head_circuits
from circuit_comparison_page import write_page
from head_circuits import EFFECT, Ranked, line, run_and_keep
from head_readings import (
    DEFAULT_MODEL,
    Effects,
    effects_of,
    prompts_of,
    read_effects,
    record_path,
)
from needlepoint._core.files import write_text
from needlepoint._core.progress import progress_bars
from needlepoint._core.provenance import machine, now, versions
from needlepoint._core.records import jsonable
from needlepoint._core.seeds import seed_for
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.registered import CIRCUIT_METHODS, CircuitMethod, Question
from needlepoint.circuits.scores import HEAD_SCORES
from needlepoint.circuits.search.acdc import THRESHOLD, acdc
from needlepoint.evaluation.circuits.curves import AreasJudged, judge_areas
from needlepoint.evaluation.circuits.method_runs import Ran, run_methods, run_scores
from needlepoint.evaluation.circuits.units import edge_units
from needlepoint.evaluation.judge import method_frame
from needlepoint.evaluation.read_heads import pair_batch
from needlepoint.evaluation.read_pairs import read_pairs
from needlepoint.evaluation.truth import Truth, causal_truth
from needlepoint.models.load import load_model
from needlepoint.models.model import Model
from needlepoint.tasks.pairs import Prompts
from one_by_one import one_by_one

TASKS = ("ioi", "greater_than", "docstring", "induction", "agreement", "gendered_pronoun")
SCORE_PAIRS = 120
ATTRIBUTION_PAIRS = 24
FRESH_PAIRS = 8
SHARES = (0.001, 0.005, 0.02, 0.1, 0.5, 1.0)
SLOW = ("acdc", "edge_pruning", "subnetwork_probing", "eap_ig_activations", "path_patching")
"""Methods that take minutes: run where `--slow` asks for them."""


@dataclass(frozen=True)
class Wanted:
    """What is to be run."""

    scores: list[str]
    methods: list[str]
    curves: bool
    threshold: float
    """Of ACDC."""

    @classmethod
    def of(
        cls, done: Sequence[str], slow: Sequence[str], *, curves: bool, threshold: float
    ) -> Wanted:
        """All scores and fast methods, and the slow ones named, but for those that are done."""
        own = [name for name in CIRCUIT_METHODS if not CIRCUIT_METHODS[name].on_request]
        methods = [name for name in own if name not in SLOW or name in slow]
        return cls(
            [name for name in HEAD_SCORES if name not in done],
            [name for name in methods if name not in done],
            curves,
            threshold,
        )

    def instead(self) -> dict[str, CircuitMethod]:
        """Methods that are run otherwise than they are registered."""
        pruning = partial(acdc, threshold=self.threshold)
        return {"acdc": replace(CIRCUIT_METHODS["acdc"], compute=pruning)}


def measure(model: Model, task: str, found: Effects, wanted: Wanted) -> dict[str, Any]:
    """What is wanted on one task: settings, and a row for each method that was run."""
    prompts = prompts_of(model, task)
    draws = torch.Generator().manual_seed(seed_for(0, task=task, use="truth"))
    truth = causal_truth(found.effects, value_range=found.value_range, generator=draws)
    ran = Ran({}, {})
    if wanted.scores:
        reading = read_pairs(model, prompts.first(SCORE_PAIRS), Autoencoder(n_seeds=3))
        ran = one_by_one(
            lambda name: run_scores(model, reading.data, [name], seed=0, task=task), wanted.scores
        )
    question = _question(model, prompts.first(ATTRIBUTION_PAIRS))
    ran = ran.merged(
        one_by_one(
            lambda name: run_methods(question, [name], instead=wanted.instead()), wanted.methods
        )
    )
    fresh = _question(model, prompts.last(FRESH_PAIRS))
    units = edge_units(fresh.graph)
    areas = {
        name: judge_areas(fresh, run.found, units, generator=draws, shares=SHARES)
        for name, run in ran.runs.items()
        if wanted.curves and run.level == "edges" and run.found and not run.found.missing
    }
    return {
        "benchmark": "circuit_comparison",
        "date": now(),
        "machine": machine(),
        "versions": versions(),
        "model": model.card(),
        "task": task,
        "corruption": prompts.corruption,
        "truth": {
            "n_heads": int(truth.matters.sum()),
            "heads": " ".join(map(str, truth.matters.nonzero()[:, 0].tolist())),
            "of": len(truth.matters),
            "pairs": len(found.effects),
            "value_range": found.value_range,
        },
        "settings": {
            "score_pairs": SCORE_PAIRS,
            "attribution_pairs": ATTRIBUTION_PAIRS,
            "fresh_pairs": FRESH_PAIRS,
            "shares": SHARES,
            "threads": torch.get_num_threads(),
        },
        "skipped": ran.skipped,
        "methods": _rows(ran, truth, areas, wanted.threshold),
    }


def _rows(
    ran: Ran, truth: Truth, areas: dict[str, AreasJudged], threshold: float
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for row in method_frame(ran, truth, areas).to_dict("records") if ran.runs else []:
        name = str(row["method"])
        curve = None if name not in areas else areas[name].largest_first.frame()
        drawn = None if curve is None else curve.to_dict("records")
        cost = ran.runs[name].cost
        more = {"cpu_seconds": cost.cpu_seconds, "given_back": cost.given_back}
        more |= {"pairs": _pairs_of(name), "curve": drawn}
        more |= {"strength": line(ran.runs[name].strength)}
        more |= {"threshold": threshold} if name == "acdc" else {}
        rows.append({**{str(key): value for key, value in row.items()}, **more})
    return rows


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """A record with the rows of both; a method that is in both is as in the new one."""
    rows = {row["method"]: row for row in [*old.get("methods", []), *new["methods"]]}
    skipped = {**old.get("skipped", {}), **new["skipped"]}
    return {**new, "skipped": skipped, "methods": list(rows.values())}


def kept(task: str, model: str) -> dict[str, Any]:
    """The record of a task as it is now; empty if there is none."""
    path = record_path("circuit_comparison", task, model)
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def keep(record: dict[str, Any], task: str, model: str) -> None:
    """Add to the record what was found; rows that others have written meanwhile stay."""
    text = json.dumps(jsonable(merged(kept(task, model), record)), indent=1) + "\n"
    write_text(record_path("circuit_comparison", task, model), text)


def not_done(model: Model, task: str, reason: str) -> dict[str, Any]:
    """What is kept of a task that the model does not do."""
    return {
        "benchmark": "circuit_comparison",
        "date": now(),
        "model": model.card(),
        "task": task,
        "not_done": reason,
        "skipped": {},
        "methods": [],
    }


def run_circuits(model: Model, task: str, names: Sequence[str], where: str) -> str:
    """Run circuits of the first heads of each ranking and keep them; what was run, in words."""
    prompts, effects = prompts_of(model, task), read_effects(task, where)
    n_pairs = head_circuits.MORE_PAIRS.get(task, head_circuits.PAIRS)
    fresh = pair_batch(model, prompts.last(n_pairs))
    size = line(effects.effects.double().mean(0).abs())
    exact = Ranked(EFFECT, "Exact effects", False, size)
    ranked = [exact, *_ranked(model, prompts, names or head_circuits.METHODS, where)]
    done = {row["method"] for row in head_circuits.kept(task, where).get("methods", [])}
    left = [one for one in ranked if one.method in names or one.method not in done]
    run_and_keep(model, fresh, task, left, where)
    return ", ".join(one.method for one in left) or "nothing new"


def _ranked(model: Model, prompts: Prompts, names: Sequence[str], where: str) -> list[Ranked]:
    """What each method ranks heads by, run again where no record has it."""
    records = [head_circuits.kept(prompts.task, where), kept(prompts.task, where)]
    rows = {
        row["method"]: Ranked(row["method"], row["label"], row["control"], row["strength"])
        for record in records
        for row in record.get("methods", [])
        if row.get("strength")
    }
    lacking = [name for name in names if name not in rows]
    scores = [name for name in lacking if name in HEAD_SCORES]
    ran = Ran({}, {})
    if scores:
        reading = read_pairs(model, prompts.first(SCORE_PAIRS), Autoencoder(n_seeds=3))
        ran = run_scores(model, reading.data, scores, seed=0, task=prompts.task)
    question = _question(model, prompts.first(ATTRIBUTION_PAIRS))
    ran = ran.merged(run_methods(question, [name for name in lacking if name not in scores]))
    for name, run in ran.runs.items():
        rows[name] = Ranked(name, run.label, run.control, line(run.strength))
    return [rows[name] for name in names if name in rows]


def _question(model: Model, prompts: Prompts) -> Question:
    return Question(model, pair_batch(model, prompts))


def _pairs_of(name: str) -> int:
    if name in HEAD_SCORES:
        return SCORE_PAIRS
    most = CIRCUIT_METHODS[name].most_pairs
    return min(most, ATTRIBUTION_PAIRS) if most else ATTRIBUTION_PAIRS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--slow", nargs="*", default=[], choices=SLOW)
    parser.add_argument("--again", nargs="*", default=[], help="methods to run even if done")
    parser.add_argument("--threshold", type=float, default=THRESHOLD, help="of ACDC, in nats")
    parser.add_argument("--no-curves", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--circuits",
        nargs="*",
        metavar="METHOD",
        help="only run circuits of heads of these, or of a few quick methods if none is named",
    )
    parser.add_argument("--page", action="store_true", help="only draw the page from the records")
    args = parser.parse_args()
    if args.page:
        write_page()
        return
    torch.set_num_threads(args.threads)
    model = load_model(args.model)
    with progress_bars():
        for task in args.tasks:
            if args.circuits is None:
                print(f"{task}: {run_task(model, task, args)}", flush=True)
            else:
                print(f"{task}: {run_circuits(model, task, args.circuits, args.model)}", flush=True)


def run_task(model: Model, task: str, args: argparse.Namespace) -> str:
    """Run what is wanted of one task and keep it; what came of it, in a few words."""
    effects = effects_of(task, args.model)
    if "skipped" in effects:
        keep(not_done(model, task, effects["skipped"]), task, args.model)
        return str(effects["skipped"])
    rows = kept(task, args.model).get("methods", [])
    done = [row["method"] for row in rows if row["method"] not in args.again]
    wanted = Wanted.of(done, args.slow, curves=not args.no_curves, threshold=args.threshold)
    record = measure(model, task, read_effects(task, args.model), wanted)
    keep(record, task, args.model)
    ran = [row for row in record["methods"] if row["average_precision"] is not None]
    best = max(ran, key=lambda row: float(row["average_precision"]), default=None)
    return "nothing new" if best is None else f"{best['method']} {best['average_precision']:.2f}"


if __name__ == "__main__":
    main()
