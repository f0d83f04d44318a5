"""Time the discrete autoencoder and its scores against straight readings of the paper.

Both sides run in this process, one after the other, on the same random data of the same sizes.
Scores are made sure to be equal before anything is reported; training takes the same draws, and in
float32 drifts apart by rounding, so its losses are shown side by side (tests compare them in
float64). Times are of this process alone, by the processor and by the clock, the best of
`--repeats`; the fast training, which is short, runs before and after the straight one, and its time
is the mean of the two.

There are two straight readings of the scores. *Dense* is the published one: arrays of heads x
heads x codes x codes, timed on a few heads and scaled by the number of pairs of heads, as they do
not fit for all. *Sets* is the leanest Python: sets of codes, and of pairs of codes, on as many
pairs of heads as is said, scaled likewise.

    OMP_NUM_THREADS=1 python benchmarks/discrete_sae_speed.py \
        --out benchmarks/records/discrete_sae_speed.json
    python benchmarks/discrete_sae_speed.py --heads 270 --d-model 576 --seeds 3

With `--device cuda` the fast side is on the card and the straight one stays on the CPU; ratios are
then by the clock.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from device import CPU, add_device, device_entry, device_of, wait
from needlepoint._core.provenance import machine, now, versions
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.code_pairs import edge_counts, pairs_unique_to_clean
from needlepoint.circuits.codes import codes_unique_to_clean
from needlepoint.circuits.dictionary import Dictionary
from needlepoint.testing import reference

BYTES_PER_MAXRSS = 1024  # Linux counts in KiB
DENSE_HEADS = 12
"""Heads on which the dense pair counts are timed."""
SET_HEADS = 24
"""Heads on which sets of pairs are timed."""


class Took(NamedTuple):
    """Seconds of one piece of work."""

    cpu: float
    clock: float

    def over(self, other: Took, *, by_clock: bool) -> float:
        """How many times as much time as another, by the processor or by the clock."""
        ratio = self.clock / other.clock if by_clock else self.cpu / other.cpu
        return round(ratio, 1)

    def scaled(self, factor: float) -> Took:
        """The same for so many times as much work."""
        return Took(self.cpu * factor, self.clock * factor)


def timed(work: Callable[[], Any], repeats: int, device: torch.device = CPU) -> tuple[Took, Any]:
    """Least processor time of `repeats` runs with the clock beside it, and the last result."""
    best, result = Took(float("inf"), float("inf")), None
    for _ in range(repeats):
        cpu, clock = time.process_time(), time.perf_counter()
        result = work()
        wait(device)
        best = min(best, Took(time.process_time() - cpu, time.perf_counter() - clock))
    return best, result


def peak_memory() -> int:
    """Most memory this process has held so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_PER_MAXRSS


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def head_outputs(n_examples: int, n_heads: int, d_model: int) -> Tensor:
    """Random outputs, each head with its own place and a norm spread like a real model's.

    Made in place, so that the most memory held before the timed work is that of the activations.
    """
    rng = generator(1)
    norm = torch.randn(n_heads, generator=rng).mul(0.8).add(1.7).exp() / d_model**0.5
    place = torch.randn(n_heads, d_model, generator=rng)
    noise = torch.randn(n_examples, n_heads, d_model, generator=rng)
    return noise.mul_(0.6).add_(0.8 * place).mul_(norm[:, None])


def fast_side(args: argparse.Namespace, heads: Tensor) -> dict[str, Any]:
    """Train, read and score all heads, with the memory that took beyond the activations."""
    before = peak_memory()
    train, dictionary = fast_training(args, heads)
    place = heads.device
    read, codes = timed(lambda: dictionary(heads), args.repeats, place)
    node, counts = timed(lambda: count_codes(codes[0], args.codes), 20 * args.repeats, place)
    edge, pairs = timed(lambda: count_pairs(codes[0], args.codes), args.repeats, place)
    return {
        "took": {"train": train, "read": read, "node": node, "edge": edge},
        "extra_peak_bytes": peak_memory() - before,
        "loss": dictionary.loss.tolist(),
        "codes": codes.cpu(),
        "counts": counts,
        "pairs": pairs.cpu(),
    }


def fast_training(args: argparse.Namespace, heads: Tensor) -> tuple[Took, Dictionary]:
    """All seeds as one ensemble."""
    config = Autoencoder(n_codes=args.codes, n_steps=args.steps, n_seeds=args.seeds)
    return timed(lambda: config.fit(heads, generator()), args.repeats, heads.device)


def is_clean(codes: Tensor) -> Tensor:
    return torch.arange(len(codes), device=codes.device) < len(codes) // 2


def count_codes(codes: Tensor, n_codes: int) -> Tensor:
    return codes_unique_to_clean(codes, is_clean(codes), n_codes=n_codes)


def count_pairs(codes: Tensor, n_codes: int) -> Tensor:
    unique = pairs_unique_to_clean(codes, is_clean(codes), n_codes=n_codes).unique
    edge_counts(unique)
    return unique


def straight_training(args: argparse.Namespace, heads: Tensor) -> tuple[Took, list[float], Tensor]:
    """One seed after another by autograd; time, losses, and the codes of the first seed."""
    rng = generator()
    total, losses, first = Took(0, 0), [], None
    for _ in range(args.seeds):
        state = rng.get_state()

        def train() -> reference.ReferenceSAE:
            rng.set_state(state)  # noqa: B023  called at once
            return reference.train_autoencoder(heads, rng, n_codes=args.codes, n_steps=args.steps)

        took, model = timed(train, args.repeats)
        total = Took(total.cpu + took.cpu, total.clock + took.clock)
        first = model if first is None else first
        rng.set_state(state)
        losses.append(straight_loss(model, heads, rng))
    assert first is not None
    return total, losses, first.codes(heads)


def straight_loss(model: reference.ReferenceSAE, heads: Tensor, rng: torch.Generator) -> float:
    """Loss on the examples that were trained on, drawn again; leaves the generator behind them."""
    reference.ReferenceSAE(heads.shape[-1], model.encoder.shape[0], rng)
    drawn = torch.randperm(len(heads), generator=rng)[: Autoencoder().n_train_examples]
    vectors = heads[drawn].flatten(0, 1)
    with torch.no_grad():
        return float(reference.autoencoder_loss(model, vectors, Autoencoder().sparsity))


def pair_sets(codes: Tensor) -> list[int]:
    """Unique pairs of codes of each two heads by Python sets."""
    clean = is_clean(codes).sum().item()
    columns = codes.T.tolist()
    found = []
    for one, two in combinations(columns, 2):
        seen = list(zip(one, two, strict=True))
        found.append(len(set(seen[:clean]) - set(seen[clean:])))
    return found


def straight_scores(args: argparse.Namespace, fast: dict[str, Any]) -> dict[str, Any]:
    """The straight readings of both scores, made sure to give the same counts."""
    codes = fast["codes"][0]
    clean = is_clean(codes)
    node, expected = timed(lambda: reference.codes_unique_to_clean(codes, clean), 5 * args.repeats)
    dense, unique = timed(
        lambda: reference.dense_pair_counts(codes[:, :DENSE_HEADS], clean, n_codes=args.codes)[0],
        args.repeats,
    )
    sets, counted = timed(lambda: pair_sets(codes[:, :SET_HEADS]), args.repeats)
    rows, columns = torch.triu_indices(SET_HEADS, SET_HEADS, offset=1)
    same = (
        fast["counts"].tolist() == expected
        and torch.equal(fast["pairs"][:DENSE_HEADS, :DENSE_HEADS], unique)
        and fast["pairs"][rows, columns].tolist() == counted
    )
    if not same:
        raise SystemExit("the fast counts differ from the straight ones: no times are reported")
    n_pairs = args.heads * (args.heads - 1)
    return {
        "node sets": node,
        "edge dense": dense.scaled((args.heads / DENSE_HEADS) ** 2),
        "edge sets": sets.scaled(n_pairs / (SET_HEADS * (SET_HEADS - 1))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    sizes = {"heads": 144, "d-model": 768, "codes": 200, "steps": 500, "seeds": 1, "examples": 500}
    for name, size in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--out", type=Path, help="where to write the record; shown either way")
    add_device(parser)
    args = parser.parse_args()
    device = device_of(args.device)
    heads = head_outputs(args.examples, args.heads, args.d_model)
    there = heads.to(device)
    if device != CPU:
        fast_training(args, there)  # starts the card
    fast = fast_side(args, there)
    ours: dict[str, Took] = fast["took"]
    trained, losses, codes = straight_training(args, heads)
    again, _ = fast_training(args, there)
    ours["train"] = Took(*(sum(both) / 2 for both in zip(ours["train"], again, strict=True)))
    theirs = straight_scores(args, fast)
    both = Took(*(sum(parts) for parts in zip(ours["node"], ours["edge"], strict=True)))
    straight = Took(
        *(sum(parts) for parts in zip(theirs["node sets"], theirs["edge dense"], strict=True))
    )
    by_clock = device != CPU
    record = {
        "benchmark": "discrete_sae_speed",
        "date": now(),
        "machine": machine(),
        **device_entry(device),
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "config": {name: value for name, value in vars(args).items() if name != "out"},
        "seconds": {name: took._asdict() for name, took in ours.items()},
        "straight_seconds": {
            "train": trained._asdict(),
            **{name: took._asdict() for name, took in theirs.items()},
        },
        "scaled": {"edge dense": f"from {DENSE_HEADS} heads", "edge sets": f"from {SET_HEADS}"},
        "ratio_by_the_clock" if by_clock else "ratio_of_processor_time": {
            name: slow.over(quick, by_clock=by_clock)
            for name, slow, quick in (
                ("train", trained, ours["train"]),
                ("node, against sets", theirs["node sets"], ours["node"]),
                ("edge, against dense", theirs["edge dense"], ours["edge"]),
                ("edge, against sets", theirs["edge sets"], ours["edge"]),
                ("node and edge, against dense", straight, both),
            )
        },
        "loss": fast["loss"],
        "straight_loss": losses,
        "same_codes_of_first_seed": float((fast["codes"][0] == codes).double().mean()),
        "activations_bytes": heads.numel() * heads.element_size(),
        "extra_peak_bytes": fast["extra_peak_bytes"],
    }
    text = json.dumps(record, indent=2)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
