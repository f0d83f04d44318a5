"""All features of the built-in collections in all layers of SmolLM2: the study of neurons at size.

One record for each collection in benchmarks/records/neuron_study.NAME.json, docs/neurons.md with
its figures from all of them:

    python benchmarks/neuron_study.py --only part_of_speech
    python benchmarks/neuron_study.py --page

Each is `needlepoint probe` on as many rows as docs/features.md says were read, without excerpts
and, unless asked for, without ablation. A record that answers the same question is used again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from compact_record import write_compact
from needlepoint._core.errors import NeedlepointError
from needlepoint._core.progress import progress_bars
from needlepoint._core.provenance import cores, machine, now, versions
from needlepoint._core.records import jsonable
from needlepoint.evaluation.configs import NeuronsConfig
from needlepoint.evaluation.find_neurons import ask_collection, judge_neurons
from needlepoint.evaluation.study import Clock, Study
from needlepoint.features import COLLECTIONS
from needlepoint.models.load import load_model
from needlepoint.models.model import Model
from neuron_study_page import write_page

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "benchmarks" / "records"
KEPT = {
    "tests": ("feature", "probe", "layer", "k", "f1", "f1_low", "f1_high", "auc", "mcc"),
    "certificates": (
        "feature", "layer", "k", "ridge", "gamma", "gap", "status", "seconds", "overlap", "chosen",
        "f1_validation", "auc_validation", "f1", "f1_low", "f1_high", "mcc", "auc", "sweep_f1",
        "difference", "difference_low", "difference_high", "reason",
    ),
}  # fmt: skip
"""Columns of the tables that the record holds."""
CERTIFIED = 8
"""Largest k that is certified, at the chosen layer of each feature."""


def measure(model: Model, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The record of one collection, the old one if it answers the same question."""
    path = RECORDS / f"neuron_study.{name}.json"
    config = _config(name, options)
    clock, begin = Clock(), time.perf_counter()
    collection = ask_collection(config, model.encoder)
    asked = {"sha256": collection.sha256, "model": model.card()["sha256"], **asdict(config)}
    old: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if old.get("asked") == jsonable(asked):
        return old
    study = judge_neurons(model, collection, config, clock)
    record = {
        "benchmark": "neuron_study",
        "asked": asked,
        "name": name,
        "model": model.name,
        "n_layers": model.shape.n_layers,
        "d_mlp": model.shape.d_mlp,
        "seconds": {**clock.seconds, "in all": time.perf_counter() - begin},
        "threads": torch.get_num_threads(),
        "date": now(),
        "machine": machine(),
        "versions": versions(),
        **_results(study),
    }
    return write_compact(path, record)


def _config(name: str, options: argparse.Namespace) -> NeuronsConfig:
    """The question; rows as in the table of features."""
    table = json.loads((RECORDS / f"features.{name}.json").read_text(encoding="utf-8"))
    return NeuronsConfig(
        features=name,
        examples=options.examples or table["asked"]["examples"],
        permutations=options.permutations,
        sparse_null=options.sparse_null,
        certify=CERTIFIED,
        ablate_features=options.ablate_features,
        ablate_texts=0 if options.ablate_features == 0 else 8,
        cards=0,
        seed=options.seed,
    )


def _results(study: Study) -> dict[str, Any]:
    """What is kept of a study: its summary, and the tables that the page is drawn from."""
    tables, summary = study.tables, study.record.summary
    kept = {name: tables[name][list(names)].to_dict("records") for name, names in KEPT.items()}
    return {
        "collection": summary["collection"],
        "features": summary["features"],
        "shuffled": summary["shuffled"],
        "curve": _best_by_k(tables["curve"]),
        "depth": _by_layer(tables["depth"]),
        **kept,
    }


def _best_by_k(curve: pd.DataFrame) -> list[dict[str, Any]]:
    """For each feature and k the layer with the best validation F1."""
    best = curve.groupby(["feature", "k"], sort=False)["f1_validation"].idxmax()
    return curve.loc[best, ["feature", "k", "layer", "f1_validation"]].to_dict("records")


def _by_layer(depth: pd.DataFrame) -> dict[str, list[float]]:
    """Validation F1 of the best neuron of each layer, for each feature."""
    return {
        str(feature): rows.sort_values("layer")["f1_validation"].round(4).tolist()
        for feature, rows in depth.groupby("feature", sort=False)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[], help="collections to study")
    parser.add_argument("--page", action="store_true", help="only make the page, from the records")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--examples", type=int, help="positive rows; as in docs/features.md")
    parser.add_argument("--permutations", type=int, default=200)
    parser.add_argument(
        "--sparse-null", type=int, default=19, help="searches for sparse probes on moved labels"
    )
    parser.add_argument("--ablate-features", type=int, default=0, help="none unless given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=cores())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in options.only:
        COLLECTIONS[name]  # refuses a wrong name before anything is loaded
    if not options.page:
        model = load_model(options.model, dtype="float32")
        with progress_bars():
            for name in options.only or list(COLLECTIONS):
                try:
                    record = measure(model, name, options)
                except NeedlepointError as error:
                    print(f"{name}: left out: {error}")
                    continue
                print(f"{name}: {_line(record['features'])}", flush=True)
    write_page(kept_records())


def _line(features: Sequence[Mapping[str, Any]]) -> str:
    verdicts = pd.Series([one["verdict"] for one in features]).value_counts()
    return ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())


def kept_records() -> list[dict[str, Any]]:
    """The records that are there, in the order of the registry."""
    paths = (RECORDS / f"neuron_study.{name}.json" for name in COLLECTIONS)
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]


if __name__ == "__main__":
    main()
