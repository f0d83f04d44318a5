"""Run folders of earlier versions open, and say what those did not measure."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from needlepoint._core.errors import StoreError
from needlepoint._core.records import RunFolder
from needlepoint.report import build_report
from needlepoint.report.blocks import ABSENT
from needlepoint.report.circuit_section import CircuitSection, circuit_section
from needlepoint.report.faithfulness import Faithfulness
from needlepoint.report.probe_section import OLDER, probe_section
from needlepoint.report.random_sets import RandomSets
from needlepoint.report.tables import ADDED, COLUMNS, CellTables

CELL = "probe.programming_language"
LATER = ("token_f1", "q_value", "optimism", "n_equivalent", "random_basis_f1", "embedding_f1")
"""Entries of a feature that the first version did not write."""


def older(run: Path, out: Path, columns: list[str]) -> CellTables:
    """The probe of a run as a version wrote it that did not know these columns and entries."""
    whole = RunFolder.open(run)
    (record,) = [one for one in whole.records() if one.cell == CELL]
    tables = {name: whole.table(CELL, name) for name in record.tables}
    tables["tests"] = tables["tests"].drop(columns=columns)
    features = [
        {name: value for name, value in one.items() if name not in LATER}
        for one in record.summary["features"]
    ]
    folder = RunFolder.create(out, kind="demo", config={})
    folder.add(replace(record, summary={**record.summary, "features": features}), tables)
    folder.finish()
    (record,) = folder.records()
    return CellTables(folder, record)


def added(frame: pd.DataFrame) -> list[str]:
    return [name for name in ADDED["tests"].split() if name in frame.columns]


def test_what_was_added_is_part_of_the_contract() -> None:
    for table, columns in ADDED.items():
        assert set(columns.split()) < set(COLUMNS[table].split())


def test_the_page_of_an_older_run_says_what_was_not_recorded(run: Path, tmp_path: Path) -> None:
    whole = RunFolder.open(run).table(CELL, "tests")
    tables = older(run, tmp_path / "old", added(whole))
    assert set(tables.absent("tests")) == set(ADDED["tests"].split())
    frame = tables.frame("tests")
    assert frame[ADDED["tests"].split()].isna().all(axis=None)
    pd.testing.assert_series_equal(frame["f1"], whole["f1"])
    section = probe_section("s0", tables.record.summary, tables)
    assert section.tests is not None
    titles = [column.title for column in section.tests.columns]
    for row in section.tests.rows:
        cells = dict(zip(titles, row, strict=True))
        lacking = {title for title, cell in cells.items() if cell is ABSENT}
        assert lacking == {
            "MCC", "balanced accuracy", "average precision", "F1 restated", "F1 at 0"
        }  # fmt: skip
        assert "interval" not in cells["AUC"].text
    page = build_report(tmp_path / "old").read_text(encoding="utf-8")
    assert page.count(OLDER.replace("'", "&#39;")) == 2
    assert not re.search(r">\s*(nan|None)\s*<", page)


LOOKS = ("shown_prompts", "attention", "codes")
"""Tables of circuits that earlier versions did not write."""


def older_circuit(run: Path, out: Path, *, without: tuple[str, ...]) -> CircuitSection:
    whole = RunFolder.open(run)
    (record,) = [one for one in whole.records() if one.cell == "circuit.ioi"]
    tables = {name: whole.table(record.cell, name) for name in record.tables if name not in without}
    summary = {name: value for name, value in record.summary.items() if name != "graph"}
    folder = RunFolder.create(out, kind="circuit", config={})
    folder.add(replace(record, summary=summary, arrays=()), tables)
    folder.finish()
    (record,) = folder.records()
    return circuit_section("s0", record.summary, CellTables(folder, record))


def test_a_circuit_of_before_patterns_were_kept_has_its_graph(run: Path, tmp_path: Path) -> None:
    section = older_circuit(run, tmp_path / "old", without=LOOKS)
    assert section.attention is None
    assert section.graph is not None
    page = build_report(tmp_path / "old").read_text(encoding="utf-8")
    assert "no attention patterns were recorded" in page
    assert 'data-panel="graph"' in page


def test_a_circuit_of_before_edges_and_nodes_is_drawn_from_its_heads(
    run: Path, tmp_path: Path
) -> None:
    section = older_circuit(run, tmp_path / "old", without=(*LOOKS, "edges", "nodes"))
    assert section.graph is not None
    shown = section.graph.display.panel()
    assert (shown["layers"], shown["heads"], shown["edges"]) == (30, 9, [])
    effects = {name: effect for name, kind, _, _, effect, *_ in shown["nodes"] if kind == "mlp"}
    assert len(effects) == 30
    assert set(effects.values()) == {None}


def test_random_sets_of_one_size_are_a_bar_without_a_band(run: Path) -> None:
    folder = RunFolder.open(run)
    (record,) = [one for one in folder.records() if one.cell == "circuit.ioi"]
    runs = CellTables(folder, record).frame("faithfulness")
    before = runs[(runs["kind"] == "ranked") | (runs["size"] == 6)]
    found, chart = RandomSets.of(before), Faithfulness(before, 6)
    assert (found.band, list(found.bars), found.n_drawn) == ({}, [6], 50)
    assert not any(trace.fill for trace in chart.figure().data)
    assert "band" not in chart.words.read
    assert "The grey bar at 6 heads holds 95 % of 50" in chart.words.read


def test_one_column_that_is_absent_leaves_the_others(run: Path, tmp_path: Path) -> None:
    tables = older(run, tmp_path / "old", ["f1_zero"])
    assert tables.absent("tests") == ("f1_zero",)
    section = probe_section("s0", tables.record.summary, tables)
    assert section.tests is not None
    assert {sum(cell is ABSENT for cell in row) for row in section.tests.rows} == {1}


def test_a_run_of_today_is_told_nothing(run: Path) -> None:
    folder = RunFolder.open(run)
    (record,) = [one for one in folder.records() if one.cell == CELL]
    tables = CellTables(folder, record)
    assert tables.absent("tests") == ()
    assert tables.absent("heads") == ()
    section = probe_section("s0", record.summary, tables)
    assert section.tests is not None
    assert section.tests.note == ""


def test_a_column_that_every_version_wrote_is_still_needed(run: Path, tmp_path: Path) -> None:
    tables = older(run, tmp_path / "old", ["recall"])
    with pytest.raises(StoreError, match=r"table .tests. of probe\.programming_language has no"):
        tables.frame("tests")
