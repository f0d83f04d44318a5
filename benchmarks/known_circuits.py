"""All methods on models whose circuit is known exactly: planted by hand, or compiled by Tracr.

    python benchmarks/known_circuits.py --out benchmarks/records/known_circuits.json

The truth is the edges that resampling can see on the prompts, one at a time, out of those that
the weights have room for. Methods for edges are judged as edges, and every method by the heads
and MLPs, or the heads alone, that those edges leave from.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from needlepoint._core.files import write_text
from needlepoint._core.progress import progress_bars
from needlepoint._core.provenance import machine, now, versions
from needlepoint._core.records import jsonable
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.known.models import KNOWN_MODELS, KnownModel, known_model
from needlepoint.circuits.registered import CIRCUIT_METHODS, Question
from needlepoint.circuits.scores import HEAD_SCORES
from needlepoint.evaluation.circuits.method_runs import MethodRun, Ran, run_methods, run_scores
from needlepoint.evaluation.circuits.ranking import RankingJudged, judge_edges, judge_ranking
from needlepoint.evaluation.read_pairs import read_pairs

PAIRS = 16


def measure(known: KnownModel, names: list[str]) -> dict[str, Any]:
    """What each method finds of one circuit."""
    question = Question(known.model, known.pairs)
    seen = known.seen
    reading = read_pairs(known.model, known.prompts, Autoencoder(n_seeds=3))
    scores = [name for name in HEAD_SCORES if not names or name in names]
    methods = [name for name in CIRCUIT_METHODS if not names or name in names]
    ran = run_scores(known.model, reading.data, scores, seed=0, task=known.name)
    ran = ran.merged(run_methods(question, methods))
    return {
        "model": known.name,
        "edges": known.graph.n_edges,
        "wired": int(known.wired.sum()),
        "seen": int(seen.sum()),
        "heads": int(known.graph.is_head.sum()),
        "skipped": ran.skipped,
        "methods": _rows(known, seen, ran),
    }


def _rows(known: KnownModel, seen: Bool[Tensor, "writer reader"], ran: Ran) -> list[dict[str, Any]]:
    rows = []
    for run in ran.runs.values():
        row: dict[str, Any] = {"method": run.name, "label": run.label, "level": run.level}
        row |= {"control": run.control, "seconds": run.cost.seconds}
        row["heads"] = _judged(judge_ranking(run.strength, seen.any(1)[known.graph.is_head]))
        row["edges"] = _edges(known, seen, run)
        rows.append(row)
    return rows


def _edges(known: KnownModel, seen: Tensor, run: MethodRun) -> dict[str, Any] | None:
    if run.found is None or run.found.edges is None:
        return None
    return _judged(judge_edges(run.found.edge_strength, seen, known.graph))


def _judged(found: RankingJudged) -> dict[str, Any]:
    names = ("average_precision", "chance_precision", "f1", "hits", "n_true", "reason")
    kept = {name: value for name, value in found.summary().items() if name in names}
    return {**kept, "auc": None if found.auc is None else found.auc.estimate}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", nargs="*", default=[])
    parser.add_argument("--methods", nargs="*", default=[])
    args = parser.parse_args()
    torch.set_num_threads(1)
    begin, found = time.perf_counter(), []
    with progress_bars():
        for name in args.models or KNOWN_MODELS:
            found.append(measure(known_model(name, n_pairs=PAIRS), args.methods))
            print(f"{name}: done", flush=True)
    record = {
        "benchmark": "known_circuits",
        "date": now(),
        "machine": machine(),
        "versions": versions(),
        "settings": {"pairs": PAIRS, "threads": 1},
        "seconds": time.perf_counter() - begin,
        "models": found,
    }
    write_text(args.out, json.dumps(jsonable(record), indent=1) + "\n")


if __name__ == "__main__":
    main()
