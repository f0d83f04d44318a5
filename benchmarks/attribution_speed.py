"""Time and memory of edge attribution on a real model, against keeping every gradient.

    python benchmarks/attribution_speed.py --out benchmarks/records/attribution_speed.json

1. Growth with prompts: EAP and EAP-IG (inputs) on 25, 50 and 100 pairs of a task. Each is run in a
   process of its own that loads the model, runs one pair, and then notes how far its peak memory
   rises during the timed call, beside what `memory_bytes` told for a piece.
2. Against a straight reading: the terms of all writers on both prompts are kept side by side, every
   reader is given an input of its own by `run_cut`, and the derivative of the metric in every cut
   is EAP. On few pairs, as its memory allows, each side in a process of its own; the scores are
   checked to agree. (In the record of 2026-11-22 and before, `run_cut` let autograd keep a gradient
   for each reader; it now keeps one for each writer, so that this side has become cheaper.)

Every time is given by the clock and as processor time over all threads. Where others use the
machine, run with `--threads 1` and read the ratios of processor time. With `--device cuda` both
sides are on the card, and so is the memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from device import add_device, device_entry, device_of, wait
from needlepoint._core.files import write_text
from needlepoint._core.provenance import cores, machine, now, versions
from needlepoint.circuits.attribution import attribution_patching, eap, eap_gim, eap_ig_inputs
from needlepoint.circuits.attribution.edge_attribution import STEPS
from needlepoint.circuits.attribution.memory import memory_bytes, piece_size
from needlepoint.circuits.graph.run import run_cut
from needlepoint.circuits.graph.terms import terms
from needlepoint.circuits.methods import Question
from needlepoint.evaluation.read_heads import pair_batch
from needlepoint.models.load import load_model
from needlepoint.tasks import load_task

BYTES_PER_MAXRSS = 1024  # Linux counts in KiB
METHODS = {
    "attribution_patching": attribution_patching,
    "eap": eap,
    "eap_gim": eap_gim,
    "eap_ig_inputs": eap_ig_inputs,
}
COPIES = {"eap_ig_inputs": STEPS}
STRAIGHT = "straight reading of EAP"


def straight(question: Question) -> Tensor:
    """EAP as the derivative of the metric in every cut, all gradients kept until the end."""
    model, pairs, graph = question.model, question.pairs, question.graph
    with torch.no_grad():
        replaced = terms(model, pairs.corrupt)
    cut = (1e-20 * graph.edges[None].to(model.device, model.dtype)).requires_grad_()
    metric = run_cut(model, pairs, cut, replaced).mean()
    (found,) = torch.autograd.grad(metric, cut)
    return found[0].cpu() * graph.edges


def peak(device: torch.device) -> int:
    """Most memory this process has held so far on the device, in bytes."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_PER_MAXRSS


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Time and memory of one method on so many pairs, in this process."""
    torch.set_num_threads(args.threads)
    device = device_of(args.device)
    model = load_model(args.model, device=str(device))
    prompts = load_task(args.task, model.encoder, n_pairs=max(args.pairs, 100), seed=0)
    pairs = pair_batch(model, prompts.first(args.pairs))
    work = straight if args.method == STRAIGHT else METHODS[args.method]
    for weight in model.module.parameters():
        weight.requires_grad_(False)
    METHODS["eap"](Question(model, pairs.rows(slice(0, 1))))
    wait(device)
    before, wall, cpu = peak(device), time.perf_counter(), time.process_time()
    found: Any = work(Question(model, pairs))
    wait(device)
    wall, cpu, after = time.perf_counter() - wall, time.process_time() - cpu, peak(device)
    scores = found if isinstance(found, Tensor) else found.edges
    if args.keep is not None and scores is not None:
        torch.save(scores.cpu(), args.keep)
    copies, width = COPIES.get(args.method, 1), pairs.clean.ids.shape[1]
    told = memory_bytes(model, piece_size(model, pairs, copies=copies) * width, copies=copies)
    return {
        "method": args.method,
        "pairs": args.pairs,
        "tokens": int(pairs.clean.lengths.sum()),
        "seconds": wall,
        "cpu_seconds": cpu,
        "peak_above_model_mib": (after - before) / 2**20,
        "told_mib": None if args.method == STRAIGHT else told / 2**20,
    }


def apart(args: argparse.Namespace, method: str, pairs: int, keep: Path | None) -> dict[str, Any]:
    """The same in a fresh process, so that peaks do not hide one another."""
    command = [sys.executable, __file__, "--method", method, "--pairs", str(pairs)]
    command += ["--model", args.model, "--task", args.task, "--threads", str(args.threads)]
    command += ["--device", args.device]
    command += ["--keep", str(keep)] if keep else []
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{method:24s} {pairs:4d} pairs {row['seconds']:7.1f} s "
        f"{row['cpu_seconds']:7.1f} s of processor {row['peak_above_model_mib']:6.0f} MiB",
        flush=True,
    )
    return row


def against_straight(args: argparse.Namespace) -> dict[str, Any]:
    """Both sides on the same few pairs, and by how much their scores differ."""
    with tempfile.TemporaryDirectory() as folder:
        kept = {name: Path(folder) / f"{place}.pt" for place, name in enumerate(("eap", STRAIGHT))}
        rows = {name: apart(args, name, args.few, path) for name, path in kept.items()}
        ours, theirs = (torch.load(path, weights_only=True) for path in kept.values())
    ratio = {
        key: rows[STRAIGHT][key] / rows["eap"][key]
        for key in ("seconds", "cpu_seconds", "peak_above_model_mib")
    }
    return {
        "rows": list(rows.values()),
        "straight_over_ours": ratio,
        "largest_score": float(theirs.abs().max()),
        "largest_difference": float((ours - theirs).abs().max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--task", default="ioi")
    parser.add_argument("--sizes", type=int, nargs="+", default=[25, 50, 100])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--few", type=int, default=4, help="pairs for the straight reading")
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--out", type=Path)
    parser.add_argument("--method", help="measure this method alone, in this process")
    parser.add_argument("--pairs", type=int, default=25)
    parser.add_argument("--keep", type=Path, help="where to keep the scores of that method")
    add_device(parser)
    args = parser.parse_args()
    device = device_of(args.device)
    if args.method:
        print(json.dumps(measure(args)))
        return
    growth = [apart(args, name, n, None) for name in args.methods for n in args.sizes]
    record = {
        "date": now(),
        "machine": machine(),
        **device_entry(device),
        "versions": versions(),
        "threads": args.threads,
        "model": args.model,
        "task": args.task,
        "growth": growth,
        "against_straight": against_straight(args),
    }
    print(json.dumps(record["against_straight"], indent=2))
    if args.out:
        write_text(args.out, json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
