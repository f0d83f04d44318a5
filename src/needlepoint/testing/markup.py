"""Text that would be markup, put into every text of a run folder, to see that pages show it so."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Collection
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd

from needlepoint._core.records import RunFolder

TAG = "np-stray"
MARKUP = f"""</script></style></textarea>"'><{TAG} {TAG}=1 onclick={TAG}()><!--&lt;{TAG}&gt;"""
"""What becomes an element or an attribute wherever it is not escaped."""


def put_markup(run: RunFolder, kept: Collection[str] = (), *, most: int = 4) -> int:
    """Add markup to the texts of a run: its model's name, summaries, configs, tables.

    Args:
        run: The run; its records are written anew.
        kept: Names of entries and columns that are left as they are, as they are no text but
            addresses, names of measures and the like, and are looked up.
        most: How many texts of each name are changed, the same ones wherever they stand.

    Returns:
        How many texts now have markup in them.
    """
    writing = _Writing(frozenset(kept), most)
    run.update(**{
        name: writing.of(value, name)
        for name, value in run.header.items()
        if name in ("model", "command", "config")
    })  # fmt: skip
    for record in run.records():
        tables = {name: run.table(record.cell, name) for name in record.tables}
        arrays = run.arrays(record.cell) if record.arrays else {}
        changed: dict[str, Any] = {
            name: writing.of(getattr(record, name), name)
            for name in ("summary", "config", "reason", "place")
        }
        marked = {name: writing.of_table(table) for name, table in tables.items()}
        run.remove(record.cell)
        run.add(dataclasses.replace(record, **changed), marked, arrays)
    return writing.count


class _Writing:
    def __init__(self, kept: frozenset[str], most: int) -> None:
        self.kept, self.most, self.count = kept, most, 0
        self.seen: dict[str, set[str]] = defaultdict(set)

    def of(self, value: Any, name: str) -> Any:
        """The same value with markup at the end of each text in it."""
        if name in self.kept:
            return value
        if isinstance(value, str):
            if len(self.seen[name]) < self.most:
                self.seen[name].add(value)
            if value not in self.seen[name]:
                return value
            self.count += 1
            return value + MARKUP
        if isinstance(value, dict):
            return {key: self.of(item, str(key)) for key, item in value.items()}
        if isinstance(value, (list, tuple, np.ndarray)):
            if isinstance(value, np.ndarray) and value.dtype != object:
                return value
            return [self.of(item, name) for item in value]
        return value

    def of_table(self, table: pd.DataFrame) -> pd.DataFrame:
        texts = [name for name in table if not pd.api.types.is_numeric_dtype(table[name])]
        return table.assign(**{
            str(name): [self.of(value, str(name)) for value in table[name]] for name in texts
        })  # fmt: skip


def stray_markup(page: str) -> list[str]:
    """Elements and attributes of a page that came out of its texts; none if all are escaped."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.stray


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.stray: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [tag, *(name for name, _ in attrs)]
        if TAG in names or any(value and name == "onclick" for name, value in attrs):
            self.stray.append(self.get_starttag_text() or tag)
