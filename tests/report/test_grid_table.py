"""The page of a grid begins with a table of its cells, and shows what it can in full."""

from __future__ import annotations

from pathlib import Path

import pytest

from needlepoint._core.records import Record, RunFolder
from needlepoint.report import build_report
from needlepoint.report.grid_table import LAID_OUT, grid_table

HEADER = {"kind": "grid"}


def record(repeat: int, status: str = "done", **summary: object) -> Record:
    place = {"model": "smollm2", "question": "/data/<b>pairs.jsonl", "method": ""}
    summary = {"question": f"question {repeat}?", "answer": "an answer", **summary}
    return Record(
        f"circuit.pairs.smollm2.r{repeat}",
        "circuit",
        status,  # type: ignore[arg-type]
        reason="" if status == "done" else "too few pairs.",
        seconds=2.0 * repeat,
        summary=summary if status == "done" else {},
        place={**place, "repeat": repeat},
    )


def test_a_row_says_what_was_asked_and_found() -> None:
    circuit = {"faithfulness": {"low": 0.2, "estimate": 0.35, "high": 0.5}}
    found = [record(0, truth={"n_heads": 5}, circuit=circuit), record(1, "skipped")]
    table = grid_table(HEADER, found)
    assert table is not None
    titles = [column.title for column in table.columns]
    assert titles[-2:] == ["heads that matter", "faithfulness"]
    rows = [dict(zip(titles, (cell.text for cell in row), strict=True)) for row in table.rows]
    assert rows[0]["question"] == "<b>pairs.jsonl"
    assert (rows[0]["heads that matter"], rows[0]["faithfulness"]) == ("5", "0.35")
    assert (rows[1]["ended"], rows[1]["faithfulness"]) == ("skipped", "not defined")
    assert [row[1].link for row in table.rows] == ["s0", "s1"], "each leads to its part of the page"
    assert [row[5].sort for row in table.rows] == [0.0, 2.0]


def test_the_best_feature_of_a_probe_is_shown() -> None:
    features = [{"f1_one": {"estimate": value}} for value in (0.5, 0.9, None)]
    table = grid_table(HEADER, [record(0, features=features)])
    assert table is not None
    assert table.columns[-1].title == "best F1"
    assert table.rows[0][-1].text == "0.90"


def test_other_runs_have_no_such_table() -> None:
    assert grid_table({"kind": "circuit"}, [record(0)]) is None
    assert grid_table(HEADER, []) is None


@pytest.mark.parametrize("n_cells", [2, LAID_OUT + 3])
def test_the_page_of_a_grid(tmp_path: Path, n_cells: int) -> None:
    run = RunFolder.create(tmp_path / "run", kind="grid", config={})
    for repeat in range(n_cells):
        run.add(record(repeat, "failed"))
    page = build_report(run.path).read_text()
    assert page.count('<section class="record"') == min(n_cells, LAID_OUT)
    assert ("The page shows the first 30 in full" in page) == (n_cells > LAID_OUT)
    assert "several models" in page
    assert "&lt;b&gt;pairs.jsonl" in page
    assert "<b>pairs" not in page.partition("<script")[0]
