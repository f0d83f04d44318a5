"""How much the discrete autoencoder's score depends on its settings, judged by cause.

One record for each task in benchmarks/records/sae_sensitivity.TASK.json, and from all of them
docs/sae_sensitivity.md with its figures:

    python benchmarks/head_readings.py --tasks ioi
    python benchmarks/sae_sensitivity.py --tasks ioi
    python benchmarks/sae_sensitivity.py --page

One setting is changed at a time from those of the paper, with `--seeds` seeds of the autoencoder.
What was measured before, under the same settings, is not measured again: a run that was stopped
goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from head_readings import (
    DRAWN,
    POSITIONS,
    READ_PAIRS,
    RECORDS,
    effect_pairs,
    read_effects,
    read_task,
)
from needlepoint._core.files import write_text
from needlepoint._core.progress import progress_bars
from needlepoint._core.provenance import machine, now, versions
from needlepoint._core.seeds import seed_for
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.code_pairs import edge_counts, pairs_unique_to_clean
from needlepoint.circuits.code_use import code_use
from needlepoint.circuits.codes import codes_unique_to_clean, distinct_codes, share_unique_to_clean
from needlepoint.circuits.dictionary import Reading
from needlepoint.circuits.head_data import HeadData
from needlepoint.circuits.scores import HEAD_SCORES, reading_of
from needlepoint.evaluation.metrics import average_precision, roc_auc
from needlepoint.evaluation.truth import causal_truth
from needlepoint.models.load import load_model
from needlepoint.models.model import Model
from sae_sensitivity_page import write_page

PAPER: Mapping[str, Any] = {
    "training examples": 10,
    "counting pairs": READ_PAIRS,
    "codes": 200,
    "penalty": 0.02,
    "positions": POSITIONS[0],
}
"""The settings of the paper's main results; those of IOI and greater-than for the penalty."""
GRID: Mapping[str, tuple[Any, ...]] = {
    "counting pairs": (5, 10, 25, 50, 100, 250),
    "positions": POSITIONS,
    "penalty": (0.005, 0.01, 0.02, 0.05, 0.1),
    "codes": (50, 100, 200, 400),
    "training examples": (5, 10, 25, 50, 100, 250),
}
SEEDS, PAPER_SEEDS = 3, 5
CONTROLS = (
    "mean_difference",
    "effect_size",
    "linear_probe",
    "output_norm",
    "untrained_codes",
    "kmeans_codes",
    "layer_index",
)
TIE_ORDERS = 50


@dataclass
class Task:
    """What a task is judged on, and what was measured so far."""

    name: str
    data: dict[str, HeadData]
    matters: Tensor
    path: Path
    record: dict[str, Any] = field(default_factory=dict)

    def judged(self, scores: Tensor) -> dict[str, float]:
        """How well a score finds the heads that matter."""
        return {
            "auc": round(roc_auc(scores, self.matters), 4),
            "average_precision": round(average_precision(scores, self.matters), 4),
        }

    def keep(self, kind: str, row: dict[str, Any]) -> None:
        """Add a row and write the record."""
        self.record[kind].append(row)
        self.record["date"] = now()
        write_text(self.path, json.dumps(self.record, indent=1) + "\n")

    def has(self, kind: str, wanted: Mapping[str, Any]) -> bool:
        """Whether a row with these values is there."""
        return any(wanted.items() <= row.items() for row in self.record[kind])


def open_task(model: Model, name: str) -> Task:
    """The data and the truth of a task, and the record as far as it goes."""
    found = read_effects(name)
    rng = torch.Generator().manual_seed(seed_for(0, task=name, use="truth"))
    truth = causal_truth(found.effects, value_range=found.value_range, generator=rng)
    card = model.card()
    asked = {
        "model": {key: card[key] for key in ("name", "dtype", "first_token", "sha256")},
        "task": name,
        "paper": dict(PAPER),
        "steps": Autoencoder().n_steps,
        "pairs": {"drawn": DRAWN, "read": READ_PAIRS, "effects": effect_pairs(name)},
        "truth": {"heads": int(truth.matters.sum()), "of": len(truth.matters)},
        "value_range": round(found.value_range, 4),
    }
    path = RECORDS / f"sae_sensitivity.{name}.json"
    old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    fresh = {"benchmark": "sae_sensitivity", "date": now(), "machine": machine()}
    fresh |= {"versions": versions(), "asked": asked, "cells": [], "pairs": [], "controls": []}
    record = old if old.get("asked") == asked else fresh
    return Task(name, read_task(model, name), truth.matters, path, record)


def cells(seeds: int = SEEDS) -> Iterator[dict[str, Any]]:
    """Settings to measure, all with one seed before any with the next, cheap ones first."""
    yield from ({**PAPER, "seed": seed} for seed in range(PAPER_SEEDS))
    for seed in range(seeds):
        for axis, values in GRID.items():
            yield from ({**PAPER, axis: value, "seed": seed} for value in values)


def measure_cell(task: Task, cell: dict[str, Any]) -> dict[str, Any]:
    """Train under the settings of a cell, count on its pairs, and judge."""
    data = task.data[cell["positions"]]
    config = Autoencoder(
        n_codes=cell["codes"],
        sparsity=cell["penalty"],
        n_train_examples=cell["training examples"],
    )
    begin = time.perf_counter()
    reading = reading_of(data, config, generator(task.name, cell["seed"]))
    seconds = time.perf_counter() - begin
    reading, is_clean = first_pairs(reading, cell["counting pairs"], data.n_pairs)
    counts = codes_unique_to_clean(reading.codes[0], is_clean, n_codes=config.n_codes)
    told = reading.told_apart()[0]
    apart = codes_unique_to_clean(told, is_clean, n_codes=config.n_codes + 1)
    share = share_unique_to_clean(reading.codes[0], is_clean, n_codes=config.n_codes)
    distinct = distinct_codes(told, n_codes=config.n_codes + 1)
    use = code_use(reading)
    return {
        **cell,
        **task.judged(counts),
        "silence apart": task.judged(apart),
        "normalised": task.judged(share),
        "distinct codes": task.judged(distinct),
        "correlation with distinct codes": round(correlation(counts, distinct), 4),
        "codes per head": round(float(use.codes_per_head.mean()), 2),
        "dead codes": round(float(use.dead_codes), 4),
        "dead heads": round(float(use.dead_heads), 4),
        "silent": round(float(use.silent.mean()), 4),
        "seconds": round(seconds, 1),
    }


def first_pairs(reading: Reading, n: int, n_pairs: int) -> tuple[Reading, Tensor]:
    """The reading of the first pairs only, and which of its examples are clean."""
    keep = torch.cat([torch.arange(n), n_pairs + torch.arange(n)])
    part = reading._replace(codes=reading.codes[:, keep], silent=reading.silent[:, keep])
    return part, torch.arange(2 * n) < n


def correlation(one: Tensor, two: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([one.double(), two.double()]))[0, 1])


def measure_pairs(task: Task, seed: int, *, normalised: bool) -> dict[str, Any]:
    """The paper's edge score under its settings, with its range over the orders of ties."""
    data = task.data[PAPER["positions"]]
    reading = reading_of(data, Autoencoder(), generator(task.name, seed))
    n_codes = Autoencoder().n_codes
    pairs = pairs_unique_to_clean(reading.codes[0], data.is_clean, n_codes=n_codes)
    values = pairs.normalised if normalised else pairs.unique
    rng = generator(task.name, seed)
    random = [
        roc_auc(edge_counts(values, favour=torch.rand(data.n_heads, generator=rng)), task.matters)
        for _ in range(TIE_ORDERS)
    ]
    wanted = task.matters.double()
    for_truth, against = (
        roc_auc(edge_counts(values, favour=sign * wanted), task.matters) for sign in (1, -1)
    )
    return {
        "seed": seed,
        "normalised": normalised,
        **task.judged(edge_counts(values)),
        "random orders": [round(value, 4) for value in (min(random), max(random))],
        "for and against the truth": [round(for_truth, 4), round(against, 4)],
    }


def measure_control(task: Task, name: str, cell: Mapping[str, Any]) -> dict[str, Any]:
    """Another score on the same pairs and positions."""
    data = task.data[cell["positions"]].take_pairs(torch.arange(cell["counting pairs"]))
    part = HEAD_SCORES[name]
    scores = part.score(data, part.generator(0, task=task.name))
    return {"score": name, **cell, **task.judged(scores)}


def generator(task: str, seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed_for(seed, task=task, use="sensitivity"))


def measure(task: Task, seeds: int) -> None:
    """Everything that is not in the record yet."""
    measure_controls(task)
    for seed in range(SEEDS):
        for normalised in (False, True):
            if not task.has("pairs", {"seed": seed, "normalised": normalised}):
                task.keep("pairs", measure_pairs(task, seed, normalised=normalised))
    for cell in cells(seeds):
        if not task.has("cells", cell):
            task.keep("cells", measure_cell(task, cell))
            print(task.name, {k: v for k, v in cell.items() if PAPER.get(k) != v}, flush=True)


def measure_controls(task: Task) -> None:
    """All controls under the settings of the paper, and one of them elsewhere."""
    paper = PAPER["counting pairs"], PAPER["positions"]
    others = [(paper[0], name) for name in POSITIONS]
    others += [(n, paper[1]) for n in GRID["counting pairs"]]
    for where in dict.fromkeys(others):
        cell = dict(zip(("counting pairs", "positions"), where, strict=True))
        for name in CONTROLS if where == paper else CONTROLS[:1]:
            if not task.has("controls", {"score": name, **cell}):
                task.keep("controls", measure_control(task, name, cell))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=[])
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--page", action="store_true", help="write the page and its figures")
    args = parser.parse_args()
    if args.tasks:
        model = load_model("smollm2")
        with progress_bars():
            for name in args.tasks:
                measure(open_task(model, name), args.seeds)
    if args.page:
        found = sorted(RECORDS.glob("sae_sensitivity.*.json"))
        write_page([json.loads(path.read_text(encoding="utf-8")) for path in found])


if __name__ == "__main__":
    main()
