"""Time what a reader of the explorer's live page waits for, on a text of 64 tokens.

Each question goes through the whole application: the guard, the checks of its body, the model
and the JSON of the answer. Every kind is asked several times, in turn with the others, so that a
slow minute of the machine falls on all of them; texts are new each time except where the kind says
otherwise. Beside the times stands the bare forward pass of the same length: the ratio to it, in
CPU time, does not depend on what else the machine does, and wall times do, so the load is recorded.

    python benchmarks/explorer_speed.py --out benchmarks/records/explorer_speed.json
    python benchmarks/explorer_speed.py --repeats 3 --threads 1
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from starlette.testclient import TestClient

from needlepoint._core.provenance import machine, now, versions
from needlepoint.explorer.live.service import LiveModel
from needlepoint.explorer.run_folders.library import Library
from needlepoint.explorer.server.app import create_app
from needlepoint.explorer.server.guard import HEADER
from needlepoint.models.load import load_model
from needlepoint.models.model import Model

AIM = 300.0
"""Milliseconds."""
SENTENCE = "When Mary and John went to the store by the river, John gave a drink of water to"


def text(model: Model, place: int, tokens: int) -> str:
    """A text of exactly so many tokens with the model's first one; each place has its own."""
    known = SENTENCE.split()
    words = [f"Day {place}:"] + [known[(i * 7 + place) % len(known)] for i in range(2 * tokens)]
    ids = model.encoder.encode(" ".join(words))[: tokens - len(model.prefix)]
    return str(model.encoder.tokenizer.decode(ids))


def questions(model: Model, tokens: int) -> dict[str, Callable[[int], dict[str, Any]]]:
    """Kinds of question by name: from the number of the repeat to the body of the request."""
    middle, last = model.shape.n_layers // 2, model.shape.n_layers - 1
    sites = [f"L{layer}.N{7 * layer}" for layer in (2, middle, last)]
    sites += [f"L{layer}.H1" for layer in (1, middle, last)]

    def zero(layer: int) -> list[dict[str, Any]]:
        return [{"site": f"L{layer}.H1", "kind": "zero"}]

    def new(place: int) -> str:
        return text(model, place, tokens)

    def contrast(place: int) -> dict[str, Any]:
        corrupt = new(place).replace("Mary", "Anna").replace("John", "Paul")
        return {"corrupt": corrupt, "answer": [" Mary"], "wrong": [" John"]}

    kept = new(10**6)
    return {
        "new text, predictions": lambda i: {"text": new(i)},
        "new text, 3 neurons and 3 heads": lambda i: {"text": new(i + 1000), "sites": sites},
        "new text, 6 sites, head of a middle layer off": lambda i: {
            "text": new(i + 2000), "sites": sites, "edits": zero(middle)},
        "new text, 6 sites, head of layer 1 off": lambda i: {
            "text": new(i + 3000), "sites": sites, "edits": zero(1)},
        "new text and corrupt prompt, 6 sites, head of a middle layer off": lambda i: {
            "text": new(i + 4000), "sites": sites, "edits": zero(middle),
            "contrast": contrast(i + 4000)},
        "same text, another token": lambda i: {
            "text": kept, "sites": sites, "position": 1 + i % (tokens - 2)},
        "same text, another edit of a middle layer": lambda i: {
            "text": kept, "sites": sites,
            "edits": [{"site": f"L{middle}.H1", "kind": "scale", "factor": i / 10}]},
        "same text, another edit of layer 1": lambda i: {
            "text": kept, "sites": sites,
            "edits": [{"site": "L1.H1", "kind": "scale", "factor": i / 10}]},
    }  # fmt: skip


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Milliseconds of wall and of CPU time."""
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return 1000 * (time.perf_counter() - start), 1000 * (time.process_time() - cpu)


def bare(model: Model, tokens: int) -> Callable[[], None]:
    """One forward pass of a text, with the logits of its last token."""
    batch = model.batch([model.encoder.encode(text(model, 0, tokens))])

    def run() -> None:
        with torch.no_grad():
            model.last_logits(batch)

    return run


def measure(model: Model, client: TestClient, tokens: int, repeats: int) -> dict[str, Any]:
    """Every kind of question in turn, with the bare pass between; the first round warms up."""
    kinds, forward = questions(model, tokens), bare(model, tokens)
    times: dict[str, list[tuple[float, float]]] = {}

    def post(body: dict[str, Any]) -> None:
        answer = client.post("/api/read", json=body, headers={HEADER: "1"})
        if answer.status_code != 200:
            raise SystemExit(f"refused: {answer.text}")

    for place in range(repeats + 1):
        times.setdefault("bare forward pass", []).append(timed(forward))
        for name, body in kinds.items():
            asked = body(place)
            if name.startswith("same text"):
                post({"text": asked["text"], "sites": asked["sites"]})
            times.setdefault(name, []).append(timed(lambda asked=asked: post(asked)))
    passes = times["bare forward pass"][1:]
    return {name: summed(found[1:], passes) for name, found in times.items()}


def summed(found: list[tuple[float, float]], passes: list[tuple[float, float]]) -> dict[str, Any]:
    """Medians and extremes, and the CPU time in bare passes."""
    wall, cpu = zip(*found, strict=True)
    return {
        "wall_ms_median": round(median(wall), 1),
        "wall_ms_least": round(min(wall), 1),
        "wall_ms_most": round(max(wall), 1),
        "cpu_ms_median": round(median(cpu), 1),
        "cpu_of_bare_pass": round(median(cpu) / median(one for _, one in passes), 2),
        "within_aim": median(wall) <= AIM,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="where to write the record; shown either way")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = load_model(args.model)
    app = create_app(Library([]), LiveModel(model, args.model))
    client = TestClient(app, base_url="http://127.0.0.1:8765")
    before = os.getloadavg()[0]
    found = measure(model, client, args.tokens, args.repeats)
    record = {
        "benchmark": "what a reader of the explorer's live page waits for",
        "date": now(),
        "machine": machine(),
        "load_average": {"before": before, "after": os.getloadavg()[0]},
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "model": model.card(),
        "config": {name: value for name, value in vars(args).items() if name != "out"},
        "aim_ms": AIM,
        "questions": found,
    }
    shown = json.dumps(record, indent=1)
    print(shown)
    if args.out:
        args.out.write_text(shown + "\n")


if __name__ == "__main__":
    main()
