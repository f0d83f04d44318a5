"""Grids of a few thousand weights: a model in a folder, pairs that it decides, labelled texts."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from needlepoint._core.records import Record, RunFolder
from needlepoint.evaluation.configs import HeadsConfig, NeuronsConfig
from needlepoint.evaluation.grid.agreement import NOT_RESULTS, columns_of_summary
from needlepoint.evaluation.grid.config import GridConfig
from needlepoint.evaluation.grid.read_config import values_of
from needlepoint.evaluation.grid.run import run_grid
from needlepoint.evaluation.grid.work import Ended, Job
from needlepoint.evaluation.study import Study
from needlepoint.models.model import Model
from needlepoint.testing.tiny import byte_tokenizer, tiny_model

HEADS = HeadsConfig(
    score_pairs=12,
    ablate_pairs=4,
    attribution_pairs=2,
    holdout_pairs=4,
    random_circuits=2,
    sae_seeds=1,
    methods=("random", "mean_difference", "eap"),
    edges=2,
)
NEURONS = NeuronsConfig(max_k=2, permutations=20, ablate_texts=2, random_neurons=1, cards=1)

GridOf = Callable[..., GridConfig]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two models, a file of prompt pairs and two of labelled texts."""
    folder = tmp_path_factory.mktemp("grid")
    for name, family in (("one", "llama"), ("two", "gpt2")):
        model = tiny_model(family)
        model.module.save_pretrained(folder / name)
        byte_tokenizer().save_pretrained(folder / name)
        write_pairs(folder / f"{name}.jsonl", model)
    write_labels(folder / "digits.csv")
    return folder


def write_pairs(path: Path, model: Model, n_pairs: int = 24) -> None:
    """Pairs of random prompts, each with the answer that the model gives to it."""
    rng = torch.Generator().manual_seed(0)
    letters = list(range(97, 123))
    lines: list[str] = []
    while len(lines) < n_pairs:
        clean, corrupt = torch.randint(97, 123, (2, 8), generator=rng).tolist()
        texts = [bytes(ids).decode() for ids in (clean, corrupt)]
        batch = model.batch([model.encoder.encode(text) for text in texts])
        known = [model.encoder.encode(chr(letter))[0] for letter in letters]
        best = model.last_logits(batch)[:, known].argmax(-1).tolist()
        if best[0] != best[1]:
            answer, wrong = (chr(letters[place]) for place in best)
            row = {"clean": texts[0], "corrupt": texts[1], "answer": answer, "wrong": wrong}
            lines.append(json.dumps(row))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_labels(path: Path) -> None:
    """Texts of digits and texts of letters, each a document."""
    rng = torch.Generator().manual_seed(1)
    lines = ["text,label"]
    for text in range(60):
        start = 48 if text % 2 else 97
        letters = torch.randint(start, start + 10, (12,), generator=rng).tolist()
        lines.append(f"{bytes(letters).decode()},{'yes' if text % 2 else 'no'}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="session")
def grid_of(files: Path) -> GridOf:
    """A small grid of these files, with other settings where they are given."""

    def make(**settings: object) -> GridConfig:
        asked = {
            "models": (str(files / "one"),),
            "tasks": (str(files / "one.jsonl"),),
            "heads": HEADS,
            "neurons": NEURONS,
        }
        return GridConfig(**{**asked, **settings})  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def both(grid_of: GridOf, files: Path) -> GridConfig:
    """Heads and neurons, two repeats: four cells."""
    return grid_of(features=(str(files / "digits.csv"),), repeats=2)


@pytest.fixture(scope="session")
def once(both: GridConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid of four cells, computed in this process, to be read only."""
    folder = tmp_path_factory.mktemp("once")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEEDLEPOINT_CACHE", str(folder / "cache"))
        run_grid(both, folder / "run")
    return folder / "run"


@pytest.fixture
def written(tmp_path: Path) -> Callable[[GridConfig], Path]:
    """A grid's config as a file."""

    def write(config: GridConfig) -> Path:
        path = tmp_path / "grid.json"
        path.write_text(json.dumps(values_of(config)), encoding="utf-8")
        return path

    return write


@pytest.fixture
def environment(own_cache: Path) -> dict[str, str]:
    """What a process of its own is started with: one thread, the cache of this test."""
    return {**os.environ, "NEEDLEPOINT_CACHE": str(own_cache), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def needlepoint() -> list[str]:
    """The words that start the command in a process of its own."""
    return [sys.executable, "-c", "from needlepoint.cli.main import main; main()"]


class Canned:
    """An executor that computes nothing: numbers drawn by the seed of each cell.

    Args:
        stop_after: Raise `error` in place of the cell after so many.
    """

    threads = 1

    def __init__(self, stop_after: int | None = None, error: BaseException | None = None) -> None:
        self.stop_after, self.error = stop_after, error or KeyboardInterrupt()
        self.asked: list[str] = []

    def run(self, jobs: Sequence[Job]) -> Generator[Ended, None, None]:
        for place, job in enumerate(jobs):
            if place == self.stop_after:
                raise self.error
            self.asked.append(job.cell.name)
            yield canned(job)


def canned(job: Job) -> Ended:
    """What a cell is said to have found."""
    rng = np.random.default_rng(job.cell.config.seed)
    heads = pd.DataFrame({"site": ["L0.H0", "L0.H1"], "effect": rng.normal(size=2)})
    heads = heads.assign(effect_low=-9.0, effect_high=9.0, matters=[True, False])
    measures = {"auc": 0.5, "auc_low": 0.4, "auc_high": 0.6, "average_precision": 0.5}
    methods = pd.DataFrame([{"method": "eap", "label": "EAP", **measures, "spearman": 0.1}])
    tables = {"heads": heads, "methods": methods.assign(seconds=1.0)}
    summary = {"question": "which?", "answer": "these", "f1": float(rng.random()), "seconds": {}}
    config = dataclasses.asdict(job.cell.config)
    record = Record(
        job.cell.name, job.cell.kind, "done", seconds=2.0, config=config, summary=summary
    )
    return Ended(job.cell, Study(record, tables, {"scores": rng.normal(size=3)}))


@pytest.fixture
def executor() -> type[Canned]:
    """Makes executors that compute nothing."""
    return Canned


@pytest.fixture
def results() -> Callable[[Path], dict[str, object]]:
    """Reads all results of a run."""
    return content


@pytest.fixture
def plain() -> GridConfig:
    """Four cells of a model and tasks that need not be loaded to be named."""
    return GridConfig(tasks=("ioi", "agreement"), repeats=2)


def content(path: Path) -> dict[str, object]:
    """All results of a run: tables, arrays and records, times left out."""
    found: dict[str, object] = {}
    run = RunFolder.open(path)
    for record in run.records():
        columns = columns_of_summary(record.summary)
        found[record.cell] = (record.status, record.reason, record.config, columns)
        for name in record.tables:
            table = run.table(record.cell, name).drop(columns=list(NOT_RESULTS), errors="ignore")
            found[f"{record.cell} {name}"] = table.to_json()
        arrays = run.arrays(record.cell) if record.arrays else {}
        found.update({f"{record.cell} {name}": one.tobytes() for name, one in arrays.items()})
    return found
