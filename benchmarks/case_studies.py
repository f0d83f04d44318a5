"""The case studies of sparse probing at size: compound words, context neurons, weights, scaling.

One record for each study in benchmarks/records/case_study.NAME.json; docs/case_studies.md and
docs/scaling.md with their figures from all of them:

    python benchmarks/case_studies.py --only context.natural_language
    python benchmarks/case_studies.py --page

Each is what `needlepoint superposition`, `context`, `weights` or `scaling` does, with the settings
below. A study that has a record is made again only if it is named. Compounds are studied one by one
and kept in a folder, so that a run that was stopped goes on, and `--words` shares them out.
"""

from __future__ import annotations

import argparse
import json
import pickle
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import torch

from case_studies_page import write_pages
from needlepoint._core.files import atomic_path, write_text
from needlepoint._core.progress import progress_bars
from needlepoint._core.provenance import cores, machine, now, versions
from needlepoint._core.records import jsonable
from needlepoint.evaluation.case_studies.compounds import (
    join_compounds,
    read_others,
    words_of,
)
from needlepoint.evaluation.case_studies.configs import (
    UNTRAINED,
    CompoundsConfig,
    ContextConfig,
    ScalingConfig,
    WeightsConfig,
)
from needlepoint.evaluation.case_studies.scaled_models import open_model
from needlepoint.evaluation.case_studies.superposition import (
    compound_of,
    judge_superposition,
    layers_of,
)
from needlepoint.evaluation.studies import STUDIES, named
from needlepoint.evaluation.study import Study
from needlepoint.features import COLLECTIONS
from needlepoint.models.model import Model

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "benchmarks" / "records"
MODELS = ("smollm2", "gemma3-270m")
PARTS = Path(gettempdir()) / "needlepoint-case-studies"
"""Where the studies of single compounds are kept until all are there."""
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
    if isinstance(asked.config, CompoundsConfig):
        assert model is not None
        parts = study_words(name, model)
        study = join_compounds(
            model.name,
            {word: part.study for word, part in parts.items()},
            layers_of(model, asked.config),
            asked.config,
        )
        spent = {
            "wall": sum(part.wall for part in parts.values()),
            "processor": sum(part.processor for part in parts.values()),
        }
    else:
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
    path = RECORDS / f"case_study.{name}.json"
    write_text(path, _compact(jsonable(record)) + "\n")
    shutil.rmtree(PARTS / name, ignore_errors=True)
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@dataclass(frozen=True)
class WordPart:
    """The study of one compound, and the seconds it took."""

    study: Study
    wall: float
    processor: float


def study_words(name: str, model: Model, only: Sequence[str] = ()) -> dict[str, WordPart]:
    """The study of each compound, those that are kept from before read back."""
    config = STUDIES_AT_SIZE[name].config
    load = partial(COLLECTIONS["compound_words"], model.encoder, seed=config.seed, source=None)
    every, layers = load(n_per_feature=config.examples), layers_of(model, config)
    words = [word for word in words_of(every, config) if not only or word in only]
    compounds = {word: compound_of(every, word, config) for word in words}
    missing = [compounds[word] for word in words if not _part(name, word).exists()]
    known = read_others(model, missing, layers)
    for one in missing:
        begin, used = time.perf_counter(), time.process_time()
        study = judge_superposition(model, one, layers, config, None, known)
        part = (study, time.perf_counter() - begin, time.process_time() - used)
        with atomic_path(_part(name, one.name)) as path:
            path.write_bytes(pickle.dumps(part))
        print(f"{one.name}: {study.record.summary['verdict']}", flush=True)
    return {word: _read_part(name, word) for word in words}


def _read_part(name: str, word: str) -> WordPart:
    """What this script kept itself."""
    return WordPart(*pickle.loads(_part(name, word).read_bytes()))  # noqa: S301


def _part(name: str, word: str) -> Path:
    return PARTS / name / f"{word}.pickle"


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


def _compact(record: Mapping[str, Any]) -> str:
    """JSON with a line for each entry of a list, numbers to five digits."""
    lines = []
    for key, value in record.items():
        value = _rounded(value)
        if isinstance(value, list) and value:
            rows = ",\n  ".join(json.dumps(row, separators=(",", ":")) for row in value)
            lines.append(f'"{key}": [\n  {rows}\n]')
        else:
            lines.append(f'"{key}": {json.dumps(value)}')
    return "{\n" + ",\n".join(lines) + "\n}"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, Mapping):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    return value


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
    parser.add_argument("--words", nargs="+", help="study these compounds of --only, and no more")
    parser.add_argument("--threads", type=int, default=cores())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.words:
        for name in options.only or []:
            model = _model(STUDIES_AT_SIZE[name])
            assert model is not None
            study_words(name, model, options.words)
        return
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
