"""Every feature of the built-in collections and how well one neuron of SmolLM2 tells it.

Writes docs/features.md from one record for each collection in benchmarks/records/. A record that
is there already is used again unless its collection, seed or size has changed, so the table can be
made piece by piece:

    python benchmarks/feature_table.py --only part_of_speech
    python benchmarks/feature_table.py

Layer, neuron, sign and cut are chosen on training and validation documents, F1 is on others.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from needlepoint._core.errors import NeedlepointError
from needlepoint._core.files import write_text
from needlepoint._core.progress import progress_bars
from needlepoint._core.provenance import cores, machine, now, versions
from needlepoint._core.records import jsonable
from needlepoint.evaluation.best_neurons import best_neurons
from needlepoint.features import COLLECTIONS, Collection
from needlepoint.features.spec import N_PER_FEATURE
from needlepoint.models.load import load_model
from needlepoint.models.model import Model

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "benchmarks" / "records"
PAGE = ROOT / "docs" / "features.md"
HEADING = """# The features and their best single neurons

Made by `python benchmarks/feature_table.py`; do not edit. For each feature of each built-in
collection: its rows with the feature and their documents, its rows without it, how many of both
were read for this table, and the neuron of {model} that tells it best: F1 on test documents with
its 95 % interval (documents resampled whole), beside the F1 of calling every row positive. Layer,
neuron, sign and cut were chosen on training and validation documents. A minus before a neuron
says that low activations mean yes. No p-value stands behind these figures and no confound was
ruled out: `needlepoint probe` does the study, `needlepoint features show latex` prints the card
and samples of one collection.
"""


def measure(model: Model, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The record of one collection, the old one if it answers the same question."""
    begin = time.perf_counter()
    source, path = options.source or None, RECORDS / f"features.{name}.json"
    whole = COLLECTIONS[name](model.encoder, seed=options.seed, source=source)
    loaded = time.perf_counter() - begin
    old: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    examples = options.examples or old.get("asked", {}).get("examples", N_PER_FEATURE)
    collection = whole
    if examples != N_PER_FEATURE:
        collection = COLLECTIONS[name](
            model.encoder, n_per_feature=examples, seed=options.seed, source=source
        )
    asked = {
        "sha256": collection.sha256,
        "model": model.card()["sha256"],
        "seed": options.seed,
        "examples": examples,
    }
    if old.get("asked") == asked:
        old |= _about(whole)  # what cards say may have changed
        write_text(path, json.dumps(old, indent=1) + "\n")
        return old
    begin = time.perf_counter()
    frame = best_neurons(model, collection, seed=options.seed)
    record = jsonable(
        {
            "benchmark": "feature_table",
            "asked": asked,
            "model": model.name,
            **_about(whole),
            "seconds": {"loading": loaded, "neurons": time.perf_counter() - begin},
            "date": now(),
            "machine": machine(),
            "versions": versions(),
            "features": frame.merge(_counts(whole), on="feature").to_dict("records"),
        }
    )
    write_text(path, json.dumps(record, indent=1) + "\n")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _counts(collection: Collection) -> pd.DataFrame:
    """What a default load has of each feature, whatever part of it was measured."""
    counts = collection.counts()
    return pd.DataFrame(
        {
            "feature": counts["feature"],
            "positives_loaded": counts["positives"],
            "negatives_loaded": counts["negatives"],
            "documents_loaded": counts["positive_documents"],
        }
    )


def _about(collection: Collection) -> dict[str, Any]:
    card = collection.card
    return {
        "name": card.name,
        "title": card.title,
        "source": card.source,
        "how_labelled": card.how_labelled,
        "licence": card.licence,
        "aggregation": card.aggregation,
        "rows": len(collection.rows),
        "documents": len(set(collection.documents)),
        "shortfalls": dict(card.shortfalls),
    }


def page(records: list[dict[str, Any]]) -> str:
    """The table in Markdown."""
    n = sum(len(record["features"]) for record in records)
    models = sorted({record["model"] for record in records})
    lines = [
        HEADING.format(model=", ".join(models)),
        f"{n} features in {len(records)} collections.",
    ]
    for record in records:
        lines += _section(record)
    return "\n".join(lines) + "\n"


def _section(record: dict[str, Any]) -> list[str]:
    lines = [
        "",
        f"## {record['title']}",
        "",
        f"`{record['name']}`: {record['rows']:,} rows of {record['documents']:,} documents. Rows: "
        f"{record['aggregation']}.",
        "",
        f"- Source: {record['source']}",
        f"- Labels: {record['how_labelled']}",
        "",
        "| feature | with it | documents | without it | read | neuron | test F1 | interval | all "
        "positive |",
        "|---|---:|---:|---:|---:|---|---:|---|---:|",
    ]
    for one in record["features"]:
        low, high = one["f1_low"], one["f1_high"]
        interval = "too few documents" if low is None else f"{low:.2f} to {high:.2f}"
        name = str(one["feature"]).replace("|", "\\|")
        lines.append(
            f"| {name} | {one['positives_loaded']} | {one['documents_loaded']} | "
            f"{one['negatives_loaded']} | {one['rows']} | "
            f"{'-' if one['sign'] < 0 else ''}{one['site']} | {one['f1']:.2f} | {interval} | "
            f"{one['baseline_f1']:.2f} |"
        )
    short = record["shortfalls"]
    if short:
        lines += ["", "Left out, or fewer than asked for:", ""]
        lines += [f"- {name}: {short[name]}" for name in short]
    return lines


def kept_records() -> list[dict[str, Any]]:
    """The records that are there, in the order of the registry."""
    paths = (RECORDS / f"features.{name}.json" for name in COLLECTIONS)
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[], help="collections to measure")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--source", default="")
    parser.add_argument(
        "--examples", type=int, help="positive rows to read; as in the record, or 200"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=cores())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    names = options.only or list(COLLECTIONS)
    for name in names:
        COLLECTIONS[name]  # refuses a wrong name before anything is loaded
    model = load_model(options.model, dtype="float32")
    with progress_bars():
        for name in names:
            try:
                record = measure(model, name, options)
            except NeedlepointError as error:
                print(f"{name}: left out: {error}")
                continue
            best = sorted(one["f1"] for one in record["features"])
            print(f"{name}: {len(best)} features, median test F1 {best[len(best) // 2]:.2f}")
    write_text(PAGE, page(kept_records()))


if __name__ == "__main__":
    main()
