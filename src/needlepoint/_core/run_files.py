"""The files of a run against its records: what no record names goes, what one names is checked."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from needlepoint._core.files import sha256_file
from needlepoint._core.records import Record, RunFolder

PARTS = ("records", "tables", "arrays")
_HALF_WRITTEN = re.compile(r"\..+\.[a-z0-9_]{8}\Z")
"""Names of the folders in which `atomic_path` prepares a file."""


def remove_leftovers(run: RunFolder, records: Iterable[Record]) -> list[str]:
    """Remove what a process that was killed left in passing, and say what that was.

    These are files half-written, and tables and arrays whose record was never written. For the
    only writer of the folder.

    Returns:
        The places of what was removed, within the run folder.
    """
    named = {path for record in records for path in run.files(record)}
    removed = []
    for path in _written(run.path):
        place = path.relative_to(run.path).as_posix()
        if path.is_dir() and _HALF_WRITTEN.match(path.name):
            shutil.rmtree(path)
        elif path.parent.name in ("tables", "arrays") and path not in named:
            path.unlink()
        else:
            continue
        removed.append(place)
    return removed


def damaged_file(run: RunFolder, record: Record) -> str:
    """The first file of a record that is not there or not as it was written; empty if none is."""
    for name, digest in record.files.items():
        path = run.path / name
        if not path.is_file() or sha256_file(path) != digest:
            return name
    return ""


def _written(folder: Path) -> Iterator[Path]:
    """Files and folders of the run's own parts, and those beside them."""
    yield from sorted(folder.iterdir())
    for part in PARTS:
        if (folder / part).is_dir():
            yield from sorted((folder / part).iterdir())
