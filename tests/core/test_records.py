"""Runs are read back as they were written, and refused with a reason otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from needlepoint._core.errors import StorageFullError, StoreError
from needlepoint._core.records import SCHEMA, Record, RunFolder, cell_name, jsonable
from needlepoint.evaluation.configs import HeadsConfig

TABLE = pd.DataFrame({"site": ["L0.H1", "L1.H0"], "effect": [-1.5, float("nan")]})
RECORD = Record(
    "circuit.ioi",
    "circuit",
    "done",
    seconds=1.5,
    config={"seed": 0},
    summary={"answer": "caf\u00e9", "auc": None, "auc_reason": "no head matters"},
)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", kind="circuit", config={"heads": HeadsConfig()})


def test_a_record_and_its_table_come_back(run: RunFolder) -> None:
    written = run.add(RECORD, {"heads": TABLE})
    assert written.tables == ("heads",)
    found = RunFolder.open(run.path)
    assert found.records() == [written]
    pd.testing.assert_frame_equal(found.table("circuit.ioi", "heads"), TABLE)


def test_every_status_comes_back_with_its_reason(run: RunFolder) -> None:
    run.add(Record("b", "probe", "skipped", "too few texts."))
    run.add(Record("a", "circuit", "failed", "Traceback: ..."))
    found = {record.cell: (record.status, record.reason) for record in run.records()}
    assert found == {"a": ("failed", "Traceback: ..."), "b": ("skipped", "too few texts.")}
    assert [record.cell for record in run.records()] == ["a", "b"]


def test_the_header_says_what_was_asked_with_what_and_when(run: RunFolder) -> None:
    assert run.header["schema"] == SCHEMA
    assert run.header["status"] == "running"
    assert run.header["config"]["heads"]["task"] == "ioi"
    assert run.header["versions"]["needlepoint"]
    run.update(model={"name": "tiny"}, command="needlepoint circuit --task ioi")
    run.finish("partly done")
    header = RunFolder.open(run.path).header
    assert header["status"] == "partly done"
    assert header["model"] == {"name": "tiny"}
    assert header["command"] == "needlepoint circuit --task ioi"
    assert header["started"] <= header["ended"]


def test_nothing_is_overwritten(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not empty; choose another folder with --out"):
        RunFolder.create(run.path, kind="circuit", config={})
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is not empty"):
        RunFolder.create(tmp_path / "file", kind="circuit", config={})
    (tmp_path / "empty").mkdir()
    assert RunFolder.create(tmp_path / "empty", kind="probe", config={}).header["kind"] == "probe"


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"is not a run folder: it has no run\.json"):
        RunFolder.open(tmp_path)


@pytest.mark.parametrize("schema", [SCHEMA + 1, 0, None, "1"])
def test_another_schema_is_refused(run: RunFolder, schema: object) -> None:
    run.update(schema=schema)
    with pytest.raises(StoreError, match=f"record schema {schema!r}; this version reads {SCHEMA}"):
        RunFolder.open(run.path)


@pytest.mark.parametrize("content", ["", "{", "[1]", '"text"', "\xff"])
def test_a_damaged_header_or_record_names_the_file(run: RunFolder, content: str) -> None:
    run.add(RECORD)
    record = run.path / "records" / "circuit.ioi.json"
    record.write_bytes(content.encode("latin-1"))
    with pytest.raises(StoreError, match=r"circuit\.ioi\.json is (missing or )?damaged"):
        run.records()
    (run.path / "run.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(StoreError, match=r"run\.json is (missing or )?damaged"):
        RunFolder.open(run.path)


def test_a_damaged_or_missing_table_names_the_file(run: RunFolder) -> None:
    run.add(RECORD, {"heads": TABLE})
    path = run.path / "tables" / "circuit.ioi.heads.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StoreError, match=r"heads\.parquet is missing or damaged .*run it again"):
        run.table("circuit.ioi", "heads")
    path.unlink()
    with pytest.raises(StoreError, match=r"heads\.parquet is missing or damaged"):
        run.table("circuit.ioi", "heads")


def test_a_record_that_cannot_be_written_leaves_no_table(run: RunFolder, monkeypatch) -> None:
    before = sorted(run.path.rglob("*"))

    def full(*_: object, **__: object) -> None:
        raise StorageFullError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "_write_json", full)
        with pytest.raises(StorageFullError):
            run.add(RECORD, {"heads": TABLE}, {"edges": np.ones(3)})
    left = [path for path in sorted(run.path.rglob("*")) if path.is_file() or path in before]
    assert left == before
    written = run.add(RECORD, {"heads": TABLE}, {"edges": np.ones(3)})
    assert set(written.files) == {
        "tables/circuit.ioi.heads.parquet",
        "arrays/circuit.ioi.safetensors",
    }


@pytest.mark.parametrize("cell", ["../up", "a/b", "/root", "", ".hidden", "a b", "a\n"])
def test_a_cell_cannot_leave_the_folder(run: RunFolder, cell: str) -> None:
    before = sorted(run.path.parent.rglob("*"))
    with pytest.raises(StoreError, match="cannot name a cell"):
        run.add(Record(cell, "circuit", "done"), {"heads": TABLE})
    assert sorted(run.path.parent.rglob("*")) == before


def test_a_record_of_a_later_minor_version_is_read_without_what_is_new(run: RunFolder) -> None:
    run.add(RECORD)
    path = run.path / "records" / "circuit.ioi.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "mood": "sunny"}))
    assert run.records() == [RECORD]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), np.float32("nan")])
def test_what_is_not_a_number_becomes_missing_and_not_zero(value: object) -> None:
    assert jsonable({"p": value}) == {"p": None}


def test_everything_becomes_plain_json() -> None:
    value = {
        1: np.int64(3),
        "flags": np.array([True, False]),
        "nested": ({"x": np.array([[1.5, np.nan]])},),
        "config": HeadsConfig(methods=("random",)),
        "path": Path("a/b"),
        "none": None,
    }
    plain = jsonable(value)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["1"] == 3
    assert plain["flags"] == [True, False]
    assert plain["nested"] == [{"x": [[1.5, None]]}]
    assert plain["config"]["methods"] == ["random"]
    assert plain["path"] == "a/b"
    assert type(plain["flags"][0]) is bool


OUTSIDE = ["../x", "a/b", "a\\b", "/etc/x", "C:x", "x\0", "", ".", "..", ".hidden", "x.", "x" * 300]
DEVICES = ["con", "NUL.json", "aux", "com1.heads", "LPT9"]


@pytest.mark.parametrize("name", OUTSIDE + DEVICES)
def test_names_that_would_leave_the_folder_are_not_written(tmp_path, name):
    run = RunFolder.create(tmp_path / "run", kind="circuit", config={})
    before = sorted(tmp_path.rglob("*"))
    frame = pd.DataFrame({"x": [1]})
    with pytest.raises(StoreError, match="cannot name a cell"):
        run.add(Record(name, "circuit", "done"))
    with pytest.raises(StoreError, match="cannot name a table"):
        run.add(Record("circuit.ioi", "circuit", "done"), {name: frame})
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("entry", ["cell", "kind", "tables"])
def test_a_record_that_names_what_is_outside_is_refused(tmp_path, name, entry):
    run = RunFolder.create(tmp_path / "run", kind="circuit", config={})
    values = {"cell": "circuit.ioi", "kind": "circuit", "status": "done", "tables": ["heads"]}
    values[entry] = [name] if entry == "tables" else name
    run.record_path("circuit.ioi").write_text(json.dumps(values))
    with pytest.raises(StoreError, match=r"circuit\.ioi\.json is damaged: it names "):
        run.records()


@pytest.mark.parametrize(
    "name", ["", "..", "a/b", "\0", "../../etc/passwd", "x" * 400, "\n", "nul"]
)
def test_whatever_a_question_is_called_its_cell_can_be_written(tmp_path, name):
    run = RunFolder.create(tmp_path / "run", kind="circuit", config={})
    cell = cell_name("circuit", name)
    run.add(Record(cell, "circuit", "done"), {"heads": pd.DataFrame({"x": [1]})})
    assert run.record_path(cell).parent == tmp_path / "run" / "records"
    assert run.table(cell, "heads").shape == (1, 1)
