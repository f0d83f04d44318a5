"""What a grid would run: its cells, those that are there, bytes of activations, time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from needlepoint._core.records import Record
from needlepoint.evaluation.grid.activation_bytes import NOTHING, Read, activations_of
from needlepoint.evaluation.grid.cells import Cell, cells_of
from needlepoint.evaluation.grid.config import GridConfig
from needlepoint.evaluation.grid.inputs import Inputs
from needlepoint.evaluation.grid.key import cell_key
from needlepoint.evaluation.grid.measured_costs import Cost, measured_cost
from needlepoint.evaluation.grid.run import jobs_of
from needlepoint.evaluation.grid.state import GridState


@dataclass(frozen=True)
class Planned:
    """The repeats of one question and method on one model."""

    cells: tuple[Cell, ...]
    n_there: int
    """How many of them have a record already."""
    activations: Read
    """What all of them will keep together; of methods that share activations the first has it."""
    cost: Cost
    """Of one cell."""

    @property
    def n_left(self) -> int:
        """How many are to be computed."""
        return len(self.cells) - self.n_there

    @property
    def seconds(self) -> float | None:
        """Of all that are to be computed, one after another; None if it is not known."""
        if self.n_left == 0:
            return 0.0
        return None if self.cost.seconds is None else self.n_left * self.cost.seconds


@dataclass(frozen=True)
class GridPlan:
    """What a grid would run, part by part."""

    parts: tuple[Planned, ...]

    @property
    def n_cells(self) -> int:
        """All cells."""
        return sum(len(part.cells) for part in self.parts)

    @property
    def n_left(self) -> int:
        """Cells to be computed."""
        return sum(part.n_left for part in self.parts)

    @property
    def bytes(self) -> tuple[int, int]:
        """Bytes of activations as far as they are known, and how many parts are not."""
        known = [part.activations.bytes for part in self.parts]
        return sum(one or 0 for one in known), known.count(None)

    @property
    def seconds(self) -> tuple[float, int]:
        """Seconds as far as they are known, and how many cells are not in them."""
        unknown = sum(part.n_left for part in self.parts if part.seconds is None)
        return sum(part.seconds or 0.0 for part in self.parts), unknown


def plan_grid(config: GridConfig, run: Path | None = None, *, measure: bool = False) -> GridPlan:
    """What a grid would run, and what of it a run folder has already. Nothing is computed.

    Args:
        config: The grid.
        run: A run folder of a grid, this one or another. Cells of the same name and key are
            there; times of finished cells of the same kind are what the others are expected to
            take.
        measure: Whether to load models and texts and time a forward pass over a few of them,
            where no finished cell says how long it takes.

    Raises:
        DataError: If a file cannot be read.
        StoreError: If the run folder cannot be.
    """
    inputs, records = Inputs.of(config), _records(run)
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in cells_of(config):
        groups.setdefault((cell.model, f"{cell.kind} {cell.question}", cell.method), []).append(
            cell
        )
    parts, read = [], set()
    for (model, question, _), cells in groups.items():
        there = [cell for cell in cells if _is_there(cell, records, inputs, config.dtype)]
        left = [cell for cell in cells if cell not in there]
        cost = measured_cost(cells[0], records.values())
        activations = NOTHING
        if left and (model, question) not in read:
            read.add((model, question))
            one = _read(left, config, inputs, measure=measure)
            activations, cost = _together(one, left, inputs), _or_reading(cost, one)
        parts.append(Planned(tuple(cells), len(there), activations, cost))
    return GridPlan(tuple(parts))


def _records(run: Path | None) -> Mapping[str, Record]:
    return {} if run is None else GridState.of(run).records


def _is_there(cell: Cell, records: Mapping[str, Record], inputs: Inputs, dtype: str) -> bool:
    record = records.get(cell.name)
    return record is not None and record.place.get("key") == cell_key(cell, inputs, dtype)


def _read(cells: Sequence[Cell], config: GridConfig, inputs: Inputs, *, measure: bool) -> Read:
    (job,) = jobs_of(cells[:1], config, inputs)
    return activations_of(job, measure=measure, is_file=cells[0].question in inputs.data)


def _together(one: Read, cells: Sequence[Cell], inputs: Inputs) -> Read:
    """What all repeats keep: those of a file read the same texts, others draw their own."""
    if one.bytes is None or cells[0].question in inputs.data:
        return one
    return replace(one, bytes=one.bytes * len(cells))


def _or_reading(cost: Cost, read: Read) -> Cost:
    """The time that reading takes, where no finished cell tells the whole."""
    if cost.seconds is not None or not read.seconds:
        return cost
    basis = "reading alone, from a forward pass over 8 texts that was timed; fits are not in it"
    return Cost(read.seconds, basis, at_least=True)
