"""The scores of a grid's cells side by side: one chart for each score that any cell has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from needlepoint._core.records import Record
from needlepoint.report.display import Words
from needlepoint.report.plain_charts import Axis, DotChart, dots

_READ = (
    "A row for each model and question, a mark for each method; repeats of a cell, which have "
    "other seeds, are marks in the same row. Bars are intervals within a cell, over its prompts or "
    "texts."
)
_LIMITS = (
    "Rows of different questions are not comparable in height. Cells that failed or were skipped "
    "have no mark; the numbers list them without a value."
)


def grid_scores(header: Mapping[str, Any], records: Sequence[Record]) -> list[DotChart]:
    """Charts of the scores by cell; none if the run is not of a grid, or has no scores."""
    if header.get("kind") != "grid":
        return []
    charts = []
    for title, kind, axis, find in _SCORES:
        rows = [_row(record, find) for record in records if record.kind == kind]
        if any(row["estimate"] is not None for row in rows):
            words = Words(f"{title}.", _READ, _LIMITS)
            charts.append(DotChart(dots(rows), title, words, axis))
    return charts


def _row(record: Record, find: Callable[[Mapping[str, Any]], Any]) -> dict[str, Any]:
    place = record.place
    found = find(record.summary) if record.status == "done" else None
    value = found if isinstance(found, Mapping) else {"estimate": found}
    return {
        "label": f"{_short(place.get('model'))}: {_short(place.get('question'))}",
        "series": str(place.get("method") or "all methods"),
        **{name: value.get(name) for name in ("estimate", "low", "high")},
    }


def _short(name: Any) -> str:
    path = PurePath(str(name))
    return path.name if path.is_absolute() else str(name)


def _faithfulness(summary: Mapping[str, Any]) -> Any:
    return (summary.get("circuit") or {}).get("faithfulness")


def _n_heads(summary: Mapping[str, Any]) -> Any:
    return (summary.get("truth") or {}).get("n_heads")


def _best_f1(summary: Mapping[str, Any]) -> Any:
    found = [one.get("f1_one") or {} for one in summary.get("features") or []]
    known = [one for one in found if one.get("estimate") is not None]
    return max(known, key=lambda one: float(one["estimate"]), default=None)


_SCORES: tuple[tuple[str, str, Axis, Callable[[Mapping[str, Any]], Any]], ...] = (
    (
        "Share of the behaviour that the circuit keeps alone",
        "circuit",
        Axis("faithfulness", reference=1.0, reference_name="whole model"),
        _faithfulness,
    ),
    ("Heads that matter", "circuit", Axis("heads that matter", digits=0), _n_heads),
    (
        "Test F1 of the best single neuron",
        "probe",
        Axis("F1 on test texts", (0.0, 1.04)),
        _best_f1,
    ),
)
