"""Two runs of grids held against one another, cell by cell, from what they left on disk alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from needlepoint._core.errors import DataError
from needlepoint.evaluation.circuits.compare import CellsCompared, compare_cells
from needlepoint.evaluation.grid.compared import CellAgreement, compare_studies, study_of
from needlepoint.evaluation.grid.state import GridState
from needlepoint.evaluation.study import Study


@dataclass(frozen=True, eq=False)
class GridsCompared:
    """What two grids have in common, and how far their results agree."""

    differences: tuple[str, ...]
    """What is not alike besides the results: settings, weights, versions. One sentence each."""
    cells: tuple[CellAgreement, ...]
    """Cells with a record in both."""
    circuits: tuple[CellsCompared, ...]
    """Of those the circuits with measured effects in both, with what differs between them."""
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    """Cells with a record in one of the two only."""


def compare_grids(first: Path, second: Path) -> GridsCompared:
    """Compare the cells that two grids have in common by name. No model is loaded.

    Raises:
        StoreError: If a folder is no run of a grid, or a file of it cannot be read.
        DataError: If no cell is in both.
    """
    states = GridState.of(first), GridState.of(second)
    both = [name for name in states[0].records if name in states[1].records]
    if not both:
        raise DataError(
            f"{first} and {second} have no cell in common; compare grids of like cells."
        )
    cells, circuits = [], []
    for name in both:
        one, two = (study_of(state.run, state.records[name]) for state in states)
        cells.append(compare_studies(one, two))
        circuits += _circuits(one, two)
    names = [set(state.records) for state in states]
    return GridsCompared(
        tuple(_differences(*states)),
        tuple(cells),
        tuple(circuits),
        tuple(sorted(names[0] - names[1])),
        tuple(sorted(names[1] - names[0])),
    )


def _circuits(first: Study, second: Study) -> list[CellsCompared]:
    """The comparison of two circuits, if both have effects of the same heads."""
    records = first.record, second.record
    if any(record.kind != "circuit" or record.status != "done" for record in records):
        return []
    try:
        return [compare_cells(*records, first.tables, second.tables)]
    except DataError:  # nothing was ablated in one of them, or the heads are others
        return []


def _differences(first: GridState, second: GridState) -> Iterator[str]:
    headers = first.run.header, second.run.header
    parts = ("config", "inputs", "versions")
    one, two = (dict(_leaves("", {part: header.get(part) for part in parts})) for header in headers)
    for name in [*one, *(name for name in two if name not in one)]:
        if one.get(name) != two.get(name) and not name.endswith(".path"):
            yield f"{name} is {one.get(name)!r} and {two.get(name)!r}"


def _leaves(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(f"{place}.{name}" if place else str(name), item)
    else:
        yield place, value
