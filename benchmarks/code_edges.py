"""Edges from codes on SmolLM2, held against exact path patching of the same pairs of heads.

    python benchmarks/code_edges.py --out benchmarks/records/code_edges.json

Codes are of one discrete autoencoder, trained and read on the prompts of indirect object
identification. `code_edges` scores every earlier head with every later one; then the pairs of the
heads that matter most by `records/head_effects.ioi.json`, the pairs that each statistic puts first
and as many random ones are patched, through the queries, keys and values of the later head, one
at a time. A pair's exact effect is that of the largest of these; it counts as confirmed from three
standard errors. Times are of the processor, as other work on the machine does not lengthen them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.files import write_text
from needlepoint._core.progress import progress_bars
from needlepoint._core.provenance import machine, now, versions
from needlepoint._core.records import jsonable
from needlepoint._core.seeds import seed_for
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.calibrated.calibrate_heads import coded_heads
from needlepoint.circuits.calibrated.coding import Coding
from needlepoint.circuits.calibrated.design import Design
from needlepoint.circuits.calibrated.edges import CodeEdges, code_edges
from needlepoint.circuits.graph.graph import Graph, Kind
from needlepoint.circuits.head_data import HeadData
from needlepoint.circuits.methods import Question
from needlepoint.circuits.search.edge_patching import edge_effects
from needlepoint.evaluation.metrics import roc_auc, spearman
from needlepoint.evaluation.read_heads import pair_batch
from needlepoint.evaluation.read_pairs import read_pairs
from needlepoint.models.load import load_model
from needlepoint.tasks import load_task

EFFECTS = Path(__file__).parent / "records" / "head_effects.ioi.json"
STATISTICS = ("coupling", "interaction", "difference")
PAIRS, PATCHED, STRONGEST, LEADING = 100, 12, 12, 10
CONTROL = "change of one times change of the other"
Ends = tuple[int, int]


@dataclass(frozen=True)
class Exact:
    """Path patching of some pairs of heads: the input of the later head that matters most."""

    effect: dict[Ends, float]
    errors: dict[Ends, float]
    """The largest effect of an input, in standard errors of its own."""
    edges: int
    seconds: float
    """Of processor time."""

    def summary(self, pairs: Sequence[Ends]) -> dict[str, Any]:
        """How many of some pairs are confirmed, and how large their effects are."""
        sizes = torch.tensor([abs(self.effect[pair]) for pair in pairs])
        return {
            "n": len(pairs),
            "confirmed": sum(self.errors[pair] > 3 for pair in pairs),
            "median_effect": float(sizes.median()),
            "largest_effect": float(sizes.max()),
        }


def patched(question: Question, pairs: Sequence[Ends]) -> Exact:
    """The exact effect of each pair of heads, numbered in layer-major order."""
    graph = question.graph
    mask = torch.zeros_like(graph.edges)
    for one, two in pairs:
        mask |= inputs_of(graph, one, two)
    start = time.process_time()
    effects = edge_effects(question, mask)
    seconds = time.process_time() - start
    mean, errors = torch.zeros(2, *mask.shape, dtype=torch.float64)
    mean[mask] = effects.double().mean(1)
    spread = effects.double().std(1) / effects.shape[1] ** 0.5
    errors[mask] = mean[mask].abs() / spread.clamp(min=1e-12)
    largest = {pair: mean[inputs_of(graph, *pair)] for pair in pairs}
    return Exact(
        {pair: float(found[found.abs().argmax()]) for pair, found in largest.items()},
        {pair: float(errors[inputs_of(graph, *pair)].max()) for pair in pairs},
        int(mask.sum()),
        seconds,
    )


def inputs_of(graph: Graph, one: int, two: int) -> Bool[Tensor, "writer reader"]:
    """The edges from one head into the queries, keys and values of another."""
    writers = graph.is_head.nonzero()[:, 0].tolist()
    mask = torch.zeros_like(graph.edges)
    mask[writers[one]] = graph.feeds[:, writers[two]]
    return mask & graph.edges


def strongest_pairs(layer_of: Tensor) -> list[Ends]:
    """Every earlier and later head among those with the largest exact effects."""
    effects = torch.tensor(json.loads(EFFECTS.read_text())["effects"])
    heads = effects.mean(0).abs().topk(STRONGEST).indices.tolist()
    return [(one, two) for one in heads for two in heads if layer_of[one] < layer_of[two]]


def random_pairs(layer_of: Tensor, n: int) -> list[Ends]:
    """Some earlier and later heads, drawn evenly from all such pairs."""
    places = (layer_of[:, None] < layer_of[None, :]).nonzero()
    draws = torch.Generator().manual_seed(seed_for(0, use="random pairs of heads"))
    return [tuple(row) for row in places[torch.randperm(len(places), generator=draws)[:n]].tolist()]


def leading(found: CodeEdges, by: str, n: int) -> list[Ends]:
    """The pairs whose statistic lies furthest from its null, on either side."""
    z = getattr(found, by).z.abs().nan_to_num(-1)
    return [divmod(place, z.shape[1]) for place in z.flatten().topk(n).indices.tolist()]


def change_products(data: HeadData) -> Float[Tensor, "head head"]:
    """A control that knows no codes: how much both heads change from clean to corrupt."""
    change = (data.clean - data.corrupt).mean(0).norm(dim=-1)
    return change[:, None] * change[None, :]


def agreement(found: CodeEdges, data: HeadData, exact: Exact, pairs: list[Ends]) -> dict[str, Any]:
    """How well each statistic, and the control, orders the pairs of the strongest heads."""
    size = torch.tensor([abs(exact.effect[pair]) for pair in pairs])
    true = torch.tensor([exact.errors[pair] > 3 for pair in pairs])
    strengths = {by: getattr(found, by).z.abs() for by in STATISTICS}
    rows = {}
    for name, strength in {**strengths, CONTROL: change_products(data)}.items():
        score = torch.tensor([float(strength[pair]) for pair in pairs]).nan_to_num(0)
        rows[name] = {"auc": roc_auc(score, true), "spearman": spearman(score, size)}
    return rows


def study() -> dict[str, Any]:
    """Score all pairs of heads, patch some of them, and hold one against the other."""
    model = load_model("smollm2", dtype="float32")
    prompts = load_task("ioi", model.encoder, n_pairs=PAIRS, seed=0)
    data = read_pairs(model, prompts, Autoencoder(n_seeds=1)).data
    draws = torch.Generator().manual_seed(seed_for(0, use="code edges"))
    design = Design.of_pairs(data)
    codes = coded_heads(data, design, draws, Coding(n_folds=1))[0].codes[0]
    start = time.process_time()
    found = code_edges(codes, design, data.layer_of, draws)
    seconds = time.process_time() - start
    chosen = {f"first by {by}": leading(found, by, LEADING) for by in STATISTICS}
    chosen["random"] = random_pairs(data.layer_of, LEADING)
    chosen["of the strongest heads"] = strongest_pairs(data.layer_of)
    question = Question(model, pair_batch(model, prompts.first(PATCHED)))
    exact = patched(question, sorted({pair for pairs in chosen.values() for pair in pairs}))
    names = [node.name for node in question.graph.writers if node.kind is Kind.HEAD]
    q = {by: getattr(found, by).q[found.allowed] for by in STATISTICS}
    return {
        "model": model.card(),
        "code_edges": {
            "pairs_of_heads": int(found.allowed.sum()),
            "processor_seconds": seconds,
            "q_below_5_percent": {by: int((q[by] <= 0.05).sum()) for by in STATISTICS},
        },
        "patching": {"edges": exact.edges, "processor_seconds": exact.seconds},
        "groups": {name: exact.summary(pairs) for name, pairs in chosen.items()},
        "agreement": agreement(found, data, exact, chosen["of the strongest heads"]),
        "patched": [
            {"from": names[one], "to": names[two], "effect": exact.effect[one, two]}
            | {"standard_errors": exact.errors[one, two]}
            | {by: float(getattr(found, by).z[one, two]) for by in STATISTICS}
            for one, two in exact.effect
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with progress_bars():
        found = study()
    record = {
        "benchmark": "code_edges",
        "date": now(),
        "machine": machine(),
        "versions": versions(),
        "settings": {"task": "ioi", "pairs": PAIRS, "patched_pairs": PATCHED, "threads": 1},
        **found,
    }
    write_text(args.out, json.dumps(jsonable(record), indent=1) + "\n")


if __name__ == "__main__":
    main()
