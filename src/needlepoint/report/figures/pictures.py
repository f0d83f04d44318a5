"""Which pictures a run has: those of its page, under names that can be files."""

from __future__ import annotations

import re
from dataclasses import dataclass

from needlepoint._core.records import RunFolder
from needlepoint.report.blocks import FigureBlock, PanelBlock
from needlepoint.report.display import Display
from needlepoint.report.figures.grid_scores import grid_scores
from needlepoint.report.kinds import SECTIONS
from needlepoint.report.tables import CellTables


@dataclass(frozen=True)
class Picture:
    """One picture of a run, and what its file is called."""

    name: str
    """Cell and title, in letters that any disk takes; without an end such as `.pdf`."""

    display: Display


def pictures(run: RunFolder) -> list[Picture]:
    """Every picture of a run that is drawn from numbers, in the order of its page.

    The page of a large grid lays out its first cells only; here are those of all cells, and the
    scores of the cells beside one another first.

    Raises:
        StoreError: If a record or a table is damaged.
    """
    records = run.records()
    found = [
        Picture(f"grid.{_plain(display.title)}", display)
        for display in grid_scores(run.header, records)
    ]
    for record in records:
        kind = SECTIONS.get(record.kind)
        if record.status != "done" or kind is None:
            continue
        body = kind.lay_out("s", record.summary, CellTables(run, record))
        displays = [display for block in body.blocks for display in _displays(block)]
        found += [Picture(f"{record.cell}.{_plain(one.title)}", one) for one in displays]
    return _distinct(found)


def _displays(block: object) -> list[Display]:
    """What a piece of the page draws; tables and shaded texts are no pictures."""
    if isinstance(block, FigureBlock):
        return [display for _, display in block.choices]
    return [block.display] if isinstance(block, PanelBlock) else []


def _plain(text: str) -> str:
    """Letters, digits and dashes, as short as a name of a file should be.

    Example:
        >>> _plain("How many neurons: C++?")
        'how-many-neurons-c'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:70].rstrip("-") or "figure"


def _distinct(found: list[Picture]) -> list[Picture]:
    """The same pictures; a name that is taken already gets a number."""
    taken: set[str] = set()
    named = []
    for picture in found:
        name, count = picture.name, 2
        while name in taken:
            name, count = f"{picture.name}-{count}", count + 1
        taken.add(name)
        named.append(Picture(name, picture.display))
    return named
