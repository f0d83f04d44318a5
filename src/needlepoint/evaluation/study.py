"""What a study hands back: one record and its tables, ready to be written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape

import numpy as np
import pandas as pd

from needlepoint._core.records import Record, RunFolder


@dataclass(frozen=True)
class Study:
    """The record of one finished cell with its tables, not yet written anywhere."""

    record: Record
    tables: dict[str, pd.DataFrame]
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def save(self, run: RunFolder) -> Record:
        """Write the tables, arrays and the record into a run folder."""
        return run.add(self.record, self.tables, self.arrays)

    def _repr_html_(self) -> str:
        """Question, answer and what was left open, for a notebook; `needlepoint.show` draws it."""
        record, found = self.record, self.record.summary
        if record.status != "done":
            return f"<p><b>{escape(record.cell)}</b> {record.status}: {escape(record.reason)}</p>"
        left = "".join(f"<li>{escape(str(one))}</li>" for one in found.get("not_established") or ())
        sizes = ", ".join(f"{escape(name)} ({len(one):,})" for name, one in self.tables.items())
        return (
            f"<p><b>{escape(str(found.get('question', record.cell)))}</b></p>"
            f"<p>{escape(str(found.get('answer', '')))}</p>"
            f"<details><summary>Not established</summary><ul>{left}</ul></details>"
            f"<p><small>Tables (rows): {sizes}</small></p>"
        )


@dataclass
class Clock:
    """Seconds spent on each part of a study."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the time of the block towards a part."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self.seconds[name] = round(self.seconds.get(name, 0.0) + spent, 3)

    @property
    def total(self) -> float:
        """Seconds of all parts together."""
        return sum(self.seconds.values())
