"""Cost of ranking all neurons for many features, against the bare forward pass on the same texts.

    python benchmarks/first_pass_speed.py --out benchmarks/records/first_pass_speed.json

All sides run in one process, turn by turn, on the same texts in batches of as many tokens, and
compute no logits. One side is the model alone, as `transformers` and torch run it. Another is the
model alone as needlepoint loads it, whose products go to another of torch's libraries where that is
quicker (`product_speed.py`). The last, of that model too, is the whole first pass: sums and
histograms by class of every neuron of every layer for all features, and every score that is made
of them at the end. Texts and labels are random: what is found means nothing, what it costs is the
same. What it costs goes with the number of rows, so one row for each text and one row for each
token are measured apart; the scores at the end cost the same for any number of rows, so their part
is given too, with the number of texts from which the whole is within the aim if the rest grows
evenly. Processor time is compared, since other work on the machine counts for little in it; wall
time is kept beside it, and is what counts with `--device cuda`.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from device import add_device, device_entry, device_of, wait
from needlepoint._core.cores import free_cores
from needlepoint._core.files import write_text
from needlepoint._core.provenance import machine, now, versions
from needlepoint._core.records import jsonable
from needlepoint.activations.batches import length_batches
from needlepoint.evaluation import layer_statistics
from needlepoint.evaluation.first_pass import BINS, first_pass, memory_bytes
from needlepoint.features.collection import Card, Collection
from needlepoint.features.split import Split
from needlepoint.models.load import load_model
from needlepoint.models.model import Model
from product_speed import left_to_torch

AIM = 1.2
CARD = Card(
    name="random",
    title="Random tokens",
    description="Random tokens with random labels.",
    source="made here",
    licence="none",
    how_labelled="at random",
    confounds=(),
    aggregation="the mean of each text, or each token",
)


def collection(texts: int, length: int, features: int, share: float, rows: str) -> Collection:
    """Random texts of one length; rows are the texts or their tokens."""
    draw = np.random.default_rng(0)
    ids = tuple(map(tuple, draw.integers(100, 40_000, (texts, length)).tolist()))
    spans = [(text, 0, length) for text in range(texts)]
    if rows == "token":
        spans = [(text, at, at + 1) for text in range(texts) for at in range(length)]
    labels = draw.random((len(spans), features)) < share
    labels[[0, -1]], labels[[1, -2]] = True, False  # both classes in both parts
    names = tuple(f"feature {number}" for number in range(features))
    documents = tuple(map(str, range(texts)))
    return Collection(CARD, "?", ids, documents, np.array(spans), "mean", names, labels)


def bare(model: Model, texts: Collection, batch_tokens: int) -> None:
    """The model alone, as needlepoint loads it."""
    for batch in length_batches([len(ids) for ids in texts.ids], batch_tokens):
        model.hidden(model.batch([texts.ids[text] for text in batch]))


def seconds(work: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Processor time and wall time of one call, until the device has done."""
    wait(device)
    start, wall = time.process_time(), time.perf_counter()
    work()
    wait(device)
    return time.process_time() - start, time.perf_counter() - wall


@contextmanager
def timed_scores() -> Iterator[list[float]]:
    """Processor times of the scores of each layer, of a first pass inside."""
    times: list[float] = []
    scores = layer_statistics.LayerStatistics.scores

    def timed(statistics: layer_statistics.LayerStatistics) -> dict[str, torch.Tensor]:
        start = time.process_time()
        found = scores(statistics)
        times.append(time.process_time() - start)
        return found

    layer_statistics.LayerStatistics.scores = timed
    try:
        yield times
    finally:
        layer_statistics.LayerStatistics.scores = scores


def texts_within_aim(bare: float, reading: float, fixed: float, texts: int) -> int | None:
    """From how many texts on the whole is within the aim; None if never."""
    spare = (AIM * bare - reading) / texts
    return math.ceil(fixed / spare) if spare > 0 else None


def compare(model: Model, rows: str, args: argparse.Namespace) -> dict[str, Any]:
    """Turn by turn, so that what else the machine does falls on both sides."""
    texts = args.texts if rows == "text" else args.token_texts
    data = collection(texts, args.length, args.features, args.share, rows)
    every = np.arange(len(data.rows))
    split = Split(every[: 2 * len(every) // 3], every[2 * len(every) // 3 :], every[:0])
    turns, fixed = [], []
    for _ in range(args.repeats):
        alone = seconds(
            lambda: left_to_torch(lambda: bare(model, data, args.batch_tokens)), model.device
        )
        one = seconds(lambda: bare(model, data, args.batch_tokens), model.device)
        with timed_scores() as times:
            other = seconds(
                lambda: first_pass(model, data, split=split, batch_tokens=args.batch_tokens),
                model.device,
            )
        turns.append((alone, one, other))
        fixed.append(sum(times))
        print(
            f"{rows}: bare {alone[0]:.1f} s, as loaded {one[0]:.1f} s, first pass {other[0]:.1f} s "
            f"({other[0] / alone[0]:.3f}, {other[0] / one[0]:.3f}), of which scores "
            f"{fixed[-1]:.1f} s"
        )
    ratio = median(other[0] / alone[0] for alone, _, other in turns)
    reading = [other[0] - scores for (_, _, other), scores in zip(turns, fixed, strict=True)]
    bare_seconds = [alone[0] for alone, _, _ in turns]
    return {
        "rows": len(data.rows),
        "rows_per_text": len(data.rows) / texts,
        "texts": texts,
        "tokens": texts * (args.length + len(model.prefix)),
        "bare_cpu_seconds": bare_seconds,
        "as_loaded_cpu_seconds": [one[0] for _, one, _ in turns],
        "first_pass_cpu_seconds": [other[0] for _, _, other in turns],
        "scores_cpu_seconds": fixed,
        "bare_wall_seconds": [alone[1] for alone, _, _ in turns],
        "as_loaded_wall_seconds": [one[1] for _, one, _ in turns],
        "first_pass_wall_seconds": [other[1] for _, _, other in turns],
        "median_ratio": ratio,
        "median_ratio_without_scores": median(
            one / other for one, other in zip(reading, bare_seconds, strict=True)
        ),
        "median_wall_ratio": median(other[1] / alone[1] for alone, _, other in turns),
        "median_ratio_to_as_loaded": median(other[0] / one[0] for _, one, other in turns),
        "within_aim": ratio <= AIM,
        "texts_within_aim": texts_within_aim(
            median(bare_seconds), median(reading), median(fixed), texts
        ),
    }


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Both kinds of rows on one model."""
    torch.set_num_threads(args.threads or free_cores())
    device = device_of(args.device)
    model = load_model(args.model, device=str(device))
    bare(model, collection(8, args.length, 1, 0.5, "text"), args.batch_tokens)
    shape = model.shape
    found = {rows: compare(model, rows, args) for rows in args.rows}
    return {
        "benchmark": "the first pass against the bare forward pass",
        "date": now(),
        "machine": machine(),
        **device_entry(device),
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "model": model.card(),
        "features": args.features,
        "share_of_positive_rows": args.share,
        "bins": BINS,
        "batch_tokens": args.batch_tokens,
        "aim": f"at most {AIM}",
        "by_rows": found,
        "statistics_bytes": memory_bytes(args.features, 1, shape.n_layers, shape.d_mlp, BINS),
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Measure, print, and keep the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--rows", nargs="+", choices=["text", "token"], default=["text", "token"])
    parser.add_argument("--texts", type=int, default=240, help="where a row is a text")
    parser.add_argument("--token-texts", type=int, default=64, help="where a row is a token")
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--features", type=int, default=100)
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--batch-tokens", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="the free cores if 0")
    parser.add_argument("--out", type=Path)
    add_device(parser)
    args = parser.parse_args()
    record = measure(args)
    for rows, found in record["by_rows"].items():
        print(
            f"a row for each {rows}: median ratio {found['median_ratio']:.3f} ({record['aim']}), "
            f"{found['median_ratio_without_scores']:.3f} without the scores at the end, "
            f"{found['median_ratio_to_as_loaded']:.3f} of the bare pass of the model as loaded; "
            f"within the aim from {found['texts_within_aim'] or 'no number of'} texts"
        )
    if args.out:
        write_text(args.out, json.dumps(jsonable(record), indent=1) + "\n")


if __name__ == "__main__":
    main()
