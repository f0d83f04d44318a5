"""All cells of a run as a few long tables: one for each kind of table, one of what was found."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from needlepoint._core.errors import DataError, StoreError, unknown_name
from needlepoint._core.files import atomic_path
from needlepoint._core.records import Record, RunFolder, jsonable

PLACE = ("model", "question", "method", "repeat")
"""Columns that say where in a grid a cell stands."""
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


def tidy_tables(run: RunFolder) -> dict[str, pd.DataFrame]:
    """The tables of all cells, rows of one kind of table together under `KIND.TABLE`.

    Beside them `cells`, one row for each cell and how it ended, and `summaries`, one row for each
    cell and value of its summary. Every table begins with the cell and its place in the grid.

    Raises:
        StoreError: If a record or a table cannot be read.
        DataError: If there is no record yet.
    """
    records = run.records()
    if not records:
        raise DataError(f"{run.path} holds no record yet; 'needlepoint resume' goes on with it.")
    found = {"cells": pd.DataFrame([_ended(record) for record in records])}
    rows = [row for record in records for row in _summary(record)]
    if rows:
        found["summaries"] = pd.DataFrame(rows)
    parts: dict[str, list[pd.DataFrame]] = {}
    for record in records:
        for name in record.tables:
            table = run.table(record.cell, name)
            if len(table):
                parts.setdefault(f"{record.kind}.{name}", []).append(_placed(record, table))
    joined = {name: pd.concat(frames, ignore_index=True) for name, frames in parts.items()}
    return found | dict(sorted(joined.items()))


def write_tables(tables: Mapping[str, pd.DataFrame], folder: Path, layout: str) -> list[Path]:
    """Write each table to a file of its own: csv, parquet or json (a list of rows).

    In CSV a list is written as JSON. A file of that name is replaced; others are left.

    Raises:
        UnknownNameError: If there is no such layout.
        StoreError: If the folder cannot be written to.
        StorageFullError: If the disk is full.
    """
    if layout not in LAYOUTS:
        raise unknown_name("format", layout, LAYOUTS)
    written = []
    try:
        for name, table in tables.items():
            path = folder / f"{name}.{layout}"
            with atomic_path(path) as temporary:
                LAYOUTS[layout](table, temporary)
            written.append(path)
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        raise StoreError(
            f"{folder} cannot be written to ({error.strerror}); choose another with --out."
        ) from error
    return written


def _csv(table: pd.DataFrame, path: Path) -> None:
    lists = {
        str(name): table[name].map(_in_line) for name in table if table[name].map(_is_list).any()
    }
    table.assign(**lists).to_csv(path, index=False)


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple, np.ndarray))


def _in_line(value: Any) -> Any:
    return json.dumps(jsonable(value), ensure_ascii=False) if _is_list(value) else value


def _parquet(table: pd.DataFrame, path: Path) -> None:
    table.to_parquet(path, index=False)


def _json(table: pd.DataFrame, path: Path) -> None:
    table.to_json(path, orient="records", indent=1, force_ascii=False, double_precision=15)


LAYOUTS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    "csv": _csv,
    "parquet": _parquet,
    "json": _json,
}


def _place(record: Record) -> dict[str, Any]:
    place = {name: record.place.get(name) for name in PLACE if name in record.place}
    return {"cell": record.cell, "kind": record.kind, **place, "seed": record.config.get("seed")}


def _placed(record: Record, table: pd.DataFrame) -> pd.DataFrame:
    """The table with the cell's place before it; a column of the same name is kept as `own_...`."""
    place = _place(record)
    table = table.rename(columns={name: f"own_{name}" for name in table if name in place})
    front = pd.DataFrame({name: [value] * len(table) for name, value in place.items()})
    return pd.concat([front, table.reset_index(drop=True)], axis=1)


def _ended(record: Record) -> dict[str, Any]:
    answer = record.summary.get("answer") or ""
    ended = {"status": record.status, "seconds": record.seconds}
    return {**_place(record), **ended, "reason": record.reason, "answer": answer}


def _summary(record: Record) -> Iterator[dict[str, Any]]:
    """Every value of a summary with its place in it; numbers and texts in columns of their own."""
    place = _place(record)
    for name, value in _leaves("", record.summary):
        if isinstance(value, bool):
            value = "true" if value else "false"
        number = None if value is None or isinstance(value, str) else float(value)
        text = value if isinstance(value, str) else None
        yield {**place, "name": name, "number": number, "text": text}


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(f"{name}.{key}" if name else str(key), item)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _leaves(f"{name}.{place}", item)
    else:
        yield name, value
