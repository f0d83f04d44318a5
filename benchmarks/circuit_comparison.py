"""All methods on the behaviours of SmolLM2, judged by what ablating each head really does.

    python benchmarks/head_readings.py --tasks ioi greater_than --only effects
    python benchmarks/circuit_comparison.py --tasks ioi greater_than
    python benchmarks/circuit_comparison.py --page

The truth of a task is its record of exact effects. One record for each task in
benchmarks/records/circuit_comparison.TASK.json; methods that are in it already are not run again.
Scores read the activations of SCORE_PAIRS pairs, methods that run the model are given
ATTRIBUTION_PAIRS of them, and circuits of edges are run on FRESH_PAIRS others.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from circuit_comparison_page import write_page
from head_readings import effect_pairs, prompts_of, read_effects
from needlepoint._core.files import write_text
from needlepoint._core.progress import progress_bars
from needlepoint._core.provenance import machine, now, versions
from needlepoint._core.records import jsonable
from needlepoint._core.seeds import seed_for
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.registered import CIRCUIT_METHODS, Question
from needlepoint.circuits.scores import HEAD_SCORES
from needlepoint.evaluation.circuits.curves import judge_areas
from needlepoint.evaluation.circuits.method_runs import Ran, run_methods, run_scores
from needlepoint.evaluation.circuits.units import edge_units
from needlepoint.evaluation.judge import method_frame
from needlepoint.evaluation.read_heads import pair_batch
from needlepoint.evaluation.read_pairs import read_pairs
from needlepoint.evaluation.truth import causal_truth
from needlepoint.models.load import load_model
from needlepoint.models.model import Model
from needlepoint.tasks.pairs import Prompts

RECORDS = Path(__file__).parent / "records"
TASKS = ("ioi", "greater_than", "docstring", "induction", "agreement", "gendered_pronoun")
SCORE_PAIRS = 120
ATTRIBUTION_PAIRS = 24
FRESH_PAIRS = 8
SHARES = (0.001, 0.005, 0.02, 0.1, 0.5, 1.0)
SLOW = ("acdc", "edge_pruning", "subnetwork_probing", "eap_ig_activations", "path_patching")
"""Methods that take minutes: run where `--slow` asks for them."""


def measure(model: Model, task: str, slow: list[str], *, curves: bool) -> dict[str, Any]:
    """The record of one task, with what was in it before."""
    path = RECORDS / f"circuit_comparison.{task}.json"
    old: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    rows: dict[str, dict[str, Any]] = {row["method"]: row for row in old.get("methods", [])}
    prompts, found = prompts_of(model, task), read_effects(task)
    draws = torch.Generator().manual_seed(seed_for(0, task=task, use="truth"))
    truth = causal_truth(found.effects, value_range=found.value_range, generator=draws)
    fast = [name for name in CIRCUIT_METHODS if name not in SLOW]
    methods = [name for name in [*fast, *slow] if name not in rows]
    scores = [name for name in HEAD_SCORES if name not in rows]
    ran = Ran({}, {})
    if scores:
        reading = read_pairs(model, prompts.first(SCORE_PAIRS), Autoencoder(n_seeds=3))
        ran = run_scores(model, reading.data, scores, seed=0, task=task)
    ran = ran.merged(run_methods(_question(model, prompts.first(ATTRIBUTION_PAIRS)), methods))
    fresh = _question(model, prompts.last(FRESH_PAIRS))
    units = edge_units(fresh.graph)
    areas = {
        name: judge_areas(fresh, run.found, units, generator=draws, shares=SHARES)
        for name, run in ran.runs.items()
        if curves and run.level == "edges" and run.found is not None
    }
    for row in method_frame(ran, truth, areas).to_dict("records"):
        name = str(row["method"])
        curve = None if name not in areas else areas[name].largest_first.frame()
        drawn = None if curve is None else curve.to_dict("records")
        cpu = ran.runs[name].cost.cpu_seconds
        rows[name] = {**row, "cpu_seconds": cpu, "pairs": _pairs_of(name), "curve": drawn}
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
            "of": len(truth.matters),
            "pairs": effect_pairs(task),
            "value_range": found.value_range,
        },
        "settings": {
            "score_pairs": SCORE_PAIRS,
            "attribution_pairs": ATTRIBUTION_PAIRS,
            "fresh_pairs": FRESH_PAIRS,
            "shares": SHARES,
            "threads": torch.get_num_threads(),
        },
        "skipped": {**old.get("skipped", {}), **ran.skipped},
        "methods": list(rows.values()),
    }


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
    parser.add_argument("--slow", nargs="*", default=[], choices=SLOW)
    parser.add_argument("--no-curves", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--page", action="store_true", help="only draw the page from the records")
    args = parser.parse_args()
    if args.page:
        write_page()
        return
    torch.set_num_threads(args.threads)
    model = load_model("smollm2")
    with progress_bars():
        for task in args.tasks:
            record = measure(model, task, args.slow, curves=not args.no_curves)
            text = json.dumps(jsonable(record), indent=1) + "\n"
            write_text(RECORDS / f"circuit_comparison.{task}.json", text)
            best = max(record["methods"], key=lambda row: row["average_precision"] or 0)
            print(f"{task}: best {best['method']} {best['average_precision']:.2f}", flush=True)


if __name__ == "__main__":
    main()
