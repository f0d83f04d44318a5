"""Circuits of heads on the pages: what the records give, and what no record of them could say."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
COMPARED = sorted((BENCHMARKS / "records").glob("circuit_comparison.*.json"))
RECORDS = sorted((BENCHMARKS / "records").glob("head_circuits.*.json"))


@pytest.fixture(scope="module")
def page() -> ModuleType:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module("head_circuits_page")
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(params=RECORDS, ids=lambda path: path.stem)
def record(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(request.param.read_text(encoding="utf-8"))
    return found


def test_a_task_is_one_of_the_comparison(record: dict[str, Any]) -> None:
    assert (BENCHMARKS / "records" / f"circuit_comparison.{record['task']}.json").exists()
    assert record["methods"][0]["method"] == "effect"


def test_every_method_meets_the_same_random_circuits(record: dict[str, Any]) -> None:
    bands = [
        [
            (one["size"], one[f"size_{name}_low"], one[f"size_{name}_high"])
            for one in row["curve"]
            for name in ("faithfulness", "completeness")
        ]
        for row in record["methods"]
    ]
    assert all(band == bands[0] for band in bands)


def test_a_p_value_is_one_that_so_many_draws_can_give(record: dict[str, Any]) -> None:
    settings = record["settings"]
    least = 1 / (1 + settings["n_random"])
    for row in record["methods"]:
        shares = [one["share"] for one in row["curve"]]
        assert shares == settings["shares"]
        for one in row["curve"]:
            for name in ("faithfulness", "completeness"):
                assert least - 1e-4 <= one[f"size_{name}_p"] <= 1
                assert one[f"{name}_low"] <= one[name] <= one[f"{name}_high"]
                assert (one[f"layer_{name}_p"] is None) == (one["share"] != settings["at"])
        found = row["minimality"]
        assert 0 <= found["needed"] <= found["tried"] <= settings["at_most"]
        assert len(row["strength"].split()) >= found["size"]


@pytest.mark.skipif(not RECORDS, reason="no circuits of heads were run")
def test_the_page_has_the_figures_of_the_records(page: ModuleType) -> None:
    records = page.read_records()
    text = (ROOT / "docs" / "circuits.md").read_text(encoding="utf-8")
    tasks = [path.stem.split(".")[1] for path in COMPARED if path.stem.count(".") == 1]
    parts = page.section(records, tasks)
    for part in parts:
        assert part in text, "run `python benchmarks/circuit_comparison.py --page`"
    assert (ROOT / "docs" / page.FIGURE).exists()
    row = records[0]["methods"][1]
    found = page.point(row, records[0]["settings"]["at"])
    assert f"{found['faithfulness']:.2f}" in parts[-1]
    left = page.section(records, [*tasks, "another_task"])[0]
    assert left.endswith("another task.")


def test_marks_are_for_what_beats_every_draw(page: ModuleType) -> None:
    found = {"size_faithfulness_p": 1 / 21, "layer_faithfulness_p": 2 / 21}
    assert page._marks(found, "faithfulness", 20) == " *s*"
    assert page._marks(found | {"layer_faithfulness_p": 0.0476}, "faithfulness", 20) == " *sl*"
    assert page._marks(found | {"size_faithfulness_p": 0.5}, "faithfulness", 20) == ""
    assert page.section([], ["ioi"]) == []
