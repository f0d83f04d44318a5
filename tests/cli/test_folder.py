"""The folder of a run: refused early, made late, never shared."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest

from needlepoint._core.errors import StoreError
from needlepoint.cli import folder
from needlepoint.cli.asked import Asked
from needlepoint.cli.folder import Destination


def destination(out: Path | None = None) -> Destination:
    return Destination(Asked("circuit", "smollm2", out=out))


def test_runs_started_in_the_same_second_have_folders_of_their_own(monkeypatch) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 1, 31, 12, 0, 0)

    monkeypatch.setattr(folder, "datetime", Clock)
    made = [destination().make() for _ in range(3)]
    names = ["circuit-20260131-120000", "circuit-20260131-120000-2", "circuit-20260131-120000-3"]
    assert [path.name for path in made] == names
    assert all(path.parent.name == "needlepoint-runs" and path.is_dir() for path in made)


def test_looking_makes_nothing(place: Path) -> None:
    destination().check()
    destination(Path("a/b/c")).check()
    assert list(place.iterdir()) == []


def test_an_empty_folder_is_taken_and_left_when_there_is_nothing_to_keep(place: Path) -> None:
    (place / "mine").mkdir()
    chosen = destination(Path("mine"))
    chosen.check()
    (chosen.make() / "records").mkdir()
    chosen.discard()
    assert [path.name for path in place.rglob("*")] == ["mine"]


def test_a_new_folder_without_a_record_goes(place: Path) -> None:
    chosen = destination(Path("new"))
    (chosen.make() / "tables").mkdir()
    (place / "new" / "run.json").write_text("{}")
    chosen.discard()
    assert list(place.iterdir()) == []


def test_a_folder_with_a_record_stays(place: Path) -> None:
    chosen = destination(Path("new"))
    (chosen.make() / "records").mkdir()
    (place / "new" / "records" / "circuit.ioi.json").write_text("{}")
    chosen.discard()
    assert (place / "new" / "records" / "circuit.ioi.json").exists()


def test_files_that_no_record_names_go(place: Path) -> None:
    chosen = destination(Path("new"))
    folder = chosen.make()
    for name in ("records/circuit.ioi.json", "tables/circuit.ioi.heads.parquet", "run.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("{}")
    (folder / "tables" / "probe.other.curve.parquet").write_text("")
    chosen.discard()
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert names == {"circuit.ioi.json", "circuit.ioi.heads.parquet", "run.json"}


def test_what_this_run_did_not_make_is_never_removed(place: Path) -> None:
    (place / "mine").mkdir()
    (place / "mine" / "thesis.txt").write_text("years of work")
    chosen = destination(Path("mine"))
    with pytest.raises(StoreError, match="mine is not empty; choose another folder with --out"):
        chosen.check()
    chosen.discard()
    assert (place / "mine" / "thesis.txt").exists()


def test_a_file_is_not_a_folder(place: Path) -> None:
    (place / "file").write_text("")
    with pytest.raises(StoreError, match="file is a file; choose another"):
        destination(Path("file")).check()
    with pytest.raises(StoreError, match=r"file/run cannot be a folder, as .*file is a file"):
        destination(Path("file/run")).check()


def test_a_folder_that_cannot_be_written_is_refused(monkeypatch, place: Path) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StoreError, match="cannot be written to; choose another folder"):
        destination(Path("new")).check()
