"""The case studies of sparse probing at size: compound words, context neurons, weights, scaling.

One record for each study in benchmarks/records/case_study.NAME.json; docs/case_studies.md and
docs/scaling.md with their figures from all of them:

    python benchmarks/case_studies.py --only context.natural_language
    python benchmarks/case_studies.py --page

Each is what `needlepoint superposition`, `context`, `weights` or `scaling` does, with the settings
below. A study that has a record is made again only if it is named.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from case_studies_page import write_pages
from compact_record import write_compact
from needlepoint._core.progress import progress_bars
from needlepoint._core.provenance import cores, machine, now, versions
from needlepoint.evaluation.case_studies.configs import (
    UNTRAINED,
    CompoundsConfig,
    ContextConfig,
    ScalingConfig,
    WeightsConfig,
)
from needlepoint.evaluation.case_studies.scaled_models import open_model
from needlepoint.evaluation.studies import STUDIES, named
from needlepoint.evaluation.study import Study
from needlepoint.models.model import Model

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "benchmarks" / "records"
MODELS = ("smollm2", "gemma3-270m")
CONTROL_WORDS = ("social-security", "cell-lines", "clinical-trials")
"""Compounds that the untrained model is asked for."""
LEFT_OUT = ("token_effects", "published")
"""Tables that no page shows, and what was published by others."""


@dataclass(frozen=True)
class Asked:
    """One study: the model, or none if it loads its own, and what is asked."""

    model: str
    config: Any


STUDIES_AT_SIZE = {
    "context.natural_language": Asked(
        "smollm2", ContextConfig("natural_language", examples=120, ablate_classes=0)
    ),
    "context.programming_language": Asked(
        "smollm2", ContextConfig("programming_language", examples=120, ablate_classes=0)
    ),
    **{f"weights.{model}": Asked(model, WeightsConfig()) for model in MODELS},
    "scaling": Asked(
        "",
        ScalingConfig(
            (*MODELS, *(UNTRAINED + model for model in MODELS)),
            features=("programming_language", "natural_language"),
        ),
    ),
    "superposition.smollm2": Asked("smollm2", CompoundsConfig()),
    "superposition.untrained": Asked(
        UNTRAINED + "smollm2", CompoundsConfig(compounds=CONTROL_WORDS)
    ),
}
"""Every study by the name of its record."""


def measure(name: str) -> dict[str, Any]:
    """Make one study and keep its record."""
    asked = STUDIES_AT_SIZE[name]
    begin, used = time.perf_counter(), time.process_time()
    model = _model(asked)
    study = named(STUDIES[type(asked.config)].find)(model, asked.config)
    spent = {"wall": time.perf_counter() - begin, "processor": time.process_time() - used}
    record = {
        "benchmark": "case_studies",
        "name": name,
        "asked": {"model": asked.model, **asdict(asked.config)},
        "model": None if model is None else model.card(),
        "seconds": {**spent, "parts": study.record.summary["seconds"]},
        "threads": torch.get_num_threads(),
        "date": now(),
        "machine": machine(),
        "versions": versions(),
        "summary": {key: value for key, value in study.record.summary.items() if key != "seconds"},
        **{f"table.{table}": rows for table, rows in _kept(study).items()},
    }
    return write_compact(RECORDS / f"case_study.{name}.json", record)


def _model(asked: Asked) -> Model | None:
    if not asked.model:
        return None
    return open_model(asked.model, ScalingConfig(seed=asked.config.seed))


def _kept(study: Study) -> dict[str, list[dict[str, Any]]]:
    """The rows of the tables that pages are made from."""
    tables = {name: frame for name, frame in study.tables.items() if name not in LEFT_OUT}
    if "compounds" in tables:
        bases, paths = tables["bases"], tables["basis_paths"]
        tables["bases"] = bases[bases["basis"] == "gap"].drop(columns=["basis", "draw", "unit"])
        # Of every compound the layer of its sum.
        tables["basis_paths"] = paths.merge(tables["compounds"][["word", "layer"]])
    if "model_differences" in tables:
        gaps = tables["model_differences"]
        tables["model_differences"] = gaps[gaps["feature"] == "mean"]
    return {name: frame.to_dict("records") for name, frame in tables.items()}


def kept_records() -> dict[str, dict[str, Any]]:
    """The records that are there, by name, in the order of the studies."""
    paths = {name: RECORDS / f"case_study.{name}.json" for name in STUDIES_AT_SIZE}
    return {
        name: json.loads(path.read_text(encoding="utf-8"))
        for name, path in paths.items()
        if path.exists()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=STUDIES_AT_SIZE, help="studies to make")
    parser.add_argument("--page", action="store_true", help="only make the pages, from the records")
    parser.add_argument("--threads", type=int, default=cores())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if not options.page:
        with progress_bars():
            for name in options.only or [
                one for one in STUDIES_AT_SIZE if one not in kept_records()
            ]:
                record = measure(name)
                print(f"{name}: {record['summary']['answer']}", flush=True)
    write_pages(kept_records())


if __name__ == "__main__":
    main()
