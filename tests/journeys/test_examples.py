"""The scripts in `examples/` run as they stand, on small numbers."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from needlepoint.testing.tiny import byte_tokenizer, tiny_model

EXAMPLES = Path(__file__).parents[2] / "examples"
LETTERS = ("abcdefghij", "0123456789")


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("examples") / "tiny"
    tiny_model("gpt_neox").module.save_pretrained(path)
    byte_tokenizer().save_pretrained(path)
    return str(path)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Texts of letters and texts of digits, each its own document."""
    lines = ["text,label"]
    for text in range(60):
        letters = LETTERS[text % 2]
        body = "".join(letters[(text * 7 + place * 3) % 10] for place in range(20 + text % 9))
        lines.append(f"{body},{'yes' if text % 2 else 'no'}")
    path = tmp_path_factory.mktemp("examples") / "digits.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture(autouse=True)
def _cache(own_cache: Path) -> None:
    """Nothing of a tiny model is left in the user's cache."""


def test_every_example_is_tried_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    untried = [path.stem for path in EXAMPLES.glob("*.py") if f'script("{path.stem}")' not in text]
    assert untried == []


def test_weights(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    study = script("weights_by_depth").main(folder)
    assert "norm_bias" in capsys.readouterr().out
    assert study.record.kind == "weights"


def test_context(folder: str, labelled: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"permutations": 20, "ablate_texts": 2, "random_neurons": 1}
    study = script("context_neurons").main(labelled, folder, **options)
    assert "Rise of the loss" in capsys.readouterr().out
    assert study.record.kind == "context"


def test_scaling(folder: str, labelled: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = (folder, f"untrained:{folder}")
    study = script("scaling").main(*names, features=(labelled,), draws=1, max_k=2)
    assert "pythia-6.9b" in capsys.readouterr().out
    assert study.record.kind == "scaling"


@pytest.mark.journey
def test_superposition(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Its words are tokens of real tokenizers only, so it needs the real model."""
    monkeypatch.delenv("NEEDLEPOINT_CACHE")
    small = {"examples": 20, "layers": "1-2", "shuffles": 19, "random_sums": 5, "other_texts": 20}
    study = script("superposition").main("social-security", rounds=2, bases=2, **small)
    assert "random basis" in capsys.readouterr().out
    assert study.record.kind == "superposition"
