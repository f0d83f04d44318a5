"""A model's files with bytes changed are loaded as they are, or refused in a sentence."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from needlepoint._core.errors import NeedlepointError
from needlepoint.models.load import load_model
from needlepoint.models.packaged import convert_gguf
from needlepoint.testing.tiny import byte_tokenizer, tiny_model

EXAMPLES = int(os.environ.get("NEEDLEPOINT_FUZZ", "0")) or 12
QUIET = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="NEEDLEPOINT_FUZZ" not in os.environ,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def gguf_file(
    tmp_path_factory: pytest.TempPathFactory, imported: Callable[[Path], ModuleType]
) -> bytes:
    """The content of a tiny model's GGUF file."""
    path: Path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    beside = Path(__file__).parents[1] / "models" / "test_packaged.py"
    imported(beside).write_gguf(tiny_model("llama"), path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model as a folder of safetensors."""
    path: Path = tmp_path_factory.mktemp("model") / "tiny"
    tiny_model("llama").module.save_pretrained(path)
    byte_tokenizer().save_pretrained(path)
    return path


def said(load: Callable[[], object]) -> str:
    """The sentence with which it is refused; empty if it was loaded."""
    try:
        load()
    except NeedlepointError as error:
        return str(error)
    return ""


def spliced(content: bytes, place: int, noise: bytes, cut: int) -> bytes:
    return content[:place] + noise + content[place + cut :]


EARLY = st.integers(0, 700)
"""Where headers are."""
NOISE = st.binary(min_size=1, max_size=12)


def test_a_gguf_file_with_changed_bytes(
    gguf_file: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEEDLEPOINT_CACHE", str(tmp_path / "cache"))

    @QUIET
    @given(EARLY, NOISE, st.integers(0, 12))
    def check(place: int, noise: bytes, cut: int) -> None:
        path = tmp_path / "tiny.gguf"
        path.write_bytes(spliced(gguf_file, place, noise, cut))
        said(lambda: convert_gguf(path))

    check()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_folder_with_changed_bytes(folder: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(folder, tmp_path / "tiny")
    whole = (folder / name).read_bytes()

    @QUIET
    @given(EARLY, NOISE, st.integers(0, 12))
    def check(place: int, noise: bytes, cut: int) -> None:
        content = spliced(whole, place % len(whole), noise, cut)
        (tmp_path / "tiny" / name).write_bytes(content)
        said(lambda: load_model(tmp_path / "tiny", dtype="float32", device="cpu"))

    check()


SETTINGS = (
    "model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "vocab_size", "rms_norm_eps", "rope_parameters", "head_dim",
    "architectures", "max_position_embeddings", "hidden_act", "tie_word_embeddings",
)  # fmt: skip


@pytest.mark.parametrize("value", [None, -1, 0, "x", [], 1.5, {"a": 1}], ids=repr)
def test_a_config_with_other_values(folder: Path, tmp_path: Path, value: object) -> None:
    shutil.copytree(folder, tmp_path / "tiny")
    path = tmp_path / "tiny" / "config.json"
    whole = json.loads(path.read_text())
    for name in SETTINGS:
        path.write_text(json.dumps({**whole, name: value}))
        said(lambda: load_model(tmp_path / "tiny", dtype="float32", device="cpu"))


HEADERS = {
    "a header longer than the file": struct.pack("<Q", 2**62) + b"{}",
    "a header that is no JSON": struct.pack("<Q", 4) + b"\xff\xfe{}",
    "a tensor that lies elsewhere": (
        lambda text: struct.pack("<Q", len(text)) + text
    )(json.dumps({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 2**40]}}).encode()),
    "nothing": b"",
}  # fmt: skip


@pytest.mark.parametrize("what", HEADERS)
def test_a_safetensors_header_that_is_none_is_refused(
    folder: Path, tmp_path: Path, what: str
) -> None:
    shutil.copytree(folder, tmp_path / "tiny")
    (tmp_path / "tiny" / "model.safetensors").write_bytes(HEADERS[what])
    assert said(lambda: load_model(tmp_path / "tiny", dtype="float32", device="cpu"))


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF" + b"\xff" * 60, b"not a model at all"])
def test_a_gguf_header_that_is_none_is_refused(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEEDLEPOINT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "x.gguf").write_bytes(content)
    assert said(lambda: convert_gguf(tmp_path / "x.gguf"))
