"""The pieces a page is laid out from: figures with choices, sortable tables, tiles of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from needlepoint.report.display import Display, frame_dict
from needlepoint.report.text import (
    NOT_MEASURED,
    NOT_RECORDED,
    UNDEFINED,
    interval,
    missing,
    number,
)


@dataclass(frozen=True)
class Tile:
    """One number with its name, large enough to be read in passing."""

    name: str
    value: str
    note: str = ""

    @property
    def undefined(self) -> bool:
        """Whether there is no value, but a reason."""
        return self.value.startswith(UNDEFINED)


@dataclass(frozen=True)
class FigureBlock:
    """A place for one figure; with several choices a menu stands above it."""

    id: str
    choices: Sequence[tuple[str, Display]]
    """What the menu calls each display; a single choice shows no menu."""

    menu: str = ""
    """What is chosen with the menu, for instance `method`."""

    @property
    def first(self) -> Display:
        """The display that is shown at first."""
        return self.choices[0][1]

    @property
    def height(self) -> int:
        """Space kept for the figure before it is drawn, in pixels."""
        return int(self.data[0]["figure"]["layout"]["height"])

    @cached_property
    def data(self) -> list[dict[str, Any]]:
        """What the page's script draws and offers for download."""
        return [{"name": name, **display.as_dict()} for name, display in self.choices]


@dataclass(frozen=True)
class PanelBlock:
    """A picture that a reader works with: the page's script draws it from the display's `panel`."""

    id: str
    kind: str
    """Which part of the script draws it: `graph` or `attention`."""
    display: Any
    """A display with a method `panel`."""
    numbers: bool = True
    """Whether the rows to download stand in the page; else the script makes them when asked."""

    @property
    def has_edges(self) -> bool:
        """Whether edges can be drawn, so that their colours need a key."""
        return len(getattr(self.display, "edges", ())) > 0

    @property
    def data(self) -> list[dict[str, Any]]:
        """What the page's script draws and offers for download."""
        display = self.display
        found = {"name": display.title, "title": display.title, "alt": display.alt()}
        if self.numbers:
            found["frame"] = frame_dict(display.frame())
        return [{**found, "panel": display.panel()}]


@dataclass(frozen=True)
class Cell:
    """One cell of a table: what is shown, and what it is sorted by."""

    text: str
    sort: float | str | None = None
    """A missing key sorts last, in either direction."""

    chip: bool = False
    link: str = ""
    """Id of the place of the page that the text leads to; none if empty."""

    @property
    def undefined(self) -> bool:
        """Whether the cell says that there is no value."""
        return self.text.startswith((UNDEFINED, NOT_RECORDED, NOT_MEASURED))


ABSENT = Cell(NOT_RECORDED)
"""Of something that an earlier version, which wrote the run, did not measure."""


@dataclass(frozen=True)
class Column:
    """The head of one column."""

    title: str
    numeric: bool = False
    help: str = ""
    wide: bool = False
    """Whether it holds sentences, which need room."""


@dataclass(frozen=True)
class TableBlock:
    """A table that can be sorted; rows beyond the first few wait behind a button."""

    id: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    frame: pd.DataFrame
    """What is offered for download."""

    shown: int = 12
    code: frozenset[int] = field(default_factory=frozenset)
    """Columns that hold sites or other text in fixed width."""

    note: str = ""
    """A sentence above the table on what is missing in it."""

    choose: int | None = None
    """A column by whose texts a menu chooses rows; None for no menu."""

    @property
    def menu(self) -> list[str]:
        """What the menu offers, in the order of the rows."""
        if self.choose is None:
            return []
        return list(dict.fromkeys(row[self.choose].text for row in self.rows))

    @property
    def data(self) -> list[dict[str, Any]]:
        """What the page offers for download."""
        return [{"name": self.caption, "title": self.caption, "frame": frame_dict(self.frame)}]


@dataclass(frozen=True)
class Numbers:
    """Numbers to download that have no plotly figure, such as shaded texts."""

    id: str
    display: Display

    @property
    def data(self) -> list[dict[str, Any]]:
        """What the page offers for download."""
        frame = frame_dict(self.display.frame())
        return [{"name": self.display.title, "title": self.display.title, "frame": frame}]


def number_cell(value: Any, digits: int = 2, *, signed: bool = False) -> Cell:
    """A cell that holds one number."""
    return Cell(number(value, digits, signed=signed), sort_key(value))


def interval_cell(row: dict[Any, Any], name: str, digits: int = 2) -> Cell:
    """A cell with an estimate and its interval from the columns `NAME`, `NAME_low`, `NAME_high`."""
    value = {"low": row[f"{name}_low"], "estimate": row[name], "high": row[f"{name}_high"]}
    text = UNDEFINED if missing(row[name]) else interval(value, digits)
    return Cell(text, sort_key(row[name]))


def summary_cell(summary: Any, name: str, digits: int = 2) -> Cell:
    """A cell with a value or an interval of a summary, or the reason why there is none."""
    value = summary.get(name)
    estimate = value.get("estimate") if isinstance(value, dict) else value
    text = interval(value, digits, reason=summary.get(f"{name}_reason"))
    return Cell(text, sort_key(estimate))


def text_cell(value: Any, *, chip: bool = False) -> Cell:
    """A cell that holds text."""
    shown = UNDEFINED if missing(value) else str(value)
    return Cell(shown, shown.lower(), chip=chip)


def sort_key(value: Any) -> float | None:
    """The number a cell is sorted by; `None` where there is none."""
    return None if missing(value) else float(value)
