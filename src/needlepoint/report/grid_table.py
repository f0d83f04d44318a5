"""The cells of a grid in one table: what was asked, how it ended, what was found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import pandas as pd

from needlepoint._core.records import Record
from needlepoint.report.blocks import Cell, Column, TableBlock, number_cell, text_cell
from needlepoint.report.text import missing

LAID_OUT = 30
"""Cells that a page of a grid shows in full; a browser would labour with many more."""

_PLACE = (
    Column("model"),
    Column("question", help="the behaviour or the feature collection"),
    Column("method", help="of this cell alone; a dash if the settings name several"),
    Column("repeat", numeric=True, help="repeats have other seeds"),
    Column("ended"),
    Column("seconds", numeric=True),
)


def grid_table(header: Mapping[str, Any], records: Sequence[Record]) -> TableBlock | None:
    """A row for each cell with a record; `None` if the run is not of a grid.

    Columns of findings that no cell has are left out.
    """
    if header.get("kind") != "grid" or not records:
        return None
    rows = [{**_place(record), **_findings(record)} for record in records]
    frame = pd.DataFrame(rows, dtype=object)  # so that counts stay whole beside what is missing
    findings = [name for name in _FINDINGS if frame[name].notna().any()]
    frame["section"] = [f"s{place}" if place < LAID_OUT else "" for place in range(len(rows))]
    columns = [*_PLACE, *(Column(name, numeric=True, help=_HELP[name]) for name in findings)]
    left = max(0, len(records) - LAID_OUT)
    note = f"The page shows the first {LAID_OUT} in full; the others are in the folder's tables."
    return TableBlock(
        "grid",
        "Cells of the grid",
        columns,
        [_row(row, findings) for row in frame.to_dict("records")],
        frame[["cell", "kind", *(column.title for column in columns)]],
        shown=20,
        note=note if left else "",
        choose=1,
    )


def _row(row: Mapping[Any, Any], findings: Sequence[str]) -> list[Cell]:
    return [
        text_cell(row["model"]),
        replace(text_cell(row["question"]), link=row["section"]),
        text_cell(row["method"] or "-"),
        number_cell(row["repeat"], 0),
        text_cell(row["ended"], chip=True),
        number_cell(row["seconds"], 1),
        *(_finding(row, name) for name in findings),
    ]


def _finding(row: Mapping[Any, Any], name: str) -> Cell:
    """A number of a cell; a dash where cells of its kind are not asked for it."""
    asked = row["kind"] == _KINDS[name] or not missing(row[name])
    return number_cell(row[name]) if asked else Cell("\u2013")


def place_words(record: Record) -> str:
    """What a cell of a grid is about: its question, model, method and repeat; empty if of none.

    Example:
        >>> place = {"model": "smollm2", "question": "ioi", "method": "", "repeat": 1}
        >>> place_words(Record("circuit.ioi.smollm2.r1", "circuit", "done", place=place))
        'ioi, smollm2, repeat 1'
    """
    if not record.place:
        return ""
    place = _place(record)
    words = [place["question"], place["model"], place["method"]]
    return ", ".join([*(str(word) for word in words if word), f"repeat {place['repeat']}"])


def _place(record: Record) -> dict[str, Any]:
    place = record.place
    return {
        "cell": record.cell,
        "kind": record.kind,
        "model": _short(place.get("model")),
        "question": _short(place.get("question")),
        "method": place.get("method"),
        "repeat": place.get("repeat"),
        "ended": record.status,
        "seconds": record.seconds,
    }


def _short(name: Any) -> str:
    """A name, or the last part of a path."""
    path = PurePath(str(name))
    return path.name if path.is_absolute() else str(name)


def _findings(record: Record) -> dict[str, Any]:
    return {name: find(record.summary) for name, find in _FINDINGS.items()}


def _faithfulness(summary: Mapping[str, Any]) -> float | None:
    circuit = summary.get("circuit") or {}
    return (circuit.get("faithfulness") or {}).get("estimate")


def _best_f1(summary: Mapping[str, Any]) -> float | None:
    found = [(one.get("f1_one") or {}).get("estimate") for one in summary.get("features") or []]
    return max((value for value in found if value is not None), default=None)


_FINDINGS: dict[str, Callable[[Mapping[str, Any]], float | None]] = {
    "heads that matter": lambda summary: (summary.get("truth") or {}).get("n_heads"),
    "faithfulness": _faithfulness,
    "best F1": _best_f1,
}
_KINDS = {"heads that matter": "circuit", "faithfulness": "circuit", "best F1": "probe"}
_HELP = {
    "heads that matter": "heads whose ablation moves the metric by more than noise",
    "faithfulness": "share of the behaviour that these heads keep alone, on fresh prompts",
    "best F1": "of the single neuron that tells a feature best, on unseen documents",
}
