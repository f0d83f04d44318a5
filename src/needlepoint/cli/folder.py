"""The folder of a run that is to come: looked at before the work, made when there is a result."""

from __future__ import annotations

import os
import shutil
from datetime import datetime
from pathlib import Path

from needlepoint._core.errors import StoreError
from needlepoint.cli.asked import Asked

RUNS = Path("needlepoint-runs")


class Destination:
    """Where a run will be written.

    It is made only when there is something to write, so that a command that was asked wrongly
    leaves nothing behind.
    """

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.path = asked.out
        self._made = False
        self._was_there = asked.out is not None and asked.out.exists()

    def check(self) -> None:
        """Make sure that a run could be written, before any work is done.

        Raises:
            StoreError: If the folder holds something, or cannot be written.
        """
        path = self.asked.out or RUNS
        if self.asked.out is not None and self._was_there:
            if not path.is_dir():
                raise StoreError(f"{path} is a file; choose another folder with --out.")
            if any(path.iterdir()):
                raise StoreError(
                    f"{path} is not empty; choose another folder with --out, or remove it."
                )
        above = next(part for part in (path, *path.absolute().parents) if part.exists())
        if not above.is_dir():
            raise StoreError(
                f"{path} cannot be a folder, as {above} is a file; choose another with --out."
            )
        if not os.access(above, os.W_OK | os.X_OK):
            raise StoreError(f"{above} cannot be written to; choose another folder with --out.")

    def make(self) -> Path:
        """Make the folder: the one asked for, or one of its own in `needlepoint-runs`."""
        if self.path is None:
            self.path = _fresh(f"{self.asked.kind}-{datetime.now():%Y%m%d-%H%M%S}")
        self._made = True
        self.path.mkdir(parents=True, exist_ok=True)
        return self.path

    def discard(self) -> None:
        """Remove what was begun and not finished: files of no record, and a run without records."""
        if self.path is None or not self._made:
            return
        cells = [record.stem for record in self.path.glob("records/*.json")]
        for part in self.path.glob("*/*"):
            if not any(part.name.startswith(f"{cell}.") for cell in cells):
                part.unlink()
        if not cells:
            for part in self.path.iterdir():
                if part.is_dir():
                    shutil.rmtree(part)
                else:
                    part.unlink()
            if not self._was_there:
                self.path.rmdir()


def _fresh(name: str) -> Path:
    """A folder that nobody else has: runs started in the same second get a number."""
    RUNS.mkdir(exist_ok=True)
    number = 1
    while True:
        path = RUNS / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
        else:
            return path
