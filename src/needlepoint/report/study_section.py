"""A section in parts, for studies that need nothing but findings, figures and tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from needlepoint.report.blocks import (
    ABSENT,
    Cell,
    Column,
    FigureBlock,
    TableBlock,
    Tile,
    interval_cell,
    number_cell,
    sort_key,
    text_cell,
)
from needlepoint.report.text import missing, number
from needlepoint.report.text import p_value as p_value_text


@dataclass(frozen=True)
class Part:
    """One titled part: a finding in words, then figures and tables."""

    anchor: str
    title: str
    finding: str = ""
    notes: Sequence[str] = ()
    """Sentences in a list, such as what differs from a published study."""
    figures: Sequence[FigureBlock] = ()
    tables: Sequence[TableBlock] = ()


@dataclass(frozen=True)
class StudySection:
    """Everything the template `study.html` needs."""

    id: str
    summary: Mapping[str, Any]
    lead: str
    tiles: Sequence[Tile]
    parts: Sequence[Part]
    confounds: Sequence[str] = field(default_factory=tuple)

    @property
    def blocks(self) -> list[FigureBlock | TableBlock]:
        """All pieces that give up numbers."""
        found: list[FigureBlock | TableBlock] = []
        for part in self.parts:
            found += [*part.figures, *part.tables]
        return found


@dataclass(frozen=True)
class Shown:
    """How one column of a record's table is shown."""

    name: str
    title: str
    kind: Literal["text", "code", "chip", "number", "signed", "interval", "p", "whole"] = "text"
    digits: int = 2
    help: str = ""
    nothing: str = ""
    """What stands where there is no value, if that has one reason."""
    bare: str = ""
    """What stands beside a value without an interval, if that has one reason."""


def table_block(
    name: str,
    caption: str,
    frame: pd.DataFrame,
    shown: Sequence[Shown],
    *,
    rows: int = 12,
    absent: Collection[str] = (),
) -> TableBlock | None:
    """A sortable table of some columns of a record's table; None if it has no rows.

    Args:
        name: Identifier, unique in the page.
        caption: What stands above it.
        frame: The table of the record; all of it is offered for download.
        shown: The columns, in order; an interval is read from `NAME, NAME_low, NAME_high`.
        rows: Rows shown before the button for more.
        absent: Columns that the run is too old to have.
    """
    if frame.empty:
        return None
    columns = [
        Column(one.title, numeric=one.kind not in ("text", "code", "chip"), help=one.help)
        for one in shown
    ]
    code = frozenset(place for place, one in enumerate(shown) if one.kind == "code")
    body = [
        [ABSENT if one.name in absent else _cell(row, one) for one in shown]
        for row in frame.to_dict("records")
    ]
    return TableBlock(name, caption, columns, body, frame, shown=rows, code=code)


def kept(*blocks: TableBlock | None) -> list[TableBlock]:
    """The tables that have rows."""
    return [block for block in blocks if block is not None]


def _cell(row: dict[Any, Any], one: Shown) -> Cell:
    value = row.get(one.name)
    if one.nothing and missing(value):
        return Cell(one.nothing)
    if one.kind in ("text", "code", "chip"):
        return text_cell(value, chip=one.kind == "chip")
    if one.kind == "interval":
        if one.bare and not missing(value) and missing(row[f"{one.name}_low"]):
            return Cell(f"{number(value, one.digits)} ({one.bare})", sort_key(value))
        return interval_cell(row, one.name, one.digits)
    if one.kind == "p":
        return Cell(p_value_text(value), sort_key(value))
    if one.kind == "whole":
        return Cell(number(value, 0), sort_key(value))
    return number_cell(value, one.digits, signed=one.kind == "signed")
