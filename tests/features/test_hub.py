"""Rows of a public data set, from a local folder in place of the hub."""

from __future__ import annotations

import json
import sys

import pytest

from needlepoint._core.errors import SourceError
from needlepoint.features import hub
from needlepoint.features.hub import HubData, hub_rows


@pytest.fixture
def folder(tmp_path):
    rows = [{"text": f"line {i}", "label": i % 2} for i in range(5)]
    path = tmp_path / "data" / "train.jsonl"
    path.parent.mkdir()
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path.parent


def test_rows_come_in_order_and_no_more_than_asked_for(folder):
    data = HubData(str(folder), "CC0-1.0")
    assert [row["text"] for row in hub_rows(data)] == [f"line {i}" for i in range(5)]
    assert list(hub_rows(data, at_most=2)) == [
        {"text": "line 0", "label": 0},
        {"text": "line 1", "label": 1},
    ]


def test_a_data_set_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(SourceError, match="cannot be had") as error:
        list(hub_rows(HubData(str(tmp_path / "nowhere"), "CC0-1.0")))
    assert "\n" not in str(error.value)


def test_a_split_that_is_not_there_is_named(folder):
    with pytest.raises(SourceError, match="cannot be had"):
        list(hub_rows(HubData(str(folder), "CC0-1.0", split="nosuch")))


def test_without_the_library_it_says_how_to_get_it(folder, monkeypatch):
    monkeypatch.setattr(hub.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SourceError, match=r"pip install 'needlepoint\[hub\]'"):
        list(hub_rows(HubData(str(folder), "CC0-1.0")))


def test_importing_the_features_does_not_import_the_library():
    import subprocess

    code = (
        "import needlepoint.features, sys; "
        "print(sorted(set(sys.modules) & {'datasets', 'spacy', 'torch', 'transformers'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
