"""One self-contained page from the records of a run: it opens anywhere, and needs no network."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, Undefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from needlepoint._core.files import write_text
from needlepoint._core.records import Record, RunFolder
from needlepoint.report import theme
from needlepoint.report.blocks import TableBlock
from needlepoint.report.glossary import GLOSSARY
from needlepoint.report.grid_table import LAID_OUT, grid_table, place_words
from needlepoint.report.kinds import SECTIONS, SectionBody, SectionKind
from needlepoint.report.made import commands, facts
from needlepoint.report.packing import packed, packed_islands
from needlepoint.report.tables import CellTables
from needlepoint.report.text import UNDEFINED, island, minus, missing, number, visible

PARTS = ("graph.js", "attention.js", "page.js")
"""The page's script; the last part starts the others."""


@dataclass(frozen=True)
class Section:
    """One record on the page, whatever became of it."""

    id: str
    record: Record
    body: SectionBody | None
    """What was found; `None` if the record was skipped, failed, or is of an unknown kind."""

    @property
    def kind(self) -> SectionKind | None:
        """How it is shown; `None` if it is of an unknown kind."""
        return SECTIONS.get(self.record.kind)

    @property
    def title(self) -> str:
        """A short name for the table of contents."""
        kind, _, rest = self.record.cell.partition(".")
        rest = place_words(self.record) or rest
        words = SECTIONS[kind].words if kind in SECTIONS else None
        return f"{words}: {rest.replace('_', ' ')}" if words and rest else self.record.cell

    @property
    def why(self) -> str:
        """The reason in one line: for a failure, the last line of its traceback."""
        lines = self.record.reason.strip().splitlines()
        return (lines[-1] if lines else "no reason was recorded").strip()


def build_report(run: Path) -> Path:
    """Write `RUN/report.html` and return its path.

    The page is made from the records and tables alone: it can be made again at any time, on a
    machine without a model. It holds everything it needs and asks the network for nothing.

    Args:
        run: A run folder.

    Raises:
        StoreError: If the folder holds no run, or a record or table is damaged.
    """
    folder = RunFolder.open(run)
    path = run / "report.html"
    write_text(path, render(folder))
    return path


def render(folder: RunFolder) -> str:
    """The page as text."""
    header, records = folder.header, folder.records()
    grid = grid_table(header, records)
    shown = records if grid is None else records[:LAID_OUT]
    sections = [_section(folder, record, place) for place, record in enumerate(shown)]
    sections.sort(key=lambda section: section.record.status != "done")
    scripts = {"plotly": _script(get_plotlyjs()), "page": _script("".join(map(_asset, PARTS)))}
    return (
        _environment()
        .get_template("page.html")
        .render(
            title=_title(header),
            header=header,
            model=header.get("model") or {},
            sections=sections,
            grid=grid,
            islands=packed_islands([*_islands(sections), *_island_of(grid)]),
            facts=facts(header, shown),
            commands=commands(header),
            glossary=GLOSSARY,
            style=Markup(_asset("style.css")),
            scripts=scripts,
            policy=_policy(scripts.values()),
            theme=Markup(island({"dark": theme.DARK})),
        )
    )


def _section(folder: RunFolder, record: Record, place: int) -> Section:
    name, kind = f"s{place}", SECTIONS.get(record.kind)
    body: SectionBody | None = None
    if record.status == "done" and kind is not None:
        body = kind.lay_out(name, record.summary, CellTables(folder, record))
    return Section(name, record, body)


def _islands(sections: Sequence[Section]) -> list[tuple[str, Any]]:
    """The numbers of every piece."""
    bodies = [section.body for section in sections if section.body is not None]
    return [(block.id, block.data) for body in bodies for block in body.blocks]


def _island_of(block: TableBlock | None) -> list[tuple[str, Any]]:
    return [] if block is None else [(block.id, block.data)]


def _title(header: Mapping[str, Any]) -> str:
    model = (header.get("model") or {}).get("name")
    return f"needlepoint: {model}" if model else "needlepoint"


def _asset(name: str) -> str:
    return files("needlepoint.report").joinpath("templates", name).read_text(encoding="utf-8")


def _script(text: str) -> Markup:
    """A script that can stand in a page: one kind of line end, and nothing that closes it."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return Markup(re.sub(r"</(script)", r"<\\/\1", text, flags=re.IGNORECASE))


def _policy(scripts: Any) -> str:
    """A content policy that lets exactly these scripts run and nothing be fetched."""
    digests = [hashlib.sha256(str(script).encode()).digest() for script in scripts]
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("needlepoint.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=readable,
    )
    environment.filters["number"] = _number
    environment.filters["minus"] = lambda text: minus(str(text))
    environment.filters["packed"] = lambda text: Markup(packed(str(text)))
    return environment


def _number(value: Any, digits: int = 2) -> str:
    return UNDEFINED if isinstance(value, Undefined) else number(value, digits)


def readable(value: Any) -> Any:
    """What every expression of a template becomes: readable, and never `None` or `nan`."""
    if isinstance(value, Markup):
        return value
    if isinstance(value, Undefined) or missing(value):
        return UNDEFINED
    return visible(value) if isinstance(value, str) else value
