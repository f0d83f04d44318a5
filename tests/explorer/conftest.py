"""A tiny model behind the explorer, and a few runs on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from needlepoint.explorer.live.service import LiveModel
from needlepoint.models.model import Model
from needlepoint.testing.tiny import byte_tokenizer, tiny_model

MADE = "<!DOCTYPE html><title>first</title><p>Made when the run ended, by a version of its time."
"""The page of the first run."""


@pytest.fixture(scope="session")
def tiny() -> Model:
    return tiny_model("llama")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory, tiny: Model) -> Path:
    """The tiny model as a folder, for processes of their own."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny.module.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def live(tiny: Model, tiny_folder: Path) -> LiveModel:
    return LiveModel(tiny, str(tiny_folder))


@pytest.fixture(scope="session")
def sample(imported: Callable[[Path], ModuleType]) -> ModuleType:
    return imported(Path(__file__).parents[1] / "report" / "sample_run.py")


@pytest.fixture(scope="session")
def runs(sample: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two runs that differ in their seed and their numbers."""
    folder = tmp_path_factory.mktemp("explorer") / "runs"
    for name, seed in (("first", 0), ("second", 1)):
        sample.write_sample_run(folder / name)
        _vary(folder / name, seed)
    (folder / "first" / "report.html").write_text(MADE, encoding="utf-8")
    return folder


def _vary(run: Path, seed: int) -> None:
    """Give a run its own seed, and the second one other effects."""
    import numpy as np

    from needlepoint._core.records import RunFolder

    opened = RunFolder.open(run)
    opened.update(config={**opened.header["config"], "seed": seed})
    if seed:
        path = run / "tables" / "circuit.ioi.heads.parquet"
        heads = opened.table("circuit.ioi", "heads")
        noise = np.random.default_rng(seed).normal(0, 0.05, len(heads))
        for name in ("effect", "effect_low", "effect_high"):
            heads[name] = heads[name] + noise
        heads.to_parquet(path, index=False)
