"""Products of float32 matrices by torch's two libraries, and what the quicker one does for a model.

    python benchmarks/product_speed.py --out benchmarks/records/product_speed.json

1. Products of the shapes of SmolLM2's linear maps and of needlepoint's own work, by torch's default
   (MKL on x86) and by oneDNN, turn by turn, with the largest error of each against float64.
2. The forward pass of SmolLM2 on a batch, and the gradient of one of its outputs, with the products
   left to torch and as needlepoint loads it, turn by turn; how far the logits move.

Where needlepoint leaves products to torch, because there is nothing to gain, the second part
compares the model with itself.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from needlepoint._core.cores import free_cores
from needlepoint._core.files import write_text
from needlepoint._core.provenance import machine, now, versions
from needlepoint._core.records import jsonable
from needlepoint.models.load import load_model
from needlepoint.models.model import Batch, Model
from needlepoint.models.products import quick_product

SHAPES = {
    "one token": (1, 576, 1536),
    "16 tokens, keys": (16, 576, 192),
    "16 tokens, up": (16, 576, 1536),
    "64 tokens, up": (64, 576, 1536),
    "2048 tokens, keys": (2048, 576, 192),
    "2048 tokens, up": (2048, 576, 1536),
    "2048 tokens, down": (2048, 1536, 576),
    "16 tokens, logits": (16, 576, 49152),
    "class sums": (101, 256, 1536),
    "Gram matrix": (256, 5000, 256),
    "edges into one layer": (290, 92160, 16),
}
TEXT = "When Mary and John went to the store, John gave a drink to"


def turns(sides: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Wall times of each side, turn by turn, after one of each that does not count."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(repeats + 1):
        for name, work in sides.items():
            start = time.perf_counter()
            work()
            if repeat:
                times[name].append(time.perf_counter() - start)
    return times


def shapes(repeats: int) -> list[dict[str, Any]]:
    """Both libraries on every shape; oneDNN on its own where needlepoint would not take it."""
    found = []
    onednn: Any = torch.ops.mkldnn._linear_pointwise
    for name, (rows, width, columns) in SHAPES.items():
        draw = torch.Generator().manual_seed(0)
        left = torch.randn(rows, width, generator=draw)
        right = torch.randn(columns, width, generator=draw)
        sides: dict[str, Callable[[], Tensor]] = {
            "torch": lambda left=left, right=right: left @ right.T,
            "onednn": lambda left=left, right=right: onednn(left, right, None, "none", [], ""),
        }
        exact = left.double() @ right.double().T
        times = {name: median(every) for name, every in turns(sides, repeats).items()}
        work = 2e-9 * rows * width * columns
        found.append(
            {
                "product": name,
                "shape": (rows, width, columns),
                **{f"{side}_gflops": work / spent for side, spent in times.items()},
                "ratio": times["torch"] / times["onednn"],
                **{
                    f"{side}_largest_error": float((make() - exact).abs().max())
                    for side, make in sides.items()
                },
                "largest_value": float(exact.abs().max()),
            }
        )
        print(
            f"{name:22} {found[-1]['torch_gflops']:6.0f} {found[-1]['onednn_gflops']:6.0f} GFLOPS"
        )
    return found


def gradient(model: Model, batch: Batch) -> Tensor:
    """Gradient of the last token's largest logits at the embeddings."""
    embedded = model.module.get_input_embeddings()(batch.ids).detach().requires_grad_()
    out = model.module(inputs_embeds=embedded, use_cache=False).logits[:, -1]
    found: Tensor = torch.autograd.grad(out.amax(1).sum(), embedded)[0]
    return found


def left_to_torch(work: Callable[[], Any]) -> Any:
    """The work with products as torch makes them."""
    before = torch.backends.mkldnn.set_flags(False)
    try:
        return work()
    finally:
        torch.backends.mkldnn.set_flags(before[0])


def passes(model: Model, repeats: int) -> dict[str, Any]:
    """A forward pass and a gradient, both ways."""
    batch = model.batch([model.encoder.encode(TEXT)] * 64)
    few = batch.rows(slice(0, 16))
    model.module.requires_grad_(False)
    works: dict[str, Callable[[], Any]] = {
        "forward pass": lambda: model.hidden(batch),
        "gradient": lambda: gradient(model, few),
    }
    found: dict[str, Any] = {}
    for name, work in works.items():
        sides = {"torch": lambda work=work: left_to_torch(work), "as loaded": work}
        times = turns(sides, repeats)
        one, other = (median(times[side]) for side in sides)
        found[name] = {"seconds_every": times, "ratio": one / other}
        print(f"{name}: {one:.2f} s left to torch, {other:.2f} s as loaded ({one / other:.2f}x)")
    with torch.no_grad():
        logits = model.logits(few)
        moved = (logits - left_to_torch(lambda: model.logits(few))).abs().max()
    found["largest_change_of_a_logit"] = float(moved)
    return found


def main() -> None:
    """Measure, print, and keep the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=0, help="the free cores if 0")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads or free_cores())
    model = load_model("smollm2", dtype="float32")
    record = {
        "benchmark": "products of float32 matrices by MKL and by oneDNN",
        "date": now(),
        "machine": machine(),
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "taken_here": quick_product() is not None,
        "model": model.card(),
        "products": shapes(args.repeats),
        "model_passes": passes(model, args.repeats),
    }
    if args.out:
        write_text(args.out, json.dumps(jsonable(record), indent=1) + "\n")


if __name__ == "__main__":
    main()
