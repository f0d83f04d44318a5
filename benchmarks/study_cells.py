"""What the pages of the case studies share: where they are, colours, cells and words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import pandas as pd

from needlepoint.report.text import p_value

DOCS = Path(__file__).parents[1] / "docs"
FIGURES = DOCS / "figures"
BLUE, LIGHT, ORANGE, GREY = "#1b6ca8", "#62a8d8", "#e0a030", "#8a8a8a"
MADE = "Made by `python benchmarks/case_studies.py`; do not edit."

Record = Mapping[str, Any]
Records = Mapping[str, Record]


def minutes(record: Record) -> str:
    """How long a study took, on what."""
    spent = record["seconds"]["processor"] / 60
    return f"{spent:.1f} minutes of processor time of {record['machine']['processor']}"


def title(name: str) -> str:
    """The name of a collection as a title."""
    return name.replace("_", " ").capitalize()


def save(figure: Any, name: str) -> None:
    """Write a figure of the pages and close it."""
    figure.savefig(FIGURES / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


def interval(row: Any, name: str, *, signed: bool = False) -> str:
    """A value with its interval from the columns `NAME`, `NAME_low`, `NAME_high`."""
    ends = (row[name], row.get(f"{name}_low"), row.get(f"{name}_high"))
    sign = "+" if signed else ""
    if ends[0] is None or pd.isna(ends[0]):
        return "not defined"
    middle, low, high = ends
    if low is None or pd.isna(low):
        return f"{middle:{sign}.2f}"
    return f"{middle:{sign}.2f} ({low:{sign}.2f} to {high:{sign}.2f})"


def shown(found: Mapping[str, Any]) -> str:
    """The same of an interval of a record."""
    return interval({"v": found["estimate"], "v_low": found["low"], "v_high": found["high"]}, "v")


def number(value: Any, digits: int = 2) -> str:
    """A number, or that there is none."""
    return "not defined" if value is None or pd.isna(value) else f"{value:.{digits}f}"


def chance(value: Any) -> str:
    """A p-value or a q-value; tiny ones as a bound, as on the pages of runs."""
    return p_value(None if value is None or pd.isna(value) else float(value))
