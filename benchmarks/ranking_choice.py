"""Which ranking to take: test F1 of the k leading neurons of each, on packaged collections.

    python benchmarks/ranking_choice.py
    python benchmarks/ranking_choice.py --page

For every ranking and k the k neurons that it puts first on training rows are fitted; layer, penalty
and cut are chosen on validation rows; the layer of each k is tested once, as `needlepoint probe
--method top_k --ranking NAME` does. Figures are means of test F1 over the features of a
collection, or of all; intervals resample test documents, all rankings and features on the same
resamples, so that differences are paired. `f_statistic` is left out: it orders neurons as the
standardised difference does. Adaptive thresholding, the default of studies, stands beside them.

The record is benchmarks/records/ranking_choice.json, the table in docs/methods/rankings.md.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from needlepoint._core.files import write_text
from needlepoint._core.progress import progress_bars
from needlepoint._core.provenance import machine, now, versions
from needlepoint._core.records import jsonable
from needlepoint._core.seeds import seed_for
from needlepoint.evaluation.clustered import Resamples, f1_of
from needlepoint.evaluation.configs import NeuronsConfig
from needlepoint.evaluation.find_neurons import ask_collection
from needlepoint.evaluation.held_out_sizes import size_odds
from needlepoint.evaluation.intervals import percentile_interval, resample_counts
from needlepoint.evaluation.join_features import join_features
from needlepoint.evaluation.read_neurons import NeuronData, cut_to_fit, read_neurons
from needlepoint.models.load import load_model
from needlepoint.models.model import Model
from needlepoint.probing.ranking_methods import RANKINGS
from needlepoint.probing.select import LayerProbes, choose_sizes, probe_layer
from needlepoint.probing.selectors import RANKING, SELECTORS

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "benchmarks" / "records" / "ranking_choice.json"
PAGE = ROOT / "docs" / "methods" / "rankings.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
COLLECTIONS = {"text_features": (100, 0), "programming_language": (48, 48)}
"""Collections by default, with texts for each feature and tokens of a text (0: its own length)."""
SWEEP = "adaptive_thresholding"
METHODS = (*(name for name in RANKINGS if name != "f_statistic"), SWEEP)
"""Rankings whose leading neurons are read, and the sweep that starts from the first of them."""
KS = (1, 2, 4, 8, 16, 32, 64)
POOLED = "all"


def probe(method: str, parts: Sequence[Tensor], seed: int) -> LayerProbes:
    """Probes of every k by one method on one layer."""
    if method == SWEEP:
        return probe_layer(*parts, ks=KS)
    return probe_layer(*parts, ks=KS, method="top_k", ranking=method, seed=seed)


def searched(
    data: NeuronData, layers: Sequence[int], seed: int
) -> tuple[dict[str, list[LayerProbes]], dict[str, float]]:
    """The probes of each method on each layer, and the processor seconds that each took.

    Those of the first method on the first collection include the compiling of loops.
    """
    found: dict[str, list[LayerProbes]] = {method: [] for method in METHODS}
    seconds = dict.fromkeys(METHODS, 0.0)
    for layer in layers:
        acts = data.layer(layer)
        for method in METHODS:
            begin, parts = time.process_time(), []
            for group in data.groups:
                own = data.labels[:, list(group.features)]
                fit, check = group.train, group.validation
                parts.append(probe(method, (acts[fit], own[fit], acts[check], own[check]), seed))
            found[method].append(join_features(parts, [list(g.features) for g in data.groups]))
            seconds[method] += time.process_time() - begin
    return found, seconds


def tested(
    data: NeuronData, found: Mapping[str, Sequence[LayerProbes]], layers: Sequence[int], seed: int
) -> tuple[Tensor, Tensor]:
    """Test F1 `[method, feature, k]`, and the same on resamples of documents, those last."""
    documents = torch.unique(data.documents[data.test], return_inverse=True)[1]
    place = torch.full((len(data.documents),), -1)
    place[data.test] = documents
    generator = torch.Generator().manual_seed(seed)
    counts = resample_counts(documents, torch.zeros_like(documents), generator=generator)
    points, spreads = [], []
    for method in METHODS:
        sizes = [
            [replace(kept, layer=layers[kept.layer]) for kept in some]
            for some in choose_sizes(found[method])
        ]
        for feature, odds in enumerate(size_odds(data, sizes)):
            test = data.of(feature).test
            called = odds > torch.tensor([kept.cut for kept in sizes[feature]])
            truth = data.labels[test, feature]
            resamples = Resamples(counts, place[test], truth)
            points.append(torch.tensor([f1_of(column, truth) for column in called.T]))
            spreads.append(resamples.f1(called).T)
    shape = len(METHODS), len(sizes), len(KS)
    return torch.stack(points).view(shape), torch.stack(spreads).view(*shape, -1)


def rows(name: str, points: Tensor, spreads: Tensor) -> list[dict[str, Any]]:
    """Mean F1 of each method and k with its interval, and its difference from the default's.

    A resample on which a feature has no F1, for want of positives, counts without that feature.
    """
    means, resampled = points.mean(1), spreads.nanmean(1)
    default, found = METHODS.index(RANKING), []
    for at, method in enumerate(METHODS):
        for size, k in enumerate(KS):
            f1 = percentile_interval(resampled[at, size], float(means[at, size]))
            less = float(means[at, size] - means[default, size])
            over = percentile_interval(resampled[at, size] - resampled[default, size], less)
            row = {"collection": name, "method": method, "k": k, **f1._asdict()}
            found.append(
                row | {f"difference_{key}": value for key, value in over._asdict().items()}
            )
    return found


def measure(model: Model, options: argparse.Namespace) -> dict[str, Any]:
    """The record: every collection by itself, and all features together."""
    layers = range(options.first_layer, model.shape.n_layers, options.layer_step)
    collections, found, points, spreads = [], [], [], []
    for name in options.collections:
        examples, tokens = COLLECTIONS.get(name, (60, 0))
        examples = options.examples or examples
        config = NeuronsConfig(name, examples=examples, tokens=tokens, seed=options.seed)
        collection = cut_to_fit(model, ask_collection(config, model.encoder))
        seed = seed_for(options.seed, features=name, use="split")
        data = read_neurons(model, collection, seed=seed)
        probes, seconds = searched(data, layers, options.seed)
        point, spread = tested(data, probes, layers, options.seed)
        points.append(point)
        spreads.append(spread)
        found += rows(name, point, spread)
        documents = len(torch.unique(data.documents[data.test]))
        collections.append(
            {
                "name": name,
                "examples": examples,
                "tokens": tokens,
                "sha256": collection.sha256,
                "features": len(collection.features),
                "rows": len(collection.rows),
                "test_rows": len(data.test),
                "test_documents": documents,
                "processor_seconds": seconds,
            }
        )
    found += rows(POOLED, torch.cat(points, 1), torch.cat(spreads, 1))
    return {
        "benchmark": "ranking_choice",
        "asked": {name: value for name, value in vars(options).items() if name != "page"},
        "model": model.name,
        "model_sha256": model.card()["sha256"],
        "layers": list(layers),
        "collections": collections,
        "rows": found,
        "threads": torch.get_num_threads(),
        "date": now(),
        "machine": machine(),
        "versions": versions(),
    }


def write_page(record: Mapping[str, Any]) -> None:
    """Put the table between the marks of the page on rankings."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    write_text(PAGE, f"{before}{BEGIN}\n{table(record)}\n{END}{after}")


def table(record: Mapping[str, Any]) -> str:
    """Mean test F1 over all features, a row for each method, as Markdown."""
    some = record["collections"]
    n_features = sum(one["features"] for one in some)
    names = ", ".join(one["name"].replace("_", " ") for one in some)
    by_place = {(row["method"], row["k"]): row for row in record["rows"] if _pooled(row)}
    lines = [
        f"Mean test F1 over {n_features} features ({names}; {len(record['layers'])} layers of "
        f"{record['model']}, {sum(one['test_documents'] for one in some):,} test documents) of "
        "the k leading neurons of each ranking, with 95 % intervals, documents resampled. Bold: "
        f"the difference from `{RANKING}`, on the same resamples, has an interval without 0. Each "
        "interval stands for itself: of so many, a few leave out 0 by luck. Made by `python "
        "benchmarks/ranking_choice.py`; `f_statistic` orders as the standardised difference does.",
        "",
        "| ranking |" + "".join(f" k = {k} |" for k in KS),
        "|---|" + "---|" * len(KS),
    ]
    for method in METHODS:
        cells = [_cell(by_place[method, k]) for k in KS]
        label = f"`{method}`" if method in RANKINGS else SELECTORS[method].label.lower()
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _pooled(row: Mapping[str, Any]) -> bool:
    return bool(row["collection"] == POOLED)


def _cell(row: Mapping[str, Any]) -> str:
    apart = row["difference_low"] > 0 or row["difference_high"] < 0
    estimate = f"**{row['estimate']:.2f}**" if apart else f"{row['estimate']:.2f}"
    return f"{estimate} ({row['low']:.2f} to {row['high']:.2f})"


def main() -> None:
    """Measure and write, or write the page from the record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--collections", nargs="+", default=list(COLLECTIONS))
    parser.add_argument("--examples", type=int, default=0, help="texts for each feature")
    parser.add_argument("--first-layer", type=int, default=2)
    parser.add_argument("--layer-step", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--page", action="store_true", help="write the page and measure nothing")
    options = parser.parse_args()
    if not options.page:
        torch.set_num_threads(1)
        with progress_bars():
            record = jsonable(measure(load_model("smollm2"), options))
        write_text(RECORD, json.dumps(record, indent=1) + "\n")
    write_page(json.loads(RECORD.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
