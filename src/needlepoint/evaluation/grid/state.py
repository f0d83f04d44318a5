"""A grid's run folder as it stands: which cells are there, which are left, whether all is well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from needlepoint._core.errors import DataError, StoreError, UnknownNameError, first_line
from needlepoint._core.records import Record, RunFolder, Status
from needlepoint._core.run_files import damaged_file
from needlepoint.evaluation.grid.cells import Cell, cells_of
from needlepoint.evaluation.grid.config import GridConfig
from needlepoint.evaluation.grid.inputs import Inputs
from needlepoint.evaluation.grid.key import cell_key
from needlepoint.evaluation.grid.read_config import config_of

KIND = "grid"
"""Kind of the run folder of a grid."""


@dataclass(frozen=True)
class GridState:
    """The config of a grid and the records that its folder holds."""

    run: RunFolder
    config: GridConfig
    inputs: Inputs
    """As they were when the run was begun."""
    cells: tuple[Cell, ...]
    records: Mapping[str, Record]
    """By the name of the cell."""

    @classmethod
    def of(cls, path: Path) -> GridState:
        """Read a run folder; nothing is written, computed or loaded.

        Raises:
            StoreError: If it is no run of a grid, or a record is damaged; the message names the
                file and what to do.
        """
        run = RunFolder.open(path)
        header = run.header
        if header.get("kind") != KIND:
            raise StoreError(
                f"{path} is a run of {header.get('kind')!r} and not of a grid; "
                "'needlepoint run CONFIG' makes one."
            )
        try:
            config, inputs = config_of(header["config"]), Inputs.from_json(header["inputs"])
        except (KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{path / 'run.json'} is damaged: it lacks {first_line(error)}."
            ) from error
        except (DataError, UnknownNameError) as error:
            raise StoreError(f"{path / 'run.json'} has a config of no use: {error}") from error
        cells = cells_of(config)
        records = {cell.name: _record(run, cell) for cell in cells if _is_there(run, cell)}
        return cls(run, config, inputs, cells, records)

    @property
    def left(self) -> tuple[Cell, ...]:
        """Cells without a record."""
        return tuple(cell for cell in self.cells if cell.name not in self.records)

    def ended(self, *status: Status) -> list[Record]:
        """Records of cells that ended so, in the order of the grid."""
        found = [self.records[cell.name] for cell in self.cells if cell.name in self.records]
        return [record for record in found if record.status in status]

    def check(self) -> None:
        """Make sure that each record is of this grid and its files are as they were written.

        Raises:
            StoreError: With the file that is not, and the way out.
        """
        for cell in self.cells:
            record = self.records.get(cell.name)
            if record is None:
                continue
            path = self.run.record_path(cell.name)
            key = cell_key(cell, self.inputs, self.config.dtype)
            if record.status == "done" and record.place.get("key") != key:
                raise StoreError(
                    f"{path} is of other settings, weights or data than this grid. {_remove(path)}"
                )
            damaged = damaged_file(self.run, record)
            if damaged:
                raise StoreError(
                    f"{self.run.path / damaged} is missing or damaged: its hash is not the one in "
                    f"the record. {_remove(path)}"
                )


def _is_there(run: RunFolder, cell: Cell) -> bool:
    return run.record_path(cell.name).exists()


def _record(run: RunFolder, cell: Cell) -> Record:
    try:
        return run.record(cell.name)
    except StoreError as error:
        raise StoreError(f"{error} {_remove(run.record_path(cell.name))}") from error


def _remove(path: Path) -> str:
    return f"Remove {path} and go on with 'needlepoint resume': that cell is computed again."
