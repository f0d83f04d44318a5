"""The command in this process, on models of a few thousand weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from needlepoint.cli.main import run
from needlepoint.models.planted import PlantedModel, planted_model, planted_prompts
from needlepoint.testing.tiny import byte_tokenizer, tiny_model


class Outcome(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one line on standard error of a refusal, without the name of the program."""
        assert (self.status, self.err.count("\n")) == (2, 1), self
        assert self.err.startswith("needlepoint: ")
        assert "Traceback" not in self.out + self.err
        return self.err.removeprefix("needlepoint: ").strip()


Cli = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def place(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """An empty folder to stand in, with a cache elsewhere, and one thread."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("NEEDLEPOINT_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("COLUMNS", "80")
    for module in ("runs", "models", "tasks", "circuit_judge", "grid_runs", "grid_shown"):
        monkeypatch.setattr(f"needlepoint.cli.{module}.free_cores", lambda: 1)
    return here


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        status = run([str(argument) for argument in arguments])
        return Outcome(status, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model in a folder, which cuts text into bytes."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_model("llama").module.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def planted() -> PlantedModel:
    return planted_model()


@pytest.fixture
def no_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading any model is a failure of the test."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded before the input was looked at")

    monkeypatch.setattr("needlepoint.models.load.load_model", refuse)


@pytest.fixture
def planted_loads(monkeypatch: pytest.MonkeyPatch, planted: PlantedModel) -> PlantedModel:
    """The planted model under every name."""
    monkeypatch.setattr("needlepoint.models.load.load_model", lambda *_, **__: planted.model)
    return planted


@pytest.fixture(scope="session")
def induction(planted: PlantedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prompt pairs that the planted model's circuit decides, as a user would write them."""
    path = tmp_path_factory.mktemp("tasks") / "induction.jsonl"
    pairs = planted_prompts(planted, n_pairs=40).pairs
    path.write_text("".join(json.dumps(vars(pair)) + "\n" for pair in pairs))
    return path


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts that any reader of bytes can tell apart, half of them digits."""
    rng = torch.Generator().manual_seed(0)
    lines = ["text,label"]
    for i in range(120):
        start = 48 if i % 2 else 97
        letters = torch.randint(start, start + 10, (40,), generator=rng).tolist()
        lines.append(f"{''.join(map(chr, letters))},{'yes' if i % 2 else 'no'}")
    path = tmp_path_factory.mktemp("features") / "digits.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def nothing_left(place: Path) -> Iterator[None]:
    """Whatever the command was, it left no file and no folder where it was called."""
    yield
    assert [str(path.relative_to(place)) for path in place.rglob("*")] == []
