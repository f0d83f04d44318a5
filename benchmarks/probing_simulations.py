"""Whether the statistics of sparse probing keep their word, on data whose truth is known.

    python benchmarks/probing_simulations.py --out benchmarks/records/probing_simulations.json

1. Family-wise error of the max-statistic test on labels that mean nothing, rows of one document
   being alike: labels permuted as they should be, and row by row as they should not. One plan
   breaks what `shift` takes for granted: labels and activations both go by the place in the
   document. The same for probes of several neurons, selected again under each permutation.
2. False discovery rate of Benjamini-Hochberg over features, on p-values of that test.
3. Coverage of 95 % intervals of F1 that resample documents whole, and of such that resample rows.
4. Recovery of planted neurons: the share of the true support among the k first of each ranking and
   in the support of each selector, by strength of the shift and number of examples.
5. More noise neurons: the largest difference grows, its p-value does not.
6. A split by row on data with document effects, against a split by document; and the best neuron's
   score where it was chosen, against examples that had no say.

Rates stand beside 95 % Clopper-Pearson intervals, means beside 1.96 standard errors.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest, norm
from torch import Tensor

from needlepoint._core.files import write_text
from needlepoint._core.provenance import machine, now, versions
from needlepoint._core.records import jsonable
from needlepoint._core.seeds import seed_for
from needlepoint.evaluation.false_discovery import q_values
from needlepoint.evaluation.held_out import f1_interval
from needlepoint.probing.null import max_null
from needlepoint.probing.path_null import path_null
from needlepoint.probing.ranking_methods import RANKINGS, rank
from needlepoint.probing.scores import roc_auc
from needlepoint.probing.selectors import SELECTORS
from needlepoint.probing.sweep import DEFAULT_KS, adaptive_thresholding
from simulated_data import Data, by_place, planted, running_text, whole_documents

ALPHA = 0.05
PERMUTATIONS = 99
LARGEST = 4_000_000
"""Settings of planted data with more activations than this are drawn again."""
SIGNALS = (0.0, 1.0, 2.0, 4.0, 8.0, math.inf)


def source(root: int, **parts: str | int) -> torch.Generator:
    return torch.Generator().manual_seed(seed_for(root, **parts))


def rate(found: Sequence[bool]) -> dict[str, float]:
    """Count, share and exact 95 % interval."""
    count = int(sum(found))
    interval = binomtest(count, len(found)).proportion_ci(0.95, method="exact")
    return {
        "count": count,
        "trials": len(found),
        "rate": count / len(found),
        "low": float(interval.low),
        "high": float(interval.high),
    }


def average(values: Sequence[float]) -> dict[str, float]:
    """Mean and 1.96 standard errors on either side."""
    found = np.asarray(values, dtype=float)
    error = 1.96 * found.std(ddof=1) / math.sqrt(len(found))
    centre = float(found.mean())
    return {
        "trials": len(found),
        "mean": centre,
        "low": centre - float(error),
        "high": centre + float(error),
    }


def family_wise_error(trials: int, root: int) -> dict[str, Any]:
    """How often some neuron is called, at 5 %, where none should be."""
    plans: list[tuple[str, Callable[[torch.Generator], Data], str]] = [
        ("labels of documents", whole_documents, "documents"),
        ("labels of documents", whole_documents, "rows"),
        ("labels within documents", running_text, "shift"),
        ("labels within documents", running_text, "rows"),
        ("labels and activations by place", by_place, "shift"),
    ]
    found: dict[str, Any] = {}
    for labels_are, make, scheme in plans:
        for statistic in ("mean_difference_std", "auc"):
            called = []
            for trial in range(trials):
                acts, labels, groups = make(source(root, use=labels_are, trial=trial))
                null = max_null(
                    acts,
                    labels,
                    groups=groups,
                    n_permutations=PERMUTATIONS,
                    generator=source(root, use="permutations", trial=trial),
                    scheme=scheme,
                    statistic=statistic,
                )
                called.append(bool(null.p_value.min() <= ALPHA))
            found[f"{labels_are} | {scheme} | {statistic}"] = rate(called)
    return found


def refitted(trials: int, root: int) -> dict[str, Any]:
    """How often a probe is called, at 5 %, when its neurons were selected for labels of nothing."""
    ks = (1, 2, 4, 8)
    found: dict[str, Any] = {}
    for scheme in ("documents", "rows"):
        at_each: list[list[bool]] = [[] for _ in ks]
        at_any, aucs = [], []
        for trial in range(trials):
            acts, labels, groups = whole_documents(source(root, use="refitted", trial=trial))
            null = path_null(
                acts,
                labels,
                groups=groups,
                n_permutations=19,
                generator=source(root, use="refits", trial=trial),
                ks=ks,
                scheme=scheme,
            )
            for called, p_value in zip(at_each, null.p_value[0], strict=True):
                called.append(bool(p_value <= ALPHA))
            at_any.append(bool(null.p_value_of_any.min() <= ALPHA))
            aucs.append(float(null.observed[0, -1]))
        rates = {f"k = {k}": rate(called) for k, called in zip(ks, at_each, strict=True)}
        found[scheme] = {**rates, "k chosen along the curve": rate(at_any)}
        found["AUC of 8 neurons on their own examples"] = average(aucs)
    return found


def false_discoveries(trials: int, root: int, q: float = 0.1) -> dict[str, Any]:
    """Benjamini-Hochberg over thirty features, a third of which have a neuron."""
    n_features, n_real = 30, 10
    shares, power, uncorrected = [], [], []
    for trial in range(trials):
        generator = source(root, use="features", trial=trial)
        acts, _, groups = whole_documents(generator)
        positive = torch.rand(40, n_features, generator=generator).argsort(0) < 15
        labels = positive[groups]
        for feature in range(n_real):
            acts[:, feature] += 2.2 * labels[:, feature]
        null = max_null(acts, labels, groups=groups, n_permutations=999, generator=generator)
        p_values = null.p_value.amin(1).numpy()
        called = np.array(q_values(p_values.tolist())) <= q
        shares.append(called[n_real:].sum() / max(1, called.sum()))
        power.append(called[:n_real].mean())
        each = p_values <= ALPHA
        uncorrected.append(each[n_real:].sum() / max(1, each.sum()))
    return {
        "features": n_features,
        "with a neuron": n_real,
        "q": q,
        "expected at most": q * (n_features - n_real) / n_features,
        "false discovery rate": average(shares),
        "power": average(power),
        "false discovery rate, each at 0.05": average(uncorrected),
    }


def coverage(trials: int, root: int) -> dict[str, Any]:
    """How often a 95 % interval of F1 holds the F1 of the population of documents."""
    shift, cut, rows = 1.6, 0.8, 10
    spread = math.sqrt(2)  # level of the document and noise of the row, both of spread 1
    hit, wrong = norm.sf((cut - shift) / spread), norm.sf(cut / spread)
    truth = 2 * hit / (1 + hit + wrong)  # half of the documents are positive
    found: dict[str, Any] = {"true F1": float(truth), "rows of each document": rows}
    for n_documents in (20, 50, 200):
        covered: dict[str, list[bool]] = {"documents": [], "rows": []}
        for trial in range(trials):
            generator = source(root, use="coverage", documents=n_documents, trial=trial)
            groups = torch.arange(n_documents).repeat_interleave(rows)
            label = (torch.arange(n_documents) % 2 == 0)[groups]
            score = torch.randn(n_documents, generator=generator)[groups] + shift * label
            called = score + torch.randn(len(groups), generator=generator) > cut
            for unit, of in (("documents", groups), ("rows", torch.arange(len(groups)))):
                interval = f1_interval(called, label, of, generator)
                covered[unit].append(
                    interval is not None and interval.low <= truth <= interval.high
                )
        for unit, inside in covered.items():
            found[f"{n_documents} documents | resampled by {unit}"] = rate(inside)
    return found


Finder = Callable[[Tensor, Tensor, int], Tensor]


def finders(root: int) -> dict[str, Finder]:
    """Everything that names k neurons, by name; saga, which takes minutes, is left out."""
    found: dict[str, Finder] = {
        f"ranking {name}": lambda acts, labels, k, name=name: rank(
            name, acts, labels, seed=root
        ).order[0, :k]
        for name in RANKINGS
    }
    for name in SELECTORS:
        if name != "paper":
            found[f"selector {name}"] = lambda acts, labels, k, name=name: (
                (
                    SELECTORS[name].select(acts, labels, ks=_sizes(name, k), l2=0.01).probe(0, k)
                ).support
            )
    return found


def _sizes(selector: str, k: int) -> list[int]:
    """The sizes that a selector passes on its way to k."""
    above = [size for size in DEFAULT_KS if size > k]
    return [k, *above] if selector == "adaptive_thresholding" else [k]


def recovery(settings: int, root: int) -> dict[str, Any]:
    """Share of the true support found, over settings drawn as the paper drew its own."""
    drawn: list[dict[str, Any]] = []
    random = np.random.default_rng(seed_for(root, use="settings"))
    while len(drawn) < settings:
        setting = {
            "n": int(np.exp(random.uniform(np.log(500), np.log(30_000)))),
            "d": int(random.choice([400, 800, 1600, 3200, 6400])),
            "k": int(random.integers(2, 20)),
            "shift": float(np.exp(random.uniform(np.log(0.05), np.log(5)))),
            "share": float(random.uniform(0.01, 0.5)),
        }
        if setting["n"] * setting["d"] <= LARGEST:
            drawn.append(setting)
    every = finders(root)
    seconds = dict.fromkeys(every, 0.0)
    for number, setting in enumerate(drawn):
        acts, labels, true = planted(source(root, use="planted", setting=number), **setting)
        found = {}
        for name, find in every.items():
            begin = time.process_time()
            kept = find(acts, labels, setting["k"])
            seconds[name] += time.process_time() - begin
            found[name] = float(torch.isin(true, kept).double().mean())
        share = setting["share"]
        error = 1 / math.sqrt(setting["n"] * share * (1 - share))
        setting |= {"recovered": found, "shift in standard errors": setting["shift"] / error}
    return {
        "settings": drawn,
        "largest n times d": LARGEST,
        "processor seconds": seconds,
        "by shift": binned(drawn, "shift", (0.05, 0.2, 0.5, 1.0, 5.0)),
        "by n": binned(drawn, "n", (500, 1500, 4000, 30_000)),
        "by shift in standard errors": binned(drawn, "shift in standard errors", SIGNALS),
    }


def binned(drawn: list[dict[str, Any]], by: str, edges: Sequence[float]) -> dict[str, Any]:
    """Mean recovery of each method in each bin of one setting."""
    found: dict[str, Any] = {}
    for low, high in pairwise(edges):
        inside = [one["recovered"] for one in drawn if low <= one[by] < high]
        if len(inside) > 1:
            found[f"{low:g} to {high:g}"] = {
                name: average([one[name] for one in inside]) for name in inside[0]
            }
    return found


def more_noise(trials: int, root: int) -> dict[str, Any]:
    """The largest of ever more differences that mean nothing, and what its p-value makes of it."""
    found: dict[str, Any] = {}
    for d in (100, 200, 400, 800, 1600):
        largest, above, p_values = [], [], []
        for trial in range(trials):
            generator = source(root, use="noise", trial=trial)
            acts, labels, groups = whole_documents(generator, d=d)
            null = max_null(
                acts, labels, groups=groups, n_permutations=PERMUTATIONS, generator=generator
            )
            largest.append(float(null.observed.max()))
            above.append(largest[-1] - float(null.null.mean()))
            p_values.append(float(null.p_value.min()))
        found[str(d)] = {
            "largest difference": average(largest),
            "less the mean largest under permutation": average(above),
            "p-value": average(p_values),
            "p-value at most 0.05": rate([p <= ALPHA for p in p_values]),
        }
    return found


def leakage(trials: int, root: int) -> dict[str, Any]:
    """AUC on held-out rows of probes for labels that mean nothing, by how rows were held out."""
    scores: dict[str, list[float]] = {"split by row": [], "split by document": []}
    chosen: dict[str, list[float]] = {"where it was chosen": [], "on other documents": []}
    for trial in range(trials):
        generator = source(root, use="leakage", trial=trial)
        acts, labels, groups = whole_documents(generator, n_documents=60)
        for split, unit in (
            ("split by row", torch.arange(len(groups))),
            ("split by document", groups),
        ):
            train, test = halves(unit, labels[:, 0], generator)
            path = adaptive_thresholding(acts[train], labels[train], ks=(16,), l2=0.01)
            odds = path.log_odds(acts[test])[:, :, 0]
            scores[split].append(float(roc_auc(odds, labels[test])))
        train, test = halves(groups, labels[:, 0], generator)
        auc = [
            roc_auc(acts[part], labels[part].expand(-1, acts.shape[1])) for part in (train, test)
        ]
        best = int((auc[0] - 0.5).abs().argmax())
        side = 1 if auc[0][best] > 0.5 else -1
        for name, part in zip(chosen, auc, strict=True):
            chosen[name].append(0.5 + side * (float(part[best]) - 0.5))
    return {
        "AUC of a probe of 16 neurons": {name: average(found) for name, found in scores.items()},
        "AUC of the best neuron": {name: average(found) for name, found in chosen.items()},
    }


def halves(unit: Tensor, label: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rows of half of the units of each class, and of the other half."""
    first = torch.zeros(len(unit), dtype=torch.bool)
    for side in (True, False):
        names = torch.unique(unit[label == side])
        order = torch.randperm(len(names), generator=generator)
        first |= torch.isin(unit, names[order[: len(names) // 2]])
    return first.nonzero()[:, 0], (~first).nonzero()[:, 0]


def show(title: str, found: Any, depth: int = 0) -> None:
    """A record as indented lines; intervals on one."""
    pad = "  " * depth
    if not isinstance(found, dict):
        if not isinstance(found, list):
            print(f"{pad}{title:<60} {found}")
    elif "low" in found:
        middle = found.get("rate", found.get("mean"))
        ends = f"[{found['low']:.3f}, {found['high']:.3f}]"
        print(f"{pad}{title:<60} {middle:.3f}  {ends}  of {found['trials']}")
    else:
        print(f"{pad}{title}")
        for name, part in found.items():
            show(name, part, depth + 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--settings", type=int, default=80, help="draws of planted data")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--only", nargs="*", default=[], help="parts to run; others stay as they are in the record"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    trials, root = options.trials, options.seed
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "family-wise error": lambda: family_wise_error(2 * trials, root),
        "refitted probes": lambda: refitted(trials // 2, root),
        "false discovery rate": lambda: false_discoveries(trials // 4, root),
        "coverage": lambda: coverage(trials, root),
        "recovery": lambda: recovery(options.settings, root),
        "more noise neurons": lambda: more_noise(trials // 2, root),
        "leakage": lambda: leakage(trials // 4, root),
    }
    record: dict[str, Any] = {
        "benchmark": "probing_simulations",
        "machine": machine(),
        "versions": versions(),
        "settings": {"trials": trials, "settings": options.settings, "seed": root},
        "alpha": ALPHA,
        "permutations": PERMUTATIONS,
    }
    kept = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
    for name, work in parts.items():
        if options.only and name not in options.only:
            record[name] = kept[name]
            continue
        begin = time.process_time()
        found = work()
        record[name] = {"date": now(), "processor_seconds": time.process_time() - begin, **found}
        show(name, record[name])
    write_text(options.out, json.dumps(jsonable(record), indent=1) + "\n")


if __name__ == "__main__":
    main()
