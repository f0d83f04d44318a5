"""What a study hands back: one record and its tables, ready to be written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

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
