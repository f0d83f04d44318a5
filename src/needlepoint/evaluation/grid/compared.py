"""Two results of one cell, part by part: of two runs, or of a run and its recomputation."""

from __future__ import annotations

from dataclasses import dataclass

from needlepoint._core.records import Record, RunFolder
from needlepoint.evaluation.grid.agreement import (
    ALL_DIGITS,
    Agreement,
    agreement,
    columns_of_arrays,
    columns_of_summary,
    columns_of_table,
)
from needlepoint.evaluation.study import Study


@dataclass(frozen=True)
class CellAgreement:
    """How far two results of one cell agree."""

    cell: str
    parts: tuple[Agreement, ...]
    status: tuple[str, str] = ("done", "done")

    @property
    def digits(self) -> int:
        """Digits that all numbers have in common; 0 if the two did not end alike."""
        if self.status[0] != self.status[1]:
            return 0
        return min((part.digits for part in self.parts), default=ALL_DIGITS)

    @property
    def differ(self) -> tuple[str, ...]:
        """What differs and is no number: a sentence each."""
        found = [f"{part.part}: {one}" for part in self.parts for one in part.differ]
        if self.status[0] != self.status[1]:
            found.insert(
                0, f"it is {self.status[0]} in the first and {self.status[1]} in the second"
            )
        return tuple(found)

    @property
    def same(self) -> bool:
        """Whether everything is the same to the bit."""
        return self.status[0] == self.status[1] and all(part.same for part in self.parts)

    def reproduces(self, digits: int) -> bool:
        """Whether all else is the same, and the numbers to so many digits."""
        return self.digits >= digits and not self.differ


def compare_studies(first: Study, second: Study) -> CellAgreement:
    """Compare two results of one cell: tables, summary and arrays; times and memory left out."""
    one, two = first.record, second.record
    status = (one.status, two.status)
    if status != ("done", "done"):
        return CellAgreement(one.cell, (), status)
    parts = [agreement("summary", *(columns_of_summary(r.summary) for r in (one, two)))]
    for name in {**first.tables, **second.tables}:
        if name in first.tables and name in second.tables:
            columns = (columns_of_table(study.tables[name]) for study in (first, second))
            parts.append(agreement(name, *columns))
        else:
            which = "first" if name in first.tables else "second"
            parts.append(Agreement(name, 0, 0, "", (f"it is only in the {which}",)))
    parts.append(agreement("arrays", *(columns_of_arrays(s.arrays) for s in (first, second))))
    return CellAgreement(one.cell, tuple(part for part in parts if part.values or part.differ))


def study_of(run: RunFolder, record: Record) -> Study:
    """A study as it was written.

    Raises:
        StoreError: If a table or an array cannot be read.
    """
    tables = {name: run.table(record.cell, name) for name in record.tables}
    return Study(record, tables, run.arrays(record.cell) if record.arrays else {})
