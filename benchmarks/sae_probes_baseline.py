"""The sae-probes benchmark's test AUC on one layer of a model, by its own protocol.

    python benchmarks/sae_probes_baseline.py --out benchmarks/records/sae_probes_baseline.json

For each of the benchmark's two-class data sets: its logistic regression on the residual stream, and
its k-sparse probes over the neurons of the layer, at the last token of the prompt. By default fewer
rows and tokens are read than the benchmark reads, so that all 113 sets are done in minutes on two
cores; `--full` reads all, as the published figures do. Only then may figures be compared with
published ones, and the record says which it is.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from needlepoint._core.files import write_text
from needlepoint._core.provenance import cores, machine, now, versions
from needlepoint._core.records import jsonable
from needlepoint.evaluation.sae_probes_baseline import ProbeAuc, sae_probes_baseline
from needlepoint.features.sae_probes_protocol import MOST_TOKENS, SEED, SPARSE_KS, Regime, normal
from needlepoint.features.sae_probes_tags import TAGS
from needlepoint.features.sae_probes_wheel import PACKAGE, read_sets
from needlepoint.models.load import load_model


def regime(options: argparse.Namespace) -> Callable[[np.ndarray], Regime]:
    """The normal regime, with fewer rows unless all were asked for."""
    if options.full:
        return normal
    return lambda labels: normal(labels).capped(options.train, options.test)


def summary(sets: dict[str, list[ProbeAuc]]) -> list[dict[str, Any]]:
    """For each probe the mean and the median test AUC over the sets."""
    found = []
    for probes in zip(*sets.values(), strict=True):
        aucs = [probe.test_auc for probe in probes]
        found.append(
            {
                "site": probes[0].site,
                "k": probes[0].k,
                "mean_test_auc": float(np.mean(aucs)),
                "median_test_auc": float(np.median(aucs)),
                "sets": len(aucs),
                "not_converged": sum(not probe.converged for probe in probes),
            }
        )
    return found


def show(record: dict[str, Any]) -> None:
    for probe in record["summary"]:
        reads = "all columns" if probe["k"] is None else f"{probe['k']} columns"
        print(
            f"{probe['site']:16} {reads:12} test AUC {probe['mean_test_auc']:.3f} on average, "
            f"median {probe['median_test_auc']:.3f}, over {probe['sets']} sets"
        )
    print(f"{record['seconds']:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--layer", type=int, help="the middle one unless given")
    parser.add_argument("--sets", type=int, default=len(TAGS), help="the first so many")
    parser.add_argument("--ks", type=int, nargs="*", default=[1, 16, 128])
    parser.add_argument("--train", type=int, default=128)
    parser.add_argument("--test", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--full", action="store_true", help="the benchmark's own rows and tokens")
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.full:
        options.train, options.test = None, None
        options.tokens, options.ks = MOST_TOKENS, list(SPARSE_KS)
    model = load_model(options.model, device=options.device)
    layer = model.shape.n_layers // 2 if options.layer is None else options.layer
    tables = read_sets(TAGS[: options.sets])
    begin = time.perf_counter()
    sets = {}
    for tag, table in tables.items():
        sets[tag] = sae_probes_baseline(
            model,
            table,
            layer=layer,
            regime=regime(options),
            ks=options.ks,
            seed=options.seed,
            n_tokens=options.tokens,
        )
        print(f"{tag}: {sets[tag][0].test_auc:.3f}", flush=True)
    record = {
        "benchmark": "sae_probes_baseline",
        "date": now(),
        "machine": machine(),
        "versions": versions(),
        "data": PACKAGE.requirement,
        "protocol": "the benchmark's own" if options.full else "fewer rows and tokens",
        "settings": {key: value for key, value in vars(options).items() if key != "out"},
        "layer": layer,
        "seconds": time.perf_counter() - begin,
        "summary": summary(sets),
        "sets": {
            tag: [
                {key: value for key, value in asdict(probe).items() if key != "columns"}
                for probe in probes
            ]
            for tag, probes in sets.items()
        },
    }
    write_text(options.out, json.dumps(jsonable(record), indent=1) + "\n")
    show(record)


if __name__ == "__main__":
    main()
