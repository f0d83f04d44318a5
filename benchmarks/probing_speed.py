"""Speed of the probing numerics against scikit-learn, both sides timed in one run.

    python benchmarks/probing_speed.py --out benchmarks/records/probing_speed.json

Planted data: pre-activations of spread 1, read from one residual stream and so correlated, some
neurons shifted on the positives, then GELU.

1. One-neuron fits: `fit_one_neuron` on all neurons, against a loop of scikit-learn's
   `LogisticRegression` (lbfgs, its own tolerance) over a random sample of neurons, whose time is
   scaled to all of them. Columns are standardised beforehand for scikit-learn and inside the timed
   call for needlepoint. Losses are compared in float64.
   Beside them stands the time of reading the matrix, a plain sum over it: as often as
   `fit_one_neuron` reads it, once to standardise and once for each of the few Newton steps that its
   starting points leave, and as often as Newton's method from 0 would (scikit-learn's
   newton-cholesky, on the sample).
2. The sweep over k: `adaptive_thresholding`, against the published procedure (scikit-learn's saga
   with its penalty at each k, `paper_adaptive_thresholding`) and against the same shrinking path
   fitted with warm-started lbfgs under the same ridge. Test F1 at every k, the cut on the log-odds
   chosen on validation data, is given for all three, and on several draws of the data the
   difference to the published procedure with its standard error.
3. The sweep for many features that share the layer, labels read off sixteen random neurons each
   with noise. The published procedure is timed on a few of them and scaled.
4. Peak memory of that sweep above what was there before, against the layer in float32.
5. Dense probes of the same features, against scikit-learn's lbfgs on a few of them, scaled.
6. Every selector on one feature with k up to 16: time and training loss.
7. With `--device cuda` the sweep for one feature and for many, one-neuron fits and dense probes on
   the card, data already there, against the same on the CPU.

Every time is given by the clock and as processor time over all threads. Where others use the
machine, run with `--threads 1` and read the ratios of processor time.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from device import CPU, add_device, device_entry, device_of, wait
from needlepoint._core.files import write_text
from needlepoint._core.provenance import cores, machine, now, versions
from needlepoint._core.records import jsonable
from needlepoint._core.seeds import seed_for
from needlepoint.probing.columns import standardise
from needlepoint.probing.one_neuron import fit_one_neuron
from needlepoint.probing.paper import paper_adaptive_thresholding
from needlepoint.probing.rankings import leading, mean_difference_std
from needlepoint.probing.scores import best_cut, confusion
from needlepoint.probing.selectors import SELECTORS
from needlepoint.probing.sweep import (
    DEFAULT_KS,
    adaptive_thresholding,
    fit_on_support,
    sizes_within,
)

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


@dataclass(frozen=True)
class Timing:
    """What some repeats of one piece of work took."""

    every: list[float]
    """Seconds on the clock."""
    cpu_every: list[float]
    """Seconds of processor time, over all threads: steadier where others use the machine."""
    result: Any

    @property
    def seconds(self) -> float:
        """Median by the clock."""
        return median(self.every)

    @property
    def cpu(self) -> float:
        """Median processor time."""
        return median(self.cpu_every)

    def entries(self, prefix: str = "") -> dict[str, Any]:
        """What the record keeps of it."""
        return {
            f"{prefix}seconds": self.seconds,
            f"{prefix}seconds_every": self.every,
            f"{prefix}cpu_seconds": self.cpu,
            f"{prefix}cpu_seconds_every": self.cpu_every,
        }


def timed(work: Callable[[], Any], repeats: int, device: torch.device = CPU) -> Timing:
    """Time some repeats, each until the device has done, and keep the last result."""
    every, cpu = [], []
    for _ in range(repeats):
        begin, begin_cpu = time.perf_counter(), time.process_time()
        result = work()
        wait(device)
        every.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - begin_cpu)
    return Timing(every, cpu, result)


def ratios(slow: Timing, fast: Timing, scale: float = 1.0, suffix: str = "") -> dict[str, float]:
    """How many times longer one took than the other, by the clock and in processor time."""
    return {
        f"ratio{suffix}": slow.seconds * scale / fast.seconds,
        f"cpu_ratio{suffix}": slow.cpu * scale / fast.cpu,
    }


def one_neuron(part: Part, *, sample: int, repeats: int, root: int) -> dict[str, Any]:
    acts, labels = part
    n, d = acts.shape
    ours = timed(lambda: fit_one_neuron(acts, labels, l2=ONE_NEURON_L2), repeats)
    fits = ours.result
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

    reference, read = timed(loop, repeats), timed(acts.sum, 3 * repeats)
    models = reference.result
    reads = 1 + float(fits.n_iter.double().mean())
    from_zero = 1 + newton_steps(z, y)
    coefficients = np.array([(model.coef_[0, 0], model.intercept_[0]) for model in models])
    theirs = objective(torch.from_numpy(z).double(), labels[:, 0], torch.from_numpy(coefficients))
    excess = theirs - fits.loss[0, chosen]
    return {
        "neurons": d,
        **ours.entries(),
        "reference": "scikit-learn LogisticRegression(lbfgs), one neuron after another",
        "reference_sampled_neurons": len(chosen),
        **reference.entries("reference_sample_"),
        "reference_seconds_scaled_to_all_neurons": reference.seconds * d / len(chosen),
        **ratios(reference, ours, d / len(chosen)),
        "read_once_seconds": read.seconds,
        "reads": reads,
        "ratio_to_reading": ours.seconds / (read.seconds * reads),
        "reads_of_newton_from_zero": from_zero,
        "ratio_to_reading_of_newton_from_zero": ours.seconds / (read.seconds * from_zero),
        "cpu_ratio_to_reading": ours.cpu / (read.cpu * reads),
        "converged": bool(fits.converged.all()),
        "reference_loss_minus_loss": {"lowest": excess.min(), "highest": excess.max()},
    }


def newton_steps(z: np.ndarray, y: np.ndarray) -> float:
    """Mean number of steps that Newton's method takes from 0, by scikit-learn."""
    model = LogisticRegression(
        C=1 / (len(y) * ONE_NEURON_L2), class_weight="balanced", solver="newton-cholesky"
    )
    return float(np.mean([model.fit(column[:, None], y).n_iter_[0] for column in z]))


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
    swept = timed(lambda: adaptive_thresholding(*train, l2=SWEEP_L2, start=start), repeats)
    saga = timed(lambda: paper_adaptive_thresholding(*train, start=start), slow_repeats)
    lbfgs = timed(lambda: warm_lbfgs(train, others, start), slow_repeats)
    path, paper, warm = swept.result, saga.result, lbfgs.result
    clean_odds = [{k: path.probe(0, k)(acts) for k in path.ks} for acts in others]
    paper_odds = [{k: paper.probe(0, k)(acts) for k in paper.ks} for acts in others]
    ours, theirs, warmed = (test_f1(odds, parts) for odds in (clean_odds, paper_odds, warm))
    return {
        "ks": path.ks,
        "start": start,
        "l2": SWEEP_L2,
        **swept.entries(),
        **saga.entries("saga_"),
        "saga_iterations": {str(batch.k): int(batch.n_iter) for batch in paper.probes},
        **lbfgs.entries("warm_lbfgs_"),
        **ratios(saga, swept, suffix="_to_saga"),
        **ratios(lbfgs, swept, suffix="_to_warm_lbfgs"),
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


def many_features(acts: Tensor, n_features: int, *, root: int) -> Tensor:
    """Labels of features that share a layer: the highest fifth of noisy sums of 16 neurons."""
    generator = torch.Generator().manual_seed(seed_for(root, use="features"))
    columns = []
    for _ in range(n_features):
        chosen = torch.randperm(acts.shape[1], generator=generator)[:16]
        score = acts[:, chosen] @ torch.randn(16, generator=generator)
        score = score / score.std() + 0.7 * torch.randn(len(acts), generator=generator)
        columns.append(score > score.quantile(0.8))
    return torch.stack(columns, dim=1)


def sharing(train: Part, *, n_features: int, sample: int, root: int) -> dict[str, Any]:
    """Many features at once against the published procedure on a few of them."""
    acts = train[0]
    labels = many_features(acts, n_features, root=root)
    start = min(256, acts.shape[1])
    peak = extra_memory(lambda: adaptive_thresholding(acts, labels, l2=SWEEP_L2, start=start))
    swept = timed(lambda: adaptive_thresholding(acts, labels, l2=SWEEP_L2, start=start), 3)
    saga = timed(lambda: paper_adaptive_thresholding(acts, labels[:, :sample], start=start), 1)
    path = swept.result
    layer = 4 * acts.numel()
    return {
        "features": n_features,
        **swept.entries(),
        "saga_sampled_features": sample,
        **saga.entries("saga_sample_"),
        **ratios(saga, swept, n_features / sample, suffix="_per_feature"),
        "largest_gradient_norm": max(float(batch.gradient_norm.max()) for batch in path.probes),
        "layer_bytes": layer,
        "peak_bytes_above_start": peak,
        "peak_in_layers": None if peak is None else peak / layer,
        "peak_in_layers_reason": None if peak is not None else "this system does not tell",
    }


def extra_memory(work: Callable[[], Any]) -> int | None:
    """Peak resident memory of a call above that before it; `None` where Linux does not tell."""
    status = Path("/proc/self/status")
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None

    def field(name: str) -> int:
        lines = (line.split() for line in status.read_text().splitlines())
        return next(int(line[1]) * 1024 for line in lines if line[0] == name)

    before = field("VmRSS:")
    work()
    return field("VmHWM:") - before


def dense(train: Part, *, n_features: int, sample: int, root: int) -> dict[str, Any]:
    """Probes that read the whole layer, against scikit-learn on a few features."""
    acts = train[0]
    n, d = acts.shape
    labels = many_features(acts, n_features, root=root)
    support = torch.arange(d).expand(n_features, -1)
    ours = timed(lambda: fit_on_support(acts, labels, support, l2=SWEEP_L2), 2)
    z = standardise(acts).z.numpy()

    def loop() -> list[LogisticRegression]:
        return [
            LogisticRegression(C=1 / (n * SWEEP_L2), class_weight="balanced", max_iter=1000).fit(
                z, labels[:, feature].numpy()
            )
            for feature in range(sample)
        ]

    reference = timed(loop, 1)
    return {
        "features": n_features,
        **ours.entries(),
        "reference": "scikit-learn LogisticRegression(lbfgs), one feature after another",
        "reference_sampled_features": sample,
        **reference.entries("reference_sample_"),
        **ratios(reference, ours, n_features / sample, suffix="_per_feature"),
        "largest_gradient_norm": ours.result.gradient_norm.max(),
    }


def selectors(train: Part) -> dict[str, Any]:
    """Seconds and training losses of every selector that minimises the ridge objective."""
    ks = [k for k in DEFAULT_KS if k <= 16]
    found = {}
    for name in SELECTORS:
        if SELECTORS[name].ridge:
            work = partial(SELECTORS[name].select, *train, ks=ks, l2=SWEEP_L2)
            timing = timed(work, 1)
            losses = {str(batch.k): float(batch.loss[0]) for batch in timing.result.probes}
            found[name] = {**timing.entries(), "training_loss": losses}
    return found


def on_card(train: Part, device: torch.device, *, n_features: int, root: int) -> dict[str, Any]:
    """The same work on a card and on the CPU; the first run on the card is not timed."""
    acts, labels = train
    many = many_features(acts, n_features, root=root)
    start = min(256, acts.shape[1])
    support = torch.arange(acts.shape[1]).expand(n_features, -1)
    sweep_of = partial(adaptive_thresholding, l2=SWEEP_L2, start=start)
    work = {
        "sweep": (sweep_of, (acts, labels)),
        "sharing": (sweep_of, (acts, many)),
        "one_neuron": (partial(fit_one_neuron, l2=ONE_NEURON_L2), (acts, labels)),
        "dense": (partial(fit_on_support, l2=SWEEP_L2), (acts, many, support)),
    }
    found: dict[str, Any] = device_entry(device)
    for name, (compute, given) in work.items():
        there = [part.to(device) for part in given]
        compute(*there)
        wait(device)
        card = timed(partial(compute, *there), 3, device)
        here = timed(partial(compute, *given), 3)
        found[name] = {
            **card.entries("card_"),
            **here.entries("cpu_"),
            "cpu_threads": torch.get_num_threads(),
            "ratio": here.seconds / card.seconds,
        }
    return found


def draws(n: int, d: int, *, n_draws: int, root: int) -> dict[str, Any]:
    """Test F1 minus that of the published procedure at every k, over draws of the data."""
    gaps = []
    for draw in range(n_draws):
        train, *parts = (
            planted(size, d, use=use, root=root + draw)
            for size, use in ((n, "train"), (n // 2, "validation"), (n // 2, "test"))
        )
        start = min(256, d)
        ours = adaptive_thresholding(*train, l2=SWEEP_L2, start=start)
        theirs = paper_adaptive_thresholding(*train, start=start)
        scores = [
            test_f1([{k: path.probe(0, k)(part[0]) for k in path.ks} for part in parts], parts)
            for path in (ours, theirs)
        ]
        gaps.append([scores[0][k] - scores[1][k] for k in ours.ks])
    table = np.array(gaps)
    error = table.std(0, ddof=1) / np.sqrt(n_draws)
    return {
        "draws": n_draws,
        "mean_difference": dict(zip(map(str, ours.ks), table.mean(0), strict=True)),
        "standard_error": dict(zip(map(str, ours.ks), error, strict=True)),
        "mean_over_k": table.mean(),
        "standard_error_over_k": table.mean(1).std(ddof=1) / np.sqrt(n_draws),
    }


def show(record: dict[str, Any]) -> None:
    """The main figures; ratios by the clock, then in processor time."""
    one, path, many = record["one_neuron"], record["sweep"], record["sharing"]
    wide, gap = record["dense"], record["draws"]

    def line(name: str, part: dict[str, Any], against: str, ratio: str) -> None:
        times = f"{part['ratio' + ratio]:.1f} times; cpu {part['cpu_ratio' + ratio]:.1f} times"
        print(f"{name:17}{part['seconds']:.3f} s; against {against}: {times}")

    line("one-neuron fits", one, f"scikit-learn on {one['reference_sampled_neurons']}", "")
    line("  reading", one, f"{one['reads']:.1f} plain sums", "_to_reading")
    line("sweep over k", path, "saga", "_to_saga")
    line("", path, "warm lbfgs", "_to_warm_lbfgs")
    line(f"{many['features']} features", many, "saga on a few", "_per_feature")
    line("dense", wide, "lbfgs on a few", "_per_feature")
    for name in ("sweep", "sharing", "one_neuron", "dense") if "card" in record else ():
        part = record["card"][name]
        print(
            f"{name} on {record['card']['card']}: {part['card_seconds']:.4f} s, "
            f"{part['ratio']:.1f} times as fast as {part['cpu_threads']} threads"
        )
    print(f"peak memory {many['peak_in_layers']} layers")
    print({name: round(part["cpu_seconds"], 2) for name, part in record["selectors"].items()})
    print(f"F1 minus saga's  {gap['mean_over_k']:+.4f} +- {gap['standard_error_over_k']:.4f}")
    print("  k   test F1: needlepoint   saga   warm lbfgs")
    for k, f1 in path["test_f1"].items():
        print(f"{k:>3} {f1['needlepoint']:21.3f} {f1['saga']:6.3f} {f1['warm_lbfgs']:12.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--examples", type=int, default=5000)
    parser.add_argument("--neurons", type=int, default=3072)
    parser.add_argument("--sample", type=int, default=96, help="neurons that scikit-learn fits")
    parser.add_argument("--features", type=int, default=50)
    parser.add_argument("--sample-features", type=int, default=2, help="that scikit-learn fits")
    parser.add_argument("--draws", type=int, default=5, help="of the data, to compare F1 on")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--slow-repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--seed", type=int, default=0)
    add_device(parser)
    options = parser.parse_args()
    device = device_of(options.device)
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
        "sharing": sharing(
            train,
            n_features=options.features,
            sample=options.sample_features,
            root=options.seed,
        ),
        "dense": dense(
            train,
            n_features=options.features,
            sample=options.sample_features,
            root=options.seed,
        ),
        "selectors": selectors(train),
        "draws": draws(options.examples, options.neurons, n_draws=options.draws, root=options.seed),
        "load_average": os.getloadavg(),
    }
    if device != CPU:
        record["card"] = on_card(train, device, n_features=options.features, root=options.seed)
    write_text(options.out, json.dumps(jsonable(record), indent=1) + "\n")
    show(record)


if __name__ == "__main__":
    main()
