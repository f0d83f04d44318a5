"""The table of methods: how well each finds the heads that matter, and what it costs."""

from __future__ import annotations

from typing import Any

import pandas as pd

from needlepoint.report.blocks import (
    ABSENT,
    Cell,
    Column,
    TableBlock,
    interval_cell,
    number_cell,
    text_cell,
)
from needlepoint.report.method_charts import sorted_methods
from needlepoint.report.text import NOT_MEASURED, missing, number

OLDER = "The version that wrote this run did not record everything; what it lacks is marked so."
BEST = Cell("the best control")
NO_AREAS = "CPR and CMD were not measured; --curve-pairs 24 measures them for methods of edges."

_JUDGED = [
    Column("AUC", numeric=True, help="heads that matter above heads that do not; 0.5 is guessing"),
    Column("average precision", numeric=True, help="1: all heads that matter come first"),
    Column(
        "above the best control",
        numeric=True,
        help="difference of the average precisions; the control is the best on this truth",
    ),
    Column("precision at k", numeric=True, help="of the first k, with k as many as matter"),
    Column("repo-F1", numeric=True, help="the paper's own F1, at the cut that suits it best"),
    Column("rank correlation", numeric=True, help="Spearman, with the size of the effect"),
]
_AREAS = [
    Column("CPR", numeric=True, help="area under faithfulness of its circuits; larger is better"),
    Column("CMD", numeric=True, help="distance of its circuits from the model; 0 is best"),
]
_COSTS = [
    Column("seconds", numeric=True, help="time of the method itself, without reading activations"),
    Column("forward passes", numeric=True, help="prompts run through the whole model"),
    Column("backward passes", numeric=True, help="prompts run backwards through the whole model"),
    Column("peak memory (MB)", numeric=True, help="held above what was held before; 0 if reused"),
]


def method_table(name: str, methods: pd.DataFrame, absent: tuple[str, ...]) -> TableBlock | None:
    """The table, without columns that no method has a value in.

    Args:
        name: An identifier of the section.
        methods: The table `methods` of a circuit record.
        absent: Columns that the version which wrote it did not know.
    """
    if methods.empty:
        return None
    judged = bool(methods["auc"].notna().any() or methods["average_precision"].notna().any())
    areas = bool(methods["cpr"].notna().any())
    columns = [
        Column("method"),
        Column("level", help="what it scores: heads, nodes (heads and MLPs), or edges"),
        *(_JUDGED if judged else []),
        *(_AREAS if areas else []),
        *_COSTS,
        Column("role", help="controls should not do well"),
        Column("what it does", wide=True),
    ]
    ranked = sorted_methods(methods, "auc") if judged else methods
    # Of the best control alone it is missing where others have it.
    compared = bool(methods["above_control"].notna().any())
    rows = [
        _row(row, absent, judged=judged, compared=compared, areas=areas)
        for row in ranked.to_dict("records")
    ]
    notes = [_chance(methods), OLDER if absent else "" if areas else NO_AREAS]
    note = " ".join(one for one in notes if one)
    return TableBlock(f"{name}-methodtable", "Methods", columns, rows, ranked, shown=20, note=note)


def precision_cell(row: dict[Any, Any]) -> Cell:
    """The average precision with its interval, which earlier versions did not keep."""
    if missing(row["average_precision_low"]):
        return number_cell(row["average_precision"])
    return interval_cell(row, "average_precision")


def _above(row: dict[Any, Any], *, compared: bool) -> Cell:
    """The difference, or that this is what others are held against."""
    if compared and missing(row["above_control"]):
        return BEST
    return interval_cell(row, "above_control")


def _chance(methods: pd.DataFrame) -> str:
    """What a random order gets, which is the same for all methods."""
    known = methods["chance_precision"].dropna()
    return f"A random order gets average precision {number(known.iloc[0])}." if len(known) else ""


def _row(
    row: dict[Any, Any], absent: tuple[str, ...], *, judged: bool, compared: bool, areas: bool
) -> list[Cell]:
    def kept(column: str, cell: Cell) -> Cell:
        return ABSENT if column in absent else cell

    found = [text_cell(row["label"]), kept("level", text_cell(row["level"]))]
    if judged:
        found += [
            interval_cell(row, "auc"),
            precision_cell(row),
            kept("above_control", _above(row, compared=compared)),
            kept("precision_at_k", number_cell(row["precision_at_k"])),
            kept("repo_f1", number_cell(row["repo_f1"])),
            number_cell(row["spearman"]),
        ]
    if areas:
        found += [
            Cell(NOT_MEASURED) if missing(row[area]) else interval_cell(row, area)
            for area in ("cpr", "cmd")
        ]
    peak = row["peak_bytes"]
    return [
        *found,
        number_cell(row["seconds"], 1),
        kept("forward_passes", number_cell(row["forward_passes"], 0)),
        kept("backward_passes", number_cell(row["backward_passes"], 0)),
        kept("peak_bytes", number_cell(None if missing(peak) else peak / 1e6, 1)),
        text_cell("control" if row["control"] else "method", chip=bool(row["control"])),
        text_cell(f"{row['description']}{'. Uses labels.' if row['uses_labels'] else ''}"),
    ]
