"""Speed of the probing numerics against scikit-learn, both sides timed in one run.

    python benchmarks/probing_speed.py --out benchmarks/records/probing_speed.json

Planted data: pre-activations of spread 1, read from one residual stream and so correlated, some
neurons shifted on the positives, then GELU.

1. One-neuron fits: `fit_one_neuron` on all neurons, against a loop of scikit-learn's
   `LogisticRegression` (lbfgs, its own tolerance) over a random sample of neurons, whose time is
   scaled to all of them. Columns are standardised beforehand for scikit-learn and inside the timed
   call for needlepoint. Losses are compared in float64.
2. The sweep over k: `adaptive_thresholding`, against the published procedure (scikit-learn's saga
   with its penalty at each k, `paper_adaptive_thresholding`) and against the same shrinking path
   fitted with warm-started lbfgs under the same ridge. Test F1 at every k, the cut on the log-odds
   chosen on validation data, is given for all three.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from needlepoint._core.files import write_text
from needlepoint._core.provenance import cores, machine, now, versions
from needlepoint._core.records import jsonable
from needlepoint._core.seeds import seed_for
from needlepoint.probing.columns import standardise
from needlepoint.probing.one_neuron import fit_one_neuron
from needlepoint.probing.paper import paper_adaptive_thresholding
from needlepoint.probing.rankings import leading, mean_difference_std
from needlepoint.probing.scores import best_cut, confusion
from needlepoint.probing.sweep import DEFAULT_KS, adaptive_thresholding, sizes_within

ONE_NEURON_L2 = 1e-3
SWEEP_L2 = 0.02
"""What the paper's C = 1 on neurons of spread 0.1 comes to at 5000 examples."""

Part = tuple[Tensor, Tensor]
Odds = dict[int, Tensor]


def planted(n: int, d: int, *, use: str, root: int) -> Part:
    """Activations and labels; sixteen neurons are shifted on the positives, a fifth of rows.

    As in a transformer, the pre-activations of all neurons are projections of one residual stream
    a quarter as wide, whose coordinates have unequal spread: neurons are correlated.
    """
    fixed = torch.Generator().manual_seed(seed_for(root, use="neurons"))
    width = d // 4
    spread = torch.arange(1, width + 1).pow(-0.5)
    read = torch.randn(width, d, generator=fixed) * (spread / spread.norm())[:, None]
    true = torch.randperm(d, generator=fixed)[:16]
    shift = torch.empty(16).uniform_(0.3, 1.2, generator=fixed)
    generator = torch.Generator().manual_seed(seed_for(root, use=use))
    labels = torch.rand(n, 1, generator=generator) < 0.2
    acts = torch.randn(n, width, generator=generator) @ read
    acts[:, true] += labels * shift
    return torch.nn.functional.gelu(acts), labels


def timed(work: Callable[[], Any], repeats: int) -> tuple[float, list[float], Any]:
    """Median seconds, all of them, and the last result."""
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - begin)
    return median(seconds), seconds, result


def one_neuron(part: Part, *, sample: int, repeats: int, root: int) -> dict[str, Any]:
    acts, labels = part
    n, d = acts.shape
    seconds, every, fits = timed(lambda: fit_one_neuron(acts, labels, l2=ONE_NEURON_L2), repeats)
    generator = torch.Generator().manual_seed(seed_for(root, use="sample of neurons"))
    chosen = torch.randperm(d, generator=generator)[:sample]
    z, y = standardise(acts[:, chosen]).z.T.contiguous().numpy(), labels[:, 0].numpy()

    def loop() -> list[LogisticRegression]:
        return [
            LogisticRegression(C=1 / (n * ONE_NEURON_L2), class_weight="balanced").fit(
                column[:, None], y
            )
            for column in z
        ]

    reference, reference_every, models = timed(loop, repeats)
    coefficients = np.array([(model.coef_[0, 0], model.intercept_[0]) for model in models])
    theirs = objective(torch.from_numpy(z).double(), labels[:, 0], torch.from_numpy(coefficients))
    excess = theirs - fits.loss[0, chosen]
    return {
        "neurons": d,
        "seconds": seconds,
        "seconds_every": every,
        "reference": "scikit-learn LogisticRegression(lbfgs), one neuron after another",
        "reference_sampled_neurons": len(chosen),
        "reference_sample_seconds_every": reference_every,
        "reference_seconds_scaled_to_all_neurons": reference * d / len(chosen),
        "ratio": reference * d / len(chosen) / seconds,
        "converged": bool(fits.converged.all()),
        "reference_loss_minus_loss": {"lowest": excess.min(), "highest": excess.max()},
    }


def objective(z: Tensor, label: Tensor, coefficients: Tensor) -> Tensor:
    """The objective of `fit_one_neuron` at given weights and biases on standardised columns."""
    y = torch.where(label, 1.0, -1.0).double()
    share = torch.where(label, 0.5 / label.sum().double(), 0.5 / (~label).sum().double())
    odds = z * coefficients[:, :1] + coefficients[:, 1:]
    data = torch.nn.functional.softplus(-y * odds) @ share
    return data + ONE_NEURON_L2 / 2 * coefficients[:, 0].square()


def warm_lbfgs(part: Part, others: list[Tensor], start: int) -> list[Odds]:
    """The shrinking path by scikit-learn's lbfgs, each fit started from the one before."""
    acts, labels = part
    order = leading(mean_difference_std(acts, labels), start)[0].sort().values
    columns = standardise(acts[:, order])
    fits = {}
    z, kept = columns.z.numpy(), np.arange(start)
    y = labels[:, 0].numpy()
    model = LogisticRegression(
        C=1 / (len(z) * SWEEP_L2), class_weight="balanced", max_iter=1000, warm_start=True
    )
    for k in reversed(sizes_within(DEFAULT_KS, start)):
        if k < len(kept):
            keep = np.sort(np.argsort(-abs(model.coef_[0]), kind="stable")[:k])
            kept, model.coef_ = kept[keep], model.coef_[:, keep]
        model.fit(z[:, kept], y)
        fits[k] = (kept, model.coef_[0].copy(), float(model.intercept_[0]))
    found = []
    for other in others:
        read = ((other[:, order] - columns.mean) / columns.sd).double()
        found.append(
            {k: read[:, s] @ torch.from_numpy(w).double() + b for k, (s, w, b) in fits.items()}
        )
    return found


def test_f1(odds: list[Odds], parts: list[Part]) -> dict[int, float]:
    """Test F1 at each k with the cut chosen on validation."""
    validation, test = odds
    found = {}
    for k in validation:
        cut = best_cut(validation[k][:, None], parts[0][1])
        found[k] = float(confusion(test[k][:, None] > cut, parts[1][1]).f1)
    return found


def sweep(train: Part, parts: list[Part], *, repeats: int, slow_repeats: int) -> dict[str, Any]:
    start = min(256, train[0].shape[1])
    others = [part[0] for part in parts]
    seconds, every, path = timed(
        lambda: adaptive_thresholding(*train, l2=SWEEP_L2, start=start), repeats
    )
    saga, saga_every, paper = timed(
        lambda: paper_adaptive_thresholding(*train, start=start), slow_repeats
    )
    lbfgs, lbfgs_every, warm = timed(lambda: warm_lbfgs(train, others, start), slow_repeats)
    clean_odds = [{k: path.probe(0, k)(acts) for k in path.ks} for acts in others]
    paper_odds = [{k: paper.probe(0, k)(acts) for k in paper.ks} for acts in others]
    ours, theirs, warmed = (test_f1(odds, parts) for odds in (clean_odds, paper_odds, warm))
    return {
        "ks": path.ks,
        "start": start,
        "l2": SWEEP_L2,
        "seconds": seconds,
        "seconds_every": every,
        "saga_seconds": saga,
        "saga_seconds_every": saga_every,
        "saga_iterations": {str(batch.k): int(batch.n_iter) for batch in paper.probes},
        "warm_lbfgs_seconds": lbfgs,
        "warm_lbfgs_seconds_every": lbfgs_every,
        "ratio_to_saga": saga / seconds,
        "ratio_to_warm_lbfgs": lbfgs / seconds,
        "test_f1": {
            str(k): {"needlepoint": ours[k], "saga": theirs[k], "warm_lbfgs": warmed[k]}
            for k in path.ks
        },
        "mean_test_f1": {
            "needlepoint": float(np.mean(list(ours.values()))),
            "saga": float(np.mean(list(theirs.values()))),
            "warm_lbfgs": float(np.mean(list(warmed.values()))),
        },
    }


def show(record: dict[str, Any]) -> None:
    one, path = record["one_neuron"], record["sweep"]
    scaled = one["reference_seconds_scaled_to_all_neurons"]
    print(
        f"one-neuron fits  {one['seconds']:.3f} s; scikit-learn {scaled:.2f} s (scaled from "
        f"{one['reference_sampled_neurons']} neurons): {one['ratio']:.1f} times"
    )
    print(
        f"sweep over k     {path['seconds']:.3f} s; saga {path['saga_seconds']:.2f} s: "
        f"{path['ratio_to_saga']:.1f} times; warm lbfgs {path['warm_lbfgs_seconds']:.2f} s: "
        f"{path['ratio_to_warm_lbfgs']:.1f} times"
    )
    print("  k   test F1: needlepoint   saga   warm lbfgs")
    for k, f1 in path["test_f1"].items():
        print(f"{k:>3} {f1['needlepoint']:21.3f} {f1['saga']:6.3f} {f1['warm_lbfgs']:12.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--examples", type=int, default=5000)
    parser.add_argument("--neurons", type=int, default=3072)
    parser.add_argument("--sample", type=int, default=96, help="neurons that scikit-learn fits")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--slow-repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    half = options.examples // 2
    train, validation, test = (
        planted(n, options.neurons, use=use, root=options.seed)
        for n, use in ((options.examples, "train"), (half, "validation"), (half, "test"))
    )
    fit_one_neuron(train[0][:200], train[1][:200], l2=ONE_NEURON_L2)  # starts the threads
    record = {
        "benchmark": "probing_speed",
        "date": now(),
        "machine": machine(),
        "versions": versions(),
        "settings": {key: value for key, value in vars(options).items() if key != "out"},
        "one_neuron": one_neuron(
            train, sample=options.sample, repeats=options.repeats, root=options.seed
        ),
        "sweep": sweep(
            train, [validation, test], repeats=options.repeats, slow_repeats=options.slow_repeats
        ),
    }
    write_text(options.out, json.dumps(jsonable(record), indent=1) + "\n")
    show(record)


if __name__ == "__main__":
    main()
