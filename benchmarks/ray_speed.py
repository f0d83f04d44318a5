"""Two workers of a Ray cluster against one, each with one thread: an extraction, and fits.

    python benchmarks/ray_speed.py --out benchmarks/records/ray_speed.json

The extraction reads all neurons of SmolLM2 on random texts into one store, by `extract_on_ray`;
both stores have to hold the same bytes. The fits are sweeps over k by `adaptive_thresholding` on
planted activations, one feature each. Times are from the first piece of work that a worker begins
to the last that one ends, and from the call to its return, in which workers start and load the
model. One and two workers take turns.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from needlepoint._core.cores import cores
from needlepoint._core.files import write_text
from needlepoint._core.provenance import machine, now, versions
from needlepoint._core.records import jsonable
from needlepoint.activations.extract import Reading
from needlepoint.activations.reduce import Rows
from needlepoint.activations.store import open_or_create
from needlepoint.evaluation.on_ray import Cluster, Crew
from needlepoint.evaluation.spread_extraction import ReadingWorker, extract_on_ray
from needlepoint.models.load import load_model
from needlepoint.models.sites import Part, Site
from needlepoint.probing.sweep import adaptive_thresholding

BLOCK_ROWS = 16
AIM = 1.7


def reading(texts: int, length: int, layers: int) -> Reading:
    """Random texts, each one row: the mean of every neuron over its positions."""
    ids = np.random.default_rng(0).integers(100, 40_000, (texts, length)).tolist()
    rows = Rows.of(np.array([[text, 0, length] for text in range(texts)]), "mean")
    sites = tuple(Site.of(layer, Part.NEURONS) for layer in range(layers))
    return Reading(ids, sites, rows, batch_tokens=8 * (length + 1))


class Watched(ReadingWorker):
    """Writes down when each block was begun and ended; the store has small blocks."""

    def begin(self) -> Any:
        """Make a store of small blocks."""
        model = self.load()
        open_or_create(self.reading.request(model), Path(self.path), block_rows=BLOCK_ROWS)
        return self.reading.widths(model)

    def fill(self, block: int) -> Any:
        """Write one block; the model is loaded before the clock runs."""
        self.load()
        begin = time.time()
        answer = super().fill(block)
        note(Path(self.path).parent, begin)
        return answer


class Fitter:
    """Fits one feature at a time."""

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        draw = torch.Generator().manual_seed(0)
        self.acts = torch.randn(4000, 1536, generator=draw)

    def fit(self, folder: str, feature: int) -> float:
        """The loss of one neuron."""
        begin = time.time()
        draw = torch.Generator().manual_seed(feature)
        chosen = torch.randperm(1536, generator=draw)[:8]
        score = self.acts[:, chosen].sum(1) + torch.randn(4000, generator=draw)
        labels = (score > score.quantile(0.8))[:, None].repeat(1, 8)
        path = adaptive_thresholding(self.acts, labels, l2=0.02)
        note(Path(folder), begin)
        return float(path.probes[0].loss[0])


def note(folder: Path, begin: float) -> None:
    """Keep when a piece of work began and ended."""
    (folder / f"{begin:.6f}.time").write_text(f"{begin} {time.time()}")


def span(folder: Path) -> float:
    """From the first beginning to the last end."""
    times = [tuple(map(float, one.read_text().split())) for one in folder.glob("*.time")]
    return max(end for _, end in times) - min(begin for begin, _ in times)


def extraction(workers: int, asked: Reading) -> tuple[float, float, dict[str, bytes]]:
    with tempfile.TemporaryDirectory() as name:
        folder, begin = Path(name), time.time()
        store = extract_on_ray(
            Cluster(workers=workers), "smollm2", asked, folder / "store", Watched
        ).store
        whole = time.time() - begin
        files = {
            str(one.relative_to(folder)): one.read_bytes()
            for one in (store.path / "arrays").rglob("0")
            if one.is_file()
        }
        return span(folder), whole, files


def fits(workers: int, n: int) -> tuple[float, float, list[float]]:
    with tempfile.TemporaryDirectory() as name:
        begin = time.time()
        with Crew[int](Cluster(workers=workers), Fitter) as crew:
            waiting, losses = list(range(n)), {}
            while waiting or len(crew):
                for number in crew.idle[: len(waiting)]:
                    feature = waiting.pop()
                    crew.give(number, feature, "fit", name, feature)
                if (taken := crew.take()) is not None:
                    losses[taken[1]] = taken[2]
        return span(Path(name)), time.time() - begin, [losses[one] for one in range(n)]


def compared(work: Callable[[int], tuple[float, float, Any]], turns: int) -> dict[str, Any]:
    """One and two workers in turn: seconds, and how many times faster two are."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    whole: dict[int, list[float]] = {1: [], 2: []}
    results = []
    for _ in range(turns):
        for workers in (1, 2):
            working, calling, result = work(workers)
            seconds[workers].append(working)
            whole[workers].append(calling)
            results.append(result)
            print(f"  {workers}: {working:.1f} s at work, {calling:.1f} s in all", flush=True)
    return {
        "seconds_one_worker": seconds[1],
        "seconds_two_workers": seconds[2],
        "ratio": median(seconds[1]) / median(seconds[2]),
        "seconds_in_all_one_worker": whole[1],
        "seconds_in_all_two_workers": whole[2],
        "ratio_in_all": median(whole[1]) / median(whole[2]),
        "same_results": all(result == results[0] for result in results),
        "aim": AIM,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=384)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--fits", type=int, default=24)
    parser.add_argument("--turns", type=int, default=1)
    options = parser.parse_args()
    layers = load_model("smollm2", dtype="float32").shape.n_layers
    asked = reading(options.texts, options.length, layers)
    print("extraction")
    extracted = compared(lambda workers: extraction(workers, asked), options.turns)
    print("fits")
    fitted = compared(lambda workers: fits(workers, options.fits), options.turns)
    record = {
        "benchmark": "ray_speed",
        "date": now(),
        "machine": machine(),
        "versions": versions(),
        "settings": {k: v for k, v in vars(options).items() if k != "out"} | {"cores": cores()},
        "extraction": extracted,
        "fits": fitted,
    }
    write_text(options.out, json.dumps(jsonable(record), indent=1) + "\n")
    print(f"extraction {extracted['ratio']:.2f} times, fits {fitted['ratio']:.2f} times")


if __name__ == "__main__":
    main()
