"""No file without a record stays, and no file that is not as it was written is trusted."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from needlepoint._core.errors import StoreError
from needlepoint._core.lock import LOCK
from needlepoint._core.records import Record, RunFolder
from needlepoint._core.run_files import damaged_file, remove_leftovers

TABLE = pd.DataFrame({"x": [1.0, 2.0]})


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", kind="grid", config={})


def add(run: RunFolder, cell: str) -> Record:
    return run.add(Record(cell, "circuit", "done"), {"heads": TABLE}, {"edges": np.ones(3)})


def files(run: RunFolder) -> set[str]:
    return {str(path.relative_to(run.path)) for path in run.path.rglob("*")}


def test_a_whole_run_has_no_leftovers(run: RunFolder) -> None:
    record = add(run, "circuit.ioi")
    before = files(run)
    assert remove_leftovers(run, [record]) == []
    assert files(run) == before


def test_what_a_kill_leaves_goes_and_nothing_else(run: RunFolder) -> None:
    record = add(run, "circuit.ioi")
    (run.path / LOCK).write_text("")
    (run.path / "notes.txt").write_text("mine")
    before = files(run)
    add(run, "circuit.ioi.r1")  # its name begins like the other's
    run.record_path("circuit.ioi.r1").unlink()
    for place in ("tables", "records", "."):
        half = tempfile.mkdtemp(prefix=".some.parquet.", dir=run.path / place)
        (Path(half) / "some.parquet").write_bytes(b"half")
    removed = remove_leftovers(run, [record])
    assert files(run) == before
    assert len(removed) == 5


def test_a_changed_or_missing_file_is_named(run: RunFolder) -> None:
    record = add(run, "circuit.ioi")
    assert damaged_file(run, record) == ""
    table = run.path / "tables" / "circuit.ioi.heads.parquet"
    content = bytearray(table.read_bytes())
    content[len(content) // 2] ^= 1
    table.write_bytes(content)
    assert damaged_file(run, record) == "tables/circuit.ioi.heads.parquet"
    add(run, "circuit.ioi")
    (run.path / "arrays" / "circuit.ioi.safetensors").unlink()
    assert damaged_file(run, record) == "arrays/circuit.ioi.safetensors"


def test_a_cell_is_removed_with_its_files(run: RunFolder) -> None:
    empty = files(run) | {"arrays"}
    add(run, "circuit.ioi")
    run.remove("circuit.ioi")
    assert files(run) == empty


def test_a_record_from_elsewhere_removes_nothing_outside(run: RunFolder, tmp_path: Path) -> None:
    outside = tmp_path / "outside.heads.parquet"
    outside.write_bytes(b"mine")
    record = {"cell": "../../outside", "kind": "x", "status": "done", "tables": ["heads"]}
    run.record_path("evil").write_text(json.dumps(record))
    with pytest.raises(StoreError, match=r"evil\.json is damaged: it names '\.\./\.\./outside'"):
        run.remove("evil")
    assert outside.read_bytes() == b"mine"
