"""Time exact patching of every head against one whole forward pass for each head.

Both sides run in this process, in turn, on the same pairs of the IOI task, and are checked to
agree before anything is reported. The straight side is one pass with a hook for each head, on a
sample of heads spread over all layers, scaled to all of them; the record says so. Growth with
prompts and with heads, and peak memory for 1x and 4x the prompts, are of ours alone. Ratios are of
the CPU time of this process, with the clock beside it: of a card, read that.

    python benchmarks/patching_speed.py --out record.json
    python benchmarks/patching_speed.py --pairs 8 --sampled-heads 3 --growth-pairs 2
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from device import add_device, device_entry, device_of
from needlepoint._core.provenance import machine, now, versions
from needlepoint.circuits.cost import Cost, measured
from needlepoint.circuits.graph.graph import Graph, Kind, Node
from needlepoint.circuits.pair_batch import PairBatch
from needlepoint.circuits.patching.effects import node_effects
from needlepoint.circuits.patching.replacement import recorded
from needlepoint.evaluation.read_heads import pair_batch
from needlepoint.models.load import load_model
from needlepoint.models.model import Model
from needlepoint.tasks import load_task
from needlepoint.testing import reference

TOLERANCE = 1e-3
"""Largest difference between the two sides, in logits."""


def heads_of(model: Model) -> list[Node]:
    return [node for node in Graph.of(model.shape).writers if node.kind is Kind.HEAD]


def fast(model: Model, pairs: PairBatch, heads: list[Node]) -> tuple[Cost, Tensor]:
    with measured(model) as meter:
        found = node_effects(model, pairs, nodes=heads).values
    return meter.cost, found


def straight(model: Model, pairs: PairBatch, heads: list[Node]) -> tuple[Cost, Tensor]:
    """One whole pass for each head; the corrupt pass is counted too."""
    with measured(model) as meter, torch.no_grad():
        values = recorded(model, pairs.corrupt)
        found = reference.node_effects(model, pairs, values, heads, pairs.clean.mask)
    return meter.cost, found


def against_straight(model: Model, pairs: PairBatch, n_heads: int) -> dict[str, Any]:
    """All heads of ours against a sample of heads of the other side, scaled up."""
    every = heads_of(model)
    step = len(every) // n_heads
    sampled = every[step // 2 :: step][:n_heads]
    places = [every.index(head) for head in sampled]
    slow, wanted = straight(model, pairs, sampled)
    ours, found = fast(model, pairs, every)
    difference = float((found[:, places].cpu() - wanted.cpu()).abs().max())
    if difference > TOLERANCE:
        raise SystemExit(f"the two sides differ by {difference:.2g} logits: no times are reported")
    scaled = slow.cpu_seconds * len(every) / len(sampled)
    return {
        "pairs": len(pairs),
        "heads": len(every),
        "sampled_heads": [head.name for head in sampled],
        "ours": asdict(ours),
        "straight_on_sample": asdict(slow),
        "straight_scaled_cpu_seconds": scaled,
        "ratio": scaled / ours.cpu_seconds,
        "ratio_by_the_clock": slow.seconds * len(every) / len(sampled) / ours.seconds,
        "largest_difference": difference,
        "largest_effect": float(found.abs().max()),
    }


def growth(model: Model, pairs: PairBatch, least: int) -> dict[str, Any]:
    """Cost for 1, 2 and 4 times the prompts, and for 1, 2 and 4 times the heads."""
    heads = heads_of(model)
    by_heads = [timed(model, again(pairs, least, 1), heads[::step]) for step in (8, 4, 2)]
    by_pairs = [timed(model, again(pairs, least, times), heads[::8]) for times in (1, 2, 4)]
    return {
        "by_heads": by_heads,
        "by_pairs": by_pairs,
        "heads_growth": proportion(by_heads, "heads"),
        "pairs_growth": proportion(by_pairs, "pairs"),
        "peak_bytes_of_4x_pairs_beyond_1x": by_pairs[-1]["peak_bytes"],
    }


def timed(model: Model, pairs: PairBatch, heads: list[Node]) -> dict[str, Any]:
    """One run; its peak is above what earlier runs left, so that of more pairs shows growth."""
    cost, _ = fast(model, pairs, heads)
    return {"pairs": len(pairs), "heads": len(heads), **asdict(cost)}


def again(pairs: PairBatch, least: int, times: int) -> PairBatch:
    """Some pairs several times, so that lengths are alike whatever their number."""
    middle = (len(pairs) - least) // 2
    return pairs.rows(torch.arange(middle, middle + least).repeat(times))


def proportion(runs: list[dict[str, Any]], what: str) -> float:
    """Growth of CPU time over growth of the number: 1 where cost grows in proportion."""
    first, last = runs[0], runs[-1]
    grown = last["cpu_seconds"] / first["cpu_seconds"]
    return float(grown / (last[what] / first[what]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--sampled-heads", type=int, default=6)
    parser.add_argument("--growth-pairs", type=int, default=8)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="where to write the record; shown either way")
    add_device(parser)
    args = parser.parse_args()
    device = device_of(args.device)
    torch.set_num_threads(args.threads)
    model = load_model(args.model, device=str(device))
    prompts = load_task("ioi", model.encoder, n_pairs=args.pairs, seed=args.seed, corruption="")
    pairs = pair_batch(model, prompts)
    record = {
        "benchmark": "patching_speed",
        "date": now(),
        "machine": machine(),
        **device_entry(device),
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "model": model.card(),
        "config": {name: value for name, value in vars(args).items() if name != "out"},
        "all_heads": against_straight(model, pairs, args.sampled_heads),
        "growth": growth(model, pairs, args.growth_pairs),
    }
    text = json.dumps(record, indent=2)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
