"""All methods on models whose circuit is known exactly: planted by hand, or compiled by Tracr.

    python benchmarks/known_circuits.py --out benchmarks/records/known_circuits.json

The truth is the edges that resampling can see on the prompts, one at a time, out of those that
the weights have room for. Methods for edges are judged as edges, those and methods for nodes by
all nodes that such edges leave from, and every method by the heads among them. What the record
has of other models and methods than those that are run stays in it.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
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
from needlepoint.evaluation.circuits.ranking import judge_edges, judge_ranking
from needlepoint.evaluation.read_pairs import read_pairs
from one_by_one import one_by_one

PAIRS = 16
WARM_UP = "tracr hist"
"""A small model, run before the others and again with them: what is compiled and loaded once is
then in no figure."""


def measure(known: KnownModel, names: list[str]) -> dict[str, Any]:
    """What each method finds of one circuit."""
    question = Question(known.model, known.pairs)
    seen = known.seen
    reading = read_pairs(known.model, known.prompts, Autoencoder(n_seeds=3))
    scores = [name for name in HEAD_SCORES if not names or name in names]
    usual = [name for name in CIRCUIT_METHODS if not CIRCUIT_METHODS[name].on_request]
    methods = [name for name in CIRCUIT_METHODS if name in (names or usual)]
    ran = one_by_one(
        lambda name: run_scores(known.model, reading.data, [name], seed=0, task=known.name), scores
    ).merged(one_by_one(lambda name: run_methods(question, [name]), methods))
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
    return [
        {
            "method": run.name,
            "label": run.label,
            "level": run.level,
            "control": run.control,
            "cost": asdict(run.cost),
            "heads": judge_ranking(run.strength, known.heads(seen.any(1))).summary(),
            "nodes": _nodes(seen, run),
            "edges": _edges(known, seen, run),
        }
        for run in ran.runs.values()
    ]


def _nodes(seen: Tensor, run: MethodRun) -> dict[str, Any] | None:
    if run.found is None:
        return None
    return judge_ranking(run.found.node_strength, seen.any(1)).summary()


def _edges(known: KnownModel, seen: Tensor, run: MethodRun) -> dict[str, Any] | None:
    if run.found is None or run.found.edges is None:
        return None
    return judge_edges(run.found.edge_strength, seen, known.graph).summary()


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """A record with the models of both, in the order of the registry."""
    found = {one["model"]: one for one in old.get("models", [])}
    found |= {one["model"]: _joined(found.get(one["model"], {}), one) for one in new["models"]}
    return {**new, "models": [found[name] for name in KNOWN_MODELS if name in found]}


def _joined(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """One model with the rows of both; a method that is in both is as in the new one."""
    rows = {row["method"]: row for row in [*old.get("methods", []), *new["methods"]]}
    skipped = {**old.get("skipped", {}), **new["skipped"]}
    kept = {name: why for name, why in skipped.items() if name not in rows}
    return {**new, "skipped": kept, "methods": list(rows.values())}


def keep(found: dict[str, Any], path: Path) -> None:
    """Add one model to the record; others that it has stay."""
    record = {
        "benchmark": "known_circuits",
        "date": now(),
        "machine": machine(),
        "versions": versions(),
        "settings": {"pairs": PAIRS, "threads": 1, "warm_up": WARM_UP},
        "models": [found],
    }
    old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    write_text(path, json.dumps(jsonable(merged(old, record)), indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", nargs="*", default=[])
    parser.add_argument("--methods", nargs="*", default=[])
    args = parser.parse_args()
    torch.set_num_threads(1)
    with progress_bars():
        measure(known_model(WARM_UP, n_pairs=PAIRS), args.methods)
        for name in args.models or KNOWN_MODELS:
            keep(measure(known_model(name, n_pairs=PAIRS), args.methods), args.out)
            print(f"{name}: done", flush=True)


if __name__ == "__main__":
    main()
