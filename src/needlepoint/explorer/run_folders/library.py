"""The run folders that the explorer can open, found below the folders it was given."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from needlepoint._core.errors import NeedlepointError, StoreError, UnknownNameError
from needlepoint._core.records import Record, RunFolder

DEPTH = 3
"""Folders below a given one that are searched for runs."""
HEADER, PAGE = "run.json", "report.html"


@dataclass(frozen=True)
class Run:
    """A run folder, and the name by which addresses know it."""

    id: str
    path: Path

    @property
    def folder(self) -> RunFolder:
        """The run, opened.

        Raises:
            StoreError: If it is damaged or of another version.
        """
        return RunFolder.open(self.path)

    def inside(self, name: str) -> Path | None:
        """A file of the run, if it is there and does not lead out of the folder."""
        path = (self.path / name).resolve()
        inside = path.is_relative_to(self.path.resolve())
        return path if inside and path.is_file() else None

    def record(self, cell: str) -> Record:
        """The record of one cell, by the name that one of the run's records has.

        Raises:
            UnknownNameError: If no record is called so.
            StoreError: If it is damaged.
        """
        for record in self.folder.records():
            if record.cell == cell:
                return record
        raise UnknownNameError(f"the run {self.id} has no record {cell[:80]!r}.")


@dataclass(frozen=True)
class Asked:
    """One question of a run, and what became of it."""

    cell: str
    kind: str
    status: str
    question: str
    answer: str
    """The answer in a sentence; the reason if there is none."""


@dataclass(frozen=True)
class RunCard:
    """A run as a list shows it."""

    id: str
    path: str
    kind: str
    model: str
    status: str
    started: str
    asked: tuple[Asked, ...]
    error: str = ""
    """Why it cannot be read, as one sentence; empty if it can."""

    @property
    def text(self) -> str:
        """All that a filter looks through, in lower case."""
        words = [self.id, self.kind, self.model, self.status]
        for one in self.asked:
            words += [one.cell, one.question, one.answer]
        return " ".join(words).lower()


class Library:
    """Runs by name. Folders are looked at anew at each call, as studies end meanwhile.

    Addresses hold names that were given out here; no path is ever taken from one.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = [folder.resolve() for folder in folders]

    def runs(self) -> list[Run]:
        """All runs, each once, in the order of their paths."""
        found: list[Run] = []
        taken: set[str] = set()
        paths = {path: None for folder in self.folders for path in _runs_below(folder, DEPTH)}
        for path in paths:
            name = _name(path, taken)
            taken.add(name)
            found.append(Run(name, path))
        return found

    def run(self, name: str) -> Run:
        """The run of a name.

        Raises:
            UnknownNameError: If there is none.
        """
        for run in self.runs():
            if run.id == name:
                return run
        raise UnknownNameError(
            f"there is no run {name[:80]!r} here; the list of runs has them all."
        )

    def name_of(self, path: Path) -> str:
        """The name of the run at a path; empty if it is not one of those here."""
        resolved = path.resolve()
        return next((run.id for run in self.runs() if run.path == resolved), "")

    def cards(self) -> list[RunCard]:
        """What is known of each run, the newest first."""
        cards = [card_of(run) for run in self.runs()]
        return sorted(cards, key=lambda card: card.started, reverse=True)


def card_of(run: Run) -> RunCard:
    """A run as a list shows it; one that is damaged says so."""
    try:
        folder = run.folder
        header, records = folder.header, folder.records()
    except NeedlepointError as error:
        return RunCard(run.id, str(run.path), "", "", "damaged", "", (), str(error))
    return RunCard(
        run.id,
        str(run.path),
        str(header.get("kind", "")),
        model_name(header),
        str(header.get("status", "")),
        str(header.get("started", "")),
        tuple(sorted(map(_asked, records), key=lambda one: one.status != "done")),
    )


def model_name(header: Mapping[str, Any]) -> str:
    """The model of a run; several of a grid are counted."""
    models = header.get("models")
    if isinstance(models, Mapping) and len(models) > 1:
        return f"{len(models)} models"
    model = header.get("model")
    return str(model.get("name", "")) if isinstance(model, Mapping) else ""


def require_folders(folders: Sequence[Path]) -> None:
    """Make sure that each folder given is there.

    Raises:
        StoreError: If one is not a folder.
    """
    for folder in folders:
        if not folder.is_dir():
            raise StoreError(
                f"{folder} is not a folder; give a run folder, or one that holds runs."
            )


def _asked(record: Record) -> Asked:
    done = record.status == "done"
    reason = (record.reason.strip().splitlines() or ["no reason was recorded"])[-1]
    return Asked(
        record.cell,
        record.kind,
        record.status,
        str(record.summary.get("question") or record.cell),
        str(record.summary.get("answer") or "no answer was recorded") if done else reason,
    )


def _runs_below(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / HEADER).is_file():
        yield folder
    elif depth and folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
                yield from _runs_below(path, depth - 1)


def _name(path: Path, taken: set[str]) -> str:
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", path.name).strip(".-") or "run"
    if plain not in taken:
        return plain
    above = re.sub(r"[^A-Za-z0-9._-]+", "-", path.parent.name).strip(".-")
    number, name = 1, f"{above}-{plain}"
    while name in taken:
        number += 1
        name = f"{above}-{plain}-{number}"
    return name
