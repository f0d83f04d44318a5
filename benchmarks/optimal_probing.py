"""Optimal sparse probes on real layers: how far the gap closes, how fast, and what heuristics miss.

    python benchmarks/optimal_probing.py --out benchmarks/records/optimal_probing.json

Ten pairs of a feature and a layer of SmolLM2, chosen by a rule and not by outcome: of the first
ten collections in alphabetical order, number i (from 0) gives its first feature on layer 3 i + 1.
Texts, rows and split are those of the table of features, so that their activations are in the
store if that table was made here; training rows only. On each pair:

1. `optimal_path` for k = 1..8 at the paper's gamma, 1/sqrt(n), logistic loss, over all neurons.
2. The same objective for the supports of two heuristics, refitted: the k largest standardised mean
   differences, and adaptive thresholding. Their excess over the bound is how far they may be from
   the optimum; over the objective, how far they are at least.
3. On some pairs (`--weak`): weaker ridges, with a shorter limit for each k.
4. The hinge at the paper's gamma, on the same pairs.

A limit of seconds is for each k. Seconds are by the clock, processor seconds beside them.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from needlepoint._core.files import write_text
from needlepoint._core.provenance import cores, machine, now, versions
from needlepoint._core.records import jsonable
from needlepoint._core.seeds import seed_for
from needlepoint.evaluation.read_neurons import read_neurons
from needlepoint.features import COLLECTIONS
from needlepoint.models.load import load_model
from needlepoint.models.model import Model
from needlepoint.probing.optimal.certificate import OptimalProbe
from needlepoint.probing.optimal.objective import Objective
from needlepoint.probing.optimal.refit import fit_supports
from needlepoint.probing.optimal.solve import optimal_path
from needlepoint.probing.rankings import leading, mean_difference_std
from needlepoint.probing.sweep import adaptive_thresholding

RECORDS = Path(__file__).parent / "records"
N_PAIRS = 10
KS = tuple(range(1, 9))
WEAK = {"10/n": lambda n: 10 / n, "0.3": lambda n: 0.3, "1": lambda n: 1.0, "10": lambda n: 10.0}
WEAK_KS = (1, 2, 3, 5, 8)


@dataclass(frozen=True)
class Pair:
    """A feature, a layer, and the training rows."""

    collection: str
    feature: str
    layer: int
    acts: Tensor
    label: Tensor

    @property
    def about(self) -> dict[str, Any]:
        """What the record says of it."""
        return {
            "collection": self.collection,
            "feature": self.feature,
            "layer": self.layer,
            "examples": len(self.label),
            "positives": int(self.label.sum()),
            "neurons": self.acts.shape[1],
        }


def pairs(model: Model) -> list[Pair]:
    found = []
    for number, name in enumerate(sorted(COLLECTIONS)[:N_PAIRS]):
        record = json.loads((RECORDS / f"features.{name}.json").read_text(encoding="utf-8"))
        asked = record["asked"]
        collection = COLLECTIONS[name](
            model.encoder, n_per_feature=asked["examples"], seed=asked["seed"]
        )
        seed = seed_for(asked["seed"], features=name, use="split")
        data = read_neurons(model, collection, seed=seed)
        layer, rows = 3 * number + 1, data.of(0).train
        acts, label = data.layer(layer)[rows], data.labels[rows, 0]
        found.append(Pair(name, collection.features[0], layer, acts, label))
    return found


def row(found: OptimalProbe) -> dict[str, Any]:
    return {
        "k": found.k,
        "objective": found.objective,
        "bound": found.bound,
        "gap": found.gap,
        "status": found.status,
        "seconds": found.seconds,
        "nodes": found.nodes,
        "candidates": found.n_candidates,
        "support": found.probe.support,
    }


def solved(
    pair: Pair, *, ks: tuple[int, ...], gamma: float | None, loss: str, limit: float
) -> dict[str, Any]:
    begin = time.process_time()
    path = optimal_path(pair.acts, pair.label, ks=ks, gamma=gamma, loss=loss, time_limit=limit)
    return {
        **pair.about,
        "gamma": path[0].gamma,
        "loss": loss,
        "processor_seconds": time.process_time() - begin,
        "path": [row(found) for found in path],
    }


def heuristics(pair: Pair, path: list[dict[str, Any]], gamma: float) -> None:
    """Put the excess of two heuristics over the best support beside each row of a path."""
    objective = Objective.of(pair.acts, pair.label, gamma=gamma, loss="logistic", balanced=True)
    labels = pair.label[:, None]
    order = leading(mean_difference_std(pair.acts, labels), max(KS))[0]
    # The same ridge: beta on unit spread is a tenth of beta on spread 0.1, and the loss is a mean.
    shrunk = adaptive_thresholding(
        pair.acts, labels, l2=100 / (gamma * len(labels)), ks=KS, start=256
    )
    for entry in path:
        k = entry["k"]
        supports = torch.stack([order[:k].sort().values, shrunk.probe(0, k).support])
        costs = fit_supports(objective, supports.numpy()).objective
        best = entry["objective"]
        entry["excess_mean_difference"] = costs[0] / best - 1
        entry["excess_adaptive_thresholding"] = costs[1] / best - 1


def show(title: str, results: list[dict[str, Any]]) -> None:
    print(f"\n{title}")
    print("collection           layer   k  objective/n      gap  status      seconds  nodes  left")
    for result in results:
        for entry in result["path"]:
            print(
                f"{result['collection']:<20} {result['layer']:>5} {entry['k']:>3} "
                f"{entry['objective'] / result['examples']:>12.6f} {entry['gap']:>8.1e}  "
                f"{entry['status']:<10} {entry['seconds']:>8.2f} {entry['nodes']:>6} "
                f"{entry['candidates']:>5}"
            )


def summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Pairs whose gap closed at every k, and where heuristics fell short."""
    closed = [all(e["status"] == "exact" for e in result["path"]) for result in results]
    entries = [entry for result in results for entry in result["path"]]
    found: dict[str, Any] = {
        "pairs": len(results),
        "pairs_closed_at_every_k": sum(closed),
        "cells": len(entries),
        "cells_exact": sum(entry["status"] == "exact" for entry in entries),
        "longest_seconds": max(entry["seconds"] for entry in entries),
        "largest_gap": max(entry["gap"] for entry in entries),
    }
    for name in ("excess_mean_difference", "excess_adaptive_thresholding"):
        excess = np.array([entry[name] for entry in entries if name in entry])
        if len(excess):
            found[name] = {
                "median": np.median(excess),
                "largest": excess.max(),
                "share_above_1e-6": np.mean(excess > 1e-6),
            }
    return found


def weak_ridge(chosen: list[Pair], limit: float) -> list[dict[str, Any]]:
    results = []
    for pair in chosen:
        for name, rule in WEAK.items():
            gamma = rule(len(pair.label))
            result = solved(pair, ks=WEAK_KS, gamma=gamma, loss="logistic", limit=limit)
            heuristics(pair, result["path"], gamma)
            results.append({**result, "gamma_rule": name})
            show(f"gamma = {name}", results[-1:])
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for each k")
    parser.add_argument("--weak", type=int, default=3, help="pairs to solve at weaker ridges too")
    parser.add_argument("--weak-limit", type=float, default=20.0)
    parser.add_argument("--threads", type=int, default=cores())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    every = pairs(load_model("smollm2"))
    paper = []
    for pair in every:
        result = solved(pair, ks=KS, gamma=None, loss="logistic", limit=options.limit)
        heuristics(pair, result["path"], result["gamma"])
        paper.append(result)
    show("logistic, gamma = 1/sqrt(n)", paper)
    hinge = [solved(pair, ks=KS, gamma=None, loss="hinge", limit=options.limit) for pair in every]
    show("hinge, gamma = 1/sqrt(n)", hinge)
    chosen = every[:: -(-N_PAIRS // options.weak)] if options.weak else []
    weak = weak_ridge(chosen, options.weak_limit)
    record = {
        "benchmark": "optimal_probing",
        "date": now(),
        "machine": machine(),
        "versions": versions(),
        "settings": {key: value for key, value in vars(options).items() if key != "out"},
        "summary": {
            "logistic": summary(paper),
            "hinge": summary(hinge),
            "weak_ridge": summary(weak) if weak else None,
        },
        "logistic": paper,
        "hinge": hinge,
        "weak_ridge": weak,
    }
    write_text(options.out, json.dumps(jsonable(record), indent=1) + "\n")
    print(json.dumps(jsonable(record["summary"]), indent=1))


if __name__ == "__main__":
    main()
