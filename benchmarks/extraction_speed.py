"""Cost of reading all heads and all neurons, against the bare forward pass on the same batches.

    python benchmarks/extraction_speed.py --out benchmarks/records/extraction_speed.json

Both sides run in one process, turn by turn, on the same texts in the same batches, and compute no
logits. One side is the model alone; the other also takes every head's z and every neuron, both
averaged over the positions of each text as the model runs. Peak memory is shown to follow the size
of the batch, not the number of texts.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

from needlepoint._core.cores import free_cores
from needlepoint._core.files import write_text
from needlepoint._core.provenance import machine, now, versions
from needlepoint._core.records import jsonable
from needlepoint.activations.batches import length_batches
from needlepoint.activations.moments import Moments
from needlepoint.activations.reduce import Rows
from needlepoint.activations.stream import collect
from needlepoint.models.load import load_model
from needlepoint.models.model import Model
from needlepoint.models.sites import Part, Site


def texts(n: int, seed: int) -> list[list[int]]:
    """Token ids of texts of 24 to 64 tokens, drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(24, 65, (n,), generator=generator).tolist()
    return [torch.randint(100, 40_000, (m,), generator=generator).tolist() for m in lengths]


def bare(model: Model, ids: list[list[int]], batch_tokens: int) -> None:
    """The model alone."""
    for batch in length_batches([len(row) for row in ids], batch_tokens):
        model.hidden(model.batch([ids[text] for text in batch]))


def reading(model: Model, ids: list[list[int]], batch_tokens: int) -> None:
    """The model, with every head and neuron reduced and put into running moments."""
    layers = range(model.shape.n_layers)
    sites = [Site.of(layer, part) for layer in layers for part in (Part.HEADS, Part.NEURONS)]
    moments = {found: Moments() for found in sites}
    for chunk in collect(model, ids, sites, Rows.whole(ids), batch_tokens=batch_tokens):
        for found, values in chunk.values.items():
            moments[found].update(values.flatten(1))


def seconds(work: Callable[[], None]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak_megabytes() -> float:
    """Largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Turn by turn, so that what else the machine does falls on both sides."""
    torch.set_num_threads(free_cores())
    model = load_model(args.model)
    ids = texts(args.texts, seed=0)
    reading(model, ids[: args.texts // 4], args.batch_tokens)
    pairs = []
    for _ in range(args.repeats):
        one = seconds(lambda: bare(model, ids, args.batch_tokens))
        other = seconds(lambda: reading(model, ids, args.batch_tokens))
        pairs.append((one, other))
        print(f"bare {one:.2f} s, reading {other:.2f} s, ratio {other / one:.3f}")
    before = peak_megabytes()
    reading(model, texts(4 * args.texts, seed=1), args.batch_tokens)
    return {
        "benchmark": "extraction against the bare forward pass",
        "date": now(),
        "machine": machine(),
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "model": model.card(),
        "texts": args.texts,
        "tokens": sum(len(row) + len(model.prefix) for row in ids),
        "batch_tokens": args.batch_tokens,
        "bare_seconds": [one for one, _ in pairs],
        "reading_seconds": [other for _, other in pairs],
        "median_ratio": median(other / one for one, other in pairs),
        "aim": "at most 1.10",
        "peak_megabytes": before,
        "peak_megabytes_with_4x_texts": peak_megabytes(),
    }


def main() -> None:
    """Measure, print, and keep the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--texts", type=int, default=120)
    parser.add_argument("--batch-tokens", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    record = measure(args)
    print(f"median ratio {record['median_ratio']:.3f} ({record['aim']})")
    if args.out:
        write_text(args.out, json.dumps(jsonable(record), indent=1) + "\n")


if __name__ == "__main__":
    main()
