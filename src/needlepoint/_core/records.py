"""The record of a run is the product: one JSON file for each cell, Parquet tables beside it.

A run folder holds `run.json` (what was asked, of what, with what), `records/CELL.json` (one for
each cell, each ending `done`, `skipped` with a reason or `failed` with a traceback), and beside it
`tables/CELL.TABLE.parquet` and `arrays/CELL.safetensors`. Everything that a page shows is read back
from here. Nothing in it is pickled, and it opens without the code that made it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from needlepoint._core.errors import StoreError, first_line
from needlepoint._core.files import atomic_path, sha256_file, write_text
from needlepoint._core.lock import LOCK_FILES
from needlepoint._core.parquet import UNREADABLE, read_parquet
from needlepoint._core.provenance import machine, now, versions

SCHEMA = 1
Status = Literal["done", "skipped", "failed"]
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.\-]*[A-Za-z0-9_\-])?\Z")
_LONGEST = 180
"""Letters of a name, so that a file's name with its ending has fewer than 255."""
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|\Z)", re.IGNORECASE)
"""Names that Windows keeps for devices, whatever follows the dot."""


@dataclass(frozen=True)
class Record:
    """How one cell ended, and what was found."""

    cell: str
    """Name of the cell, for instance `circuit.ioi`; unique within a run."""
    kind: str
    """What sort of question it answers: `circuit` or `probe`."""
    status: Status
    reason: str = ""
    """Why it was skipped, or the traceback of a failure; empty when done."""
    seconds: float = 0.0
    config: Mapping[str, Any] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    """The findings as plain JSON values; a missing one is `None` with a `..._reason` beside it."""
    tables: tuple[str, ...] = ()
    """Names of the tables written with the record."""
    arrays: tuple[str, ...] = ()
    """Names of the arrays written with the record, all in one safetensors file."""
    place: Mapping[str, Any] = field(default_factory=dict)
    """Where it stands in a grid: model, question, method, repeat, key; empty outside of one."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Content hash (SHA-256) of each file written with the record, by its place in the folder."""


def cell_name(kind: str, name: str) -> str:
    """The name of a cell, whatever a file or task is called.

    Example:
        >>> cell_name("circuit", "my pairs/v2")
        'circuit.my-pairs-v2'
    """
    return f"{kind}.{re.sub(r'[^A-Za-z0-9_.-]+', '-', name)}"[:_LONGEST].rstrip(".")


def is_file_name(name: object) -> bool:
    r"""Whether a name is that of a file in a folder of the run, and of none outside.

    Example:
        >>> is_file_name("circuit.ioi"), is_file_name("../ioi"), is_file_name("ioi\0.json")
        (True, False, False)
    """
    return isinstance(name, str) and bool(_NAME.match(name)) and len(name) <= _LONGEST


def jsonable(value: Any) -> Any:
    """The same value as plain JSON types; NaN and infinities become `None`.

    Example:
        >>> jsonable({"p": float("nan"), "site": (1, 2)})
        {'p': None, 'site': [1, 2]}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return jsonable(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(item) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if hasattr(value, "tolist"):
        return jsonable(value.tolist())
    return str(value)


class RunFolder:
    """One run on disk. Create it before the work, add records as cells end, then finish it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, *, kind: str, config: Mapping[str, Any]) -> RunFolder:
        """Start a run in a new or empty folder.

        Raises:
            StoreError: If the folder holds anything already; nothing is overwritten.
        """
        if path.exists() and (not path.is_dir() or _contents(path)):
            raise StoreError(
                f"{path} is not empty; choose another folder with --out, or remove this one first."
            )
        run = cls(path)
        (path / "records").mkdir(parents=True, exist_ok=True)
        (path / "tables").mkdir(exist_ok=True)
        run._write_header(
            {
                "schema": SCHEMA,
                "kind": kind,
                "config": config,
                "status": "running",
                "started": now(),
                "versions": versions(),
                "machine": machine(),
            }
        )
        return run

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open a run that exists.

        Raises:
            StoreError: If there is no run here, or another version of the schema wrote it.
        """
        if not (path / "run.json").exists():
            raise StoreError(f"{path} is not a run folder: it has no run.json.")
        run = cls(path)
        schema = run.header.get("schema")
        if schema != SCHEMA:
            raise StoreError(
                f"{path} was written with record schema {schema!r}; this version reads {SCHEMA}. "
                "Install the needlepoint version named in its run.json to open it."
            )
        return run

    @property
    def header(self) -> dict[str, Any]:
        """The contents of `run.json`."""
        return _read_json(self.path / "run.json")

    def update(self, **entries: Any) -> None:
        """Add or replace entries of `run.json`."""
        self._write_header({**self.header, **entries})

    def finish(self, status: str = "done") -> None:
        """Say that the run has ended."""
        self.update(status=status, ended=now())

    def add(
        self,
        record: Record,
        tables: Mapping[str, pd.DataFrame] | None = None,
        arrays: Mapping[str, np.ndarray] | None = None,
    ) -> Record:
        """Write one cell: its tables and arrays first, then the record that names them.

        If the record cannot be written, nothing of the cell is left.

        Returns:
            The record as written, with the names and hashes of its tables and arrays.
        """
        tables, arrays = tables or {}, arrays or {}
        for what, name in (("cell", record.cell), *(("table", name) for name in tables)):
            if not is_file_name(name) or _DEVICE.match(name):
                raise StoreError(f"{name!r} cannot name a {what}: use letters, digits, '.-_'.")
        record = dataclasses.replace(record, tables=tuple(tables), arrays=tuple(arrays))
        paths = self.files(record)
        try:
            self._write_parts(record.cell, tables, arrays)
            hashes = {path.relative_to(self.path).as_posix(): sha256_file(path) for path in paths}
            record = dataclasses.replace(record, files=hashes)
            self._write_json(self.record_path(record.cell), record)
        except BaseException:
            if not self.record_path(record.cell).exists():
                for path in paths:
                    path.unlink(missing_ok=True)
            raise
        return record

    def _write_parts(
        self, cell: str, tables: Mapping[str, pd.DataFrame], arrays: Mapping[str, np.ndarray]
    ) -> None:
        for name, frame in tables.items():
            with atomic_path(self._table_path(cell, name)) as temporary:
                frame.to_parquet(temporary, index=False)
        if arrays:
            with atomic_path(self._arrays_path(cell)) as temporary:
                save_file(
                    {name: np.ascontiguousarray(one) for name, one in arrays.items()}, temporary
                )

    def remove(self, cell: str) -> None:
        """Remove one cell: its record first, so that no record is ever without its files."""
        record = self.record(cell)
        self.record_path(cell).unlink()
        for path in self.files(record):
            if path.resolve().is_relative_to(self.path.resolve()):
                path.unlink(missing_ok=True)

    def files(self, record: Record) -> list[Path]:
        """The files of tables and arrays that belong to a record."""
        found = [self._table_path(record.cell, name) for name in record.tables]
        return found + ([self._arrays_path(record.cell)] if record.arrays else [])

    def record_path(self, cell: str) -> Path:
        """The file of a cell's record."""
        return self.path / "records" / f"{cell}.json"

    def record(self, cell: str) -> Record:
        """The record of one cell.

        Raises:
            StoreError: If it is missing or damaged; the message names the file.
        """
        return _read_record(self.record_path(cell))

    def records(self) -> list[Record]:
        """All records, in the order of their names."""
        return [_read_record(path) for path in sorted((self.path / "records").glob("*.json"))]

    def table(self, cell: str, name: str) -> pd.DataFrame:
        """One table of one cell.

        Raises:
            StoreError: If it is missing or cannot be read; the message names the file.
        """
        path = self._table_path(cell, name)
        try:
            return read_parquet(path)
        except UNREADABLE as error:
            reason = first_line(error)
            raise StoreError(f"{path} is missing or damaged ({reason}); run it again.") from error

    def arrays(self, cell: str) -> dict[str, np.ndarray]:
        """All arrays of one cell.

        Raises:
            StoreError: If they are missing or cannot be read; the message names the file.
        """
        path = self._arrays_path(cell)
        try:
            found: dict[str, np.ndarray] = load_file(path)
        except (*UNREADABLE, SafetensorError) as error:
            reason = first_line(error)
            raise StoreError(f"{path} is missing or damaged ({reason}); run it again.") from error
        return found

    def _arrays_path(self, cell: str) -> Path:
        return self.path / "arrays" / f"{cell}.safetensors"

    def _table_path(self, cell: str, name: str) -> Path:
        return self.path / "tables" / f"{cell}.{name}.parquet"

    def _write_header(self, header: Mapping[str, Any]) -> None:
        self._write_json(self.path / "run.json", header)

    def _write_json(self, path: Path, value: Any) -> None:
        write_text(path, json.dumps(jsonable(value), indent=1, ensure_ascii=False) + "\n")


def _contents(folder: Path) -> list[Path]:
    """What is in a folder, but for the files by which a process holds it."""
    return [path for path in folder.iterdir() if path.name not in LOCK_FILES]


def _read_record(path: Path) -> Record:
    data = _read_json(path)
    known = {entry.name for entry in dataclasses.fields(Record)}
    data = {name: value for name, value in data.items() if name in known}
    try:
        for name in ("tables", "arrays"):
            data[name] = tuple(data.get(name, ()))
        for name in ("config", "summary", "place", "files"):
            data[name] = dict(data.get(name, {}))
        record = Record(**data)
    except (TypeError, ValueError) as error:
        reason = first_line(error)
        raise StoreError(f"{path} is damaged: it should hold a whole record ({reason}).") from error
    texts = (record.reason, *record.arrays, *record.files, *record.files.values())
    if not all(isinstance(text, str) for text in texts) or not _is_number(record.seconds):
        raise StoreError(f"{path} is damaged: what should be a text or a number is none.")
    odd = [name for name in (record.cell, record.kind, *record.tables) if not is_file_name(name)]
    if odd or record.status not in get_args(Status):
        wrong = f"names {odd[0]!r}" if odd else f"says that it is {record.status!r}"
        raise StoreError(f"{path} is damaged: it {wrong}, which no record of this package does.")
    return record


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{path} is missing or damaged ({error}).") from error
    if not isinstance(value, dict):
        raise StoreError(f"{path} is damaged: it should hold one JSON object.")
    return value
