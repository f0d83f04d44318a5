"""Time the discrete autoencoder and its scores against the straight reading of the paper.

Both sides run in this process, one after the other, on the same random data of the same sizes,
and are checked to agree before anything is reported. Each number is the best of `--repeats`.

    python benchmarks/discrete_sae_speed.py --out record.json
    python benchmarks/discrete_sae_speed.py --heads 270 --d-model 576 --seeds 3
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from needlepoint._core.provenance import machine, now, versions
from needlepoint.circuits.autoencoder import DiscreteSAE
from needlepoint.circuits.codes import codes_unique_to_clean, edge_counts, pairs_unique_to_clean
from needlepoint.testing import reference

BYTES_PER_MAXRSS = 1024  # Linux counts in KiB
DENSE_HEADS = 12
"""Heads on which the dense pair counts are timed; their arrays do not fit for all heads."""


def timed(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Best wall time of `repeats` runs, and the last result."""
    best, result = float("inf"), None
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return best, result


def peak_memory() -> int:
    """Most memory this process has held so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_PER_MAXRSS


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def head_outputs(n_examples: int, n_heads: int, d_model: int) -> Tensor:
    """Random outputs, each head with its own place and a norm spread like a real model's."""
    rng = generator(1)
    norm = torch.randn(n_heads, generator=rng).mul(0.8).add(1.7).exp() / d_model**0.5
    place = torch.randn(n_heads, d_model, generator=rng)
    noise = torch.randn(n_examples, n_heads, d_model, generator=rng)
    outputs: Tensor = norm[:, None] * (0.8 * place + 0.6 * noise)
    return outputs


def training(args: argparse.Namespace, heads: Tensor) -> tuple[dict[str, Any], Tensor]:
    """Train all seeds on both sides; one seed after another is the only way of the reference."""
    config = DiscreteSAE(n_codes=args.codes, n_steps=args.steps, n_seeds=args.seeds)
    before = peak_memory()
    fast, dictionary = timed(lambda: config.fit(heads, generator()), args.repeats)
    ours = peak_memory() - before
    stopped, short = timed(lambda: replace(config, plateau=0.02).fit(heads, generator()), 1)

    def straight() -> list[reference.ReferenceSAE]:
        rng = generator()
        options = {"n_codes": args.codes, "n_steps": args.steps}
        return [reference.train_autoencoder(heads, rng, **options) for _ in range(args.seeds)]

    slow, models = timed(straight, args.repeats)
    codes = dictionary(heads)
    expected = torch.stack([model.codes(heads) for model in models])
    found = {
        "seconds": fast,
        "reference_seconds": slow,
        "ratio": slow / fast,
        "extra_peak_bytes": ours,
        "same_codes": float((codes == expected).double().mean()),
        "plateau": {"seconds": stopped, "steps": short.n_steps, "loss": short.loss.tolist()},
        "loss": dictionary.loss.tolist(),
    }
    return found, codes[0]


def scoring(args: argparse.Namespace, codes: Tensor) -> dict[str, Any]:
    """Node and edge scores; the dense reference on a few heads only, and ours on the same few."""
    is_clean = torch.arange(len(codes)) < len(codes) // 2
    few = codes[:, :DENSE_HEADS]

    def node() -> list[int]:
        return codes_unique_to_clean(codes, is_clean, n_codes=args.codes).tolist()

    def edge(of: Tensor) -> Tensor:
        return pairs_unique_to_clean(of, is_clean, n_codes=args.codes).unique

    def dense() -> Tensor:
        return reference.dense_pair_counts(few, is_clean, n_codes=args.codes)[0]

    fast, counts = timed(node, args.repeats)
    slow, expected = timed(lambda: reference.codes_unique_to_clean(codes, is_clean), args.repeats)
    pairs, unique = timed(lambda: edge(codes), args.repeats)
    ours, few_unique = timed(lambda: edge(few), args.repeats)
    theirs, few_expected = timed(dense, args.repeats)
    same = counts == expected and torch.equal(few_unique, few_expected)
    if not same:
        raise SystemExit("the fast counts differ from the reference: no times are reported")
    return {
        "node": {"seconds": fast, "reference_seconds": slow, "ratio": slow / fast},
        "edge": {"seconds": pairs, "counted": int(edge_counts(unique).sum())},
        "edge_few_heads": {
            "heads": few.shape[1],
            "seconds": ours,
            "reference_seconds": theirs,
            "ratio": theirs / ours,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    sizes = {"heads": 144, "d-model": 768, "codes": 200, "steps": 500, "seeds": 3, "examples": 500}
    for name, size in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="where to write the record; shown either way")
    args = parser.parse_args()
    heads = head_outputs(args.examples, args.heads, args.d_model)
    trained, codes = training(args, heads)
    record = {
        "benchmark": "discrete_sae_speed",
        "date": now(),
        "machine": machine(),
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "config": {name: value for name, value in vars(args).items() if name != "out"},
        "training": trained,
        "scores": scoring(args, codes),
        "peak_bytes": peak_memory(),
    }
    text = json.dumps(record, indent=2)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
