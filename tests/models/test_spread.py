"""A model in several places is read as it is in one; accelerate's disk stands for another card."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch

from needlepoint._core.errors import ModelError
from needlepoint.circuits.methods import Question
from needlepoint.models.hooks import record
from needlepoint.models.load import load_model
from needlepoint.models.model import Model
from needlepoint.models.spread import is_spread
from needlepoint.testing.pairs import random_pairs
from needlepoint.testing.tiny import byte_tokenizer, tiny_model

PLACES = {
    "model.embed_tokens": "cpu",
    "model.layers.0": "cpu",
    "model.layers.1": "disk",
    "model.layers.2": "cpu",
    "model.norm": "cpu",
    "model.rotary_emb": "cpu",
    "lm_head": "cpu",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("NEEDLEPOINT_CACHE", str(tmp_path / "cache"))
    tiny_model("llama").module.save_pretrained(tmp_path / "tiny")
    byte_tokenizer().save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.fixture
def spread(folder: Path) -> Model:
    return load_model(str(folder), dtype="float32", device=PLACES)


def test_it_reads_the_same(folder: Path, spread: Model) -> None:
    whole = load_model(str(folder), dtype="float32")
    assert is_spread(spread.module)
    assert not is_spread(whole.module)
    assert next(spread.blocks[1].parameters()).device.type == "meta"
    assert spread.device == torch.device("cpu")
    sites = ["L1.attn.z", "L1.mlp.neurons", "L2.resid"]
    found = []
    for model in (whole, spread):
        with record(model, sites) as kept:
            logits = model.logits(model.batch([[5, 6, 7, 8]]))
        found.append([logits, *kept.values()])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)
    assert torch.equal(whole.head_weights(1), spread.head_weights(1))


def test_what_is_put_on_the_disk_goes_with_the_model(folder: Path, tmp_path: Path) -> None:
    model = load_model(str(folder), dtype="float32", device=PLACES)
    offloaded = tmp_path / "cache" / "offload"
    assert len(list(offloaded.iterdir())) == 1
    del model
    gc.collect()  # its hooks hold the module in a circle
    assert list(offloaded.iterdir()) == []


def test_circuits_need_one_place(spread: Model) -> None:
    whole = tiny_model("llama")
    with pytest.raises(ModelError, match="circuits are found in a model on one device only"):
        Question(spread, random_pairs(whole))


def test_all_in_one_place_is_not_spread(folder: Path) -> None:
    model = load_model(str(folder), dtype="float32", device="spread")
    assert not is_spread(model.module)
    assert next(model.blocks[1].parameters()).device.type != "meta"


def test_what_cannot_be_spread_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"say which: dtype may be float32, bfloat16, float16\."):
        load_model(str(folder), device="spread")
    whole = tiny_model("llama")
    with pytest.raises(ModelError, match="a model in memory lies where it is"):
        load_model(whole.module, tokenizer=byte_tokenizer(), dtype="float32", device="spread")
