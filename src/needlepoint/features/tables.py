"""Tables of text that a user hands in: CSV, JSONL and Parquet, read with one-sentence errors."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from needlepoint._core.errors import DataError, first_line
from needlepoint._core.parquet import UNREADABLE, read_parquet


def read_table(path: Path) -> pd.DataFrame:
    """The rows of a table file as they are: no column of a CSV file is turned into numbers.

    Raises:
        DataError: If the file is missing, of another kind, damaged, not UTF-8, or has no rows.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist; check the path.")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES or not path.is_file():
        raise DataError(f"{path} is not a {', '.join(SUFFIXES)} file; convert it to one of these.")
    try:
        frame = SUFFIXES[suffix](path)
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise DataError(f"{path} cannot be read ({reason}); check that it is whole.") from error
    if not len(frame):
        raise DataError(f"{path} has no rows; write one for each text.")
    return frame


def require_columns(frame: pd.DataFrame, columns: Sequence[str], path: Path) -> None:
    """Make sure that the columns are there.

    Raises:
        DataError: If one is not; the message lists those that are.
    """
    for name in columns:
        if name not in frame.columns:
            there = ", ".join(map(str, frame.columns))
            raise DataError(f"{path} has no column {name!r}; its columns are: {there}.")


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(io.StringIO(_text(path)), dtype=str, keep_default_na=False)
    except ValueError as error:  # also pandas' own errors on malformed lines
        raise DataError(f"{path} is not a CSV table ({first_line(error)}).") from error


def _read_jsonl(path: Path) -> pd.DataFrame:
    rows = []
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"line {number} of {path} is not JSON ({error}); write one JSON object a line."
            ) from error
        if not isinstance(row, dict):
            raise DataError(f"line {number} of {path} is not a JSON object; write {{...}}.")
        rows.append(row)
    columns = dict.fromkeys(name for row in rows for name in row)
    return pd.DataFrame(
        {name: pd.Series([r.get(name) for r in rows], dtype=object) for name in columns}
    )


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return read_parquet(path)
    except OSError:
        raise
    except UNREADABLE as error:
        reason = first_line(error)
        raise DataError(f"{path} is damaged or not Parquet ({reason}); write it again.") from error


def _text(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"line {line} of {path} is not UTF-8; save the file as UTF-8.") from error


SUFFIXES: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
"""How a table is read, by the extension of its file."""
