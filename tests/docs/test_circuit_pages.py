"""The pages on circuits are what the records give, and the records have what the pages need."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from needlepoint.circuits.known.models import KNOWN_MODELS
from needlepoint.circuits.registered import CIRCUIT_METHODS
from needlepoint.evaluation.metrics import average_precision_interval

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
RECORDS = BENCHMARKS / "records"
TASKS = sorted(RECORDS.glob("circuit_comparison.*.json"))
PAGES = ("circuits.md", "circuits_full.md", "known_circuits.md")
WRITE = "import json, circuit_comparison_page as p; "
WRITE += "print(json.dumps({path.name: text for path, text in p.pages().items()}))"
COSTS = ("seconds", "cpu_seconds", "forward_passes", "backward_passes", "peak_bytes")


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def script(name: str) -> ModuleType:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    """The pages as the script would write them now; beside these tests, as it sets up drawing."""
    done = subprocess.run(
        [sys.executable, "-c", WRITE], cwd=BENCHMARKS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    return read(RECORDS / "known_circuits.json")


def table_rows(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        if line.startswith("|") and not line.startswith("|---"):
            yield [cell.strip() for cell in line[1:-1].split("|")]


def by_label(text: str) -> dict[str, dict[str, str]]:
    """The rows of a table by their first cell, each cell by the head of its column."""
    head, *rows = table_rows(text)
    return {row[0].strip("*"): dict(zip(head, row, strict=True)) for row in rows}


def first_table(text: str) -> str:
    """The lines of the first table, without those of tables after it."""
    return "|" + text.split("|", 1)[1].split("\n\n", 1)[0]


def section(text: str, title: str) -> str:
    return text.split(f"{title}\n", 1)[1].split("\n#", 1)[0]


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_the_records_give(written: dict[str, str], name: str) -> None:
    kept = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert kept == written[name], "run `python benchmarks/circuit_comparison.py --page`"


@pytest.mark.parametrize("name", PAGES)
def test_no_cell_is_empty(written: dict[str, str], name: str) -> None:
    rows = list(table_rows(written[name]))
    assert len(rows) > 80
    assert not [row for row in rows if not all(row)]


@pytest.mark.parametrize("path", TASKS, ids=lambda path: path.stem.split(".", 1)[1])
def test_every_method_of_a_task_has_its_area_with_interval_and_its_cost(
    written: dict[str, str], path: Path
) -> None:
    record = read(path)
    title = f"### {record['model']['name']}: {record['task'].replace('_', ' ')}"
    judged, costs = section(written["circuits_full.md"], title).split("Cost:")
    found, cost = by_label(first_table(judged)), by_label(first_table(costs))
    assert set(found) == set(cost) == {row["label"] for row in record["methods"]}
    for row in record["methods"]:
        cells = found[row["label"]] | cost[row["label"]]
        if 0 < row["auc"] < 1:
            low, high = row["auc_low"], row["auc_high"]
            assert cells["AUC"] == f"{row['auc']:.2f} ({low:.2f} to {high:.2f})"
            assert low < row["auc"] < high or high == 1
        else:
            assert cells["AUC"] in ("exact", "0.00 (no width)")
        assert row["f1"] == pytest.approx(row["precision_at_k"]), "one column for both is wrong"
        low, _, high = average_precision_interval(
            row["average_precision"], n_true=record["truth"]["n_heads"]
        )
        assert cells["AP"] == f"{row['average_precision']:.2f} ({low:.2f} to {high:.2f})"
        assert cells["paper's F1"] == f"{row['repo_f1']:.2f}"
        assert int(cells["forward"]) == round(row["forward_passes"])
        assert int(cells["backward"]) == round(row["backward_passes"])
        assert "0" not in (cells["wall s"], cells["processor s"])
        assert (cells["peak MB"] == "not measured") == (not row.get("given_back"))
        assert (cells["CMD"] == "no edges") == (row["level"] != "edges")
        assert (" to " in cells["CMD"]) == (" to " in cells["CPR"]) == (row["cmd"] is not None)


def test_every_method_was_run_on_every_known_circuit(known: dict[str, Any]) -> None:
    assert [one["model"] for one in known["models"]] == list(KNOWN_MODELS)
    ran = [{row["method"] for row in one["methods"]} for one in known["models"]]
    refused = [set(one["skipped"]) for one in known["models"]]
    asked = [one | other for one, other in zip(ran, refused, strict=True)]
    assert all(found == asked[0] for found in asked)
    own = {name for name in CIRCUIT_METHODS if not CIRCUIT_METHODS[name].on_request}
    assert own <= asked[0]
    assert all(one["skipped"][name] for one in known["models"] for name in one["skipped"])


def test_a_known_circuit_keeps_all_that_is_judged_and_all_that_it_cost(
    known: dict[str, Any],
) -> None:
    for one in known["models"]:
        for row in one["methods"]:
            assert all(row["cost"][name] >= 0 for name in COSTS)
            assert (row["edges"] is not None) == (row["level"] == "edges")
            assert (row["nodes"] is not None) == (row["level"] != "heads")
            for judged in (row["heads"], row["nodes"], row["edges"]):
                if judged is not None:
                    assert (judged["auc"] is None) == bool(judged["reason"])


def test_exact_is_said_where_every_true_edge_comes_first_and_nowhere_else(
    known: dict[str, Any], written: dict[str, str]
) -> None:
    shown = by_label(section(written["circuits.md"], "### Edges, model by model"))
    counts = []
    for one in known["models"]:
        for row in one["methods"]:
            if row["edges"] is not None:
                cells = {name.strip("*"): cell for name, cell in shown[one["model"]].items()}
                first = row["edges"]["auc_pessimistic"] == 1
                assert (cells[row["label"]] == "exact") == first
                counts.append(first)
    assert 0 < sum(counts) < len(counts)


def test_what_was_not_measured_or_has_no_width_says_so() -> None:
    cells = script("page_cells")
    row = {"peak_bytes": 30_400_000, "given_back": True}
    assert cells.memory_cell(row) == "30.4"
    assert cells.memory_cell({**row, "given_back": False}) == "not measured"
    assert cells.memory_cell({"peak_bytes": 0}) == "not measured"
    assert cells.memory_cell({"peak_bytes": 0, "given_back": True}) == "< 0.05"
    assert cells.area_cell(0.9, 0.8, 1.0) == "0.90 (0.80 to 1.00)"
    assert cells.area_cell(1.0, 1.0, 1.0) == "exact"
    assert cells.area_cell(0.999, 0.998, 1.0) == "1.00 (1.00 to 1.00)", "which is not exact"
    assert cells.area_cell(None, None, None) == "not defined"


def test_rows_of_another_run_stay_in_the_record_of_known_circuits() -> None:
    merged = script("known_circuits").merged
    first, second = list(KNOWN_MODELS)[:2]

    def record(model: str, skipped: dict[str, str], **values: int) -> dict[str, Any]:
        rows = [{"method": name, "value": value} for name, value in values.items()]
        return {"models": [{"model": model, "skipped": skipped, "methods": rows}]}

    found = merged({}, record(second, {"c": "cannot"}, a=1, b=2))
    found = merged(found, record(first, {}, a=3))
    found = merged(found, record(second, {}, b=4, c=5))
    assert [one["model"] for one in found["models"]] == [first, second]
    values = {row["method"]: row["value"] for row in found["models"][1]["methods"]}
    assert values == {"a": 1, "b": 4, "c": 5}
    assert found["models"][1]["skipped"] == {}
