"""Whatever happens in the middle of a run, going on ends where an uninterrupted run would have."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from needlepoint._core import provenance, records
from needlepoint._core.errors import StorageFullError, StoreError
from needlepoint._core.lock import only_writer
from needlepoint._core.records import RunFolder
from needlepoint.evaluation.grid.run import resume_grid, run_grid
from needlepoint.evaluation.grid.state import GridState

KILLED = """
import sys
from pathlib import Path
import torch
from needlepoint.evaluation.grid.read_config import read_config
from needlepoint.evaluation.grid.run import run_grid
torch.set_num_threads(1)
config, path = map(Path, sys.argv[1:])
run_grid(read_config(config), path, tell=lambda one: print(one.cell, flush=True))
"""


def test_a_kill_in_the_middle_leaves_a_run_that_goes_on_to_the_same_end(
    both, once, written, environment, tmp_path, results
) -> None:
    path = tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, str(written(both)), str(path)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    done = [process.stdout.readline().strip() for _ in range(2)]
    time.sleep(0.05)  # somewhere in the third cell
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert RunFolder.open(path).header["status"] == "running"
    state = GridState.of(path)
    assert set(done) <= set(state.records)
    assert len(state.left) >= 1
    computed: list[str] = []
    resume_grid(path, tell=lambda record: computed.append(record.cell))
    assert set(computed) == {cell.name for cell in state.left}
    assert results(path) == results(once)
    assert names_in(path) == names_in(once)


def names_in(run: Path) -> set[str]:
    return {path.relative_to(run).as_posix() for path in run.rglob("*.*")}


@pytest.mark.parametrize("stop_after", [0, 1, 3])
def test_a_stop_after_any_cell_is_made_good(plain, executor, tmp_path, results, stop_after) -> None:
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run_grid(plain, path, executor(stop_after))
    assert GridState.of(path).run.header["status"] == "stopped"
    again = executor()
    resume_grid(path, again)
    assert len(again.asked) == 4 - stop_after
    run_grid(plain, tmp_path / "whole", executor())
    assert results(path) == results(tmp_path / "whole")


def fill_disk(monkeypatch, name: str) -> None:
    """No space for a file whose name has these letters; half of it is written."""
    write, frame = Path.write_text, pd.DataFrame.to_parquet

    def full(self: object, path: object) -> None:
        if name in str(path):
            Path(str(path)).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    def text(path: Path, *given: object, **more: object) -> int:
        full(path, path)
        return write(path, *given, **more)

    def parquet(self: pd.DataFrame, path: object, *given: object, **more: object) -> object:
        full(self, path)
        return frame(self, path, *given, **more)

    monkeypatch.setattr(Path, "write_text", text)
    monkeypatch.setattr(pd.DataFrame, "to_parquet", parquet)


@pytest.mark.parametrize("name", ["agreement.smollm2.r0.json", "agreement.smollm2.r0.heads"])
def test_a_full_disk_stops_the_run_and_leaves_nothing_half_written(
    plain, executor, tmp_path, results, monkeypatch, name
) -> None:
    path = tmp_path / "run"
    with monkeypatch.context() as patch:
        fill_disk(patch, name)
        with pytest.raises(StorageFullError, match="no space left while writing"):
            run_grid(plain, path, executor())
    state = GridState.of(path)
    state.check()
    assert list(state.records) == ["circuit.ioi.smollm2.r0"]
    parts = {one.name for one in path.glob("tables/*")} | {
        one.name for one in path.glob("arrays/*")
    }
    assert all(part.startswith("circuit.ioi.smollm2.r0.") for part in parts)
    assert state.run.header["status"] == "stopped"
    resume_grid(path, executor())
    run_grid(plain, tmp_path / "whole", executor())
    assert results(path) == results(tmp_path / "whole")


def test_a_full_disk_met_by_a_worker_stops_the_run(plain, executor, tmp_path) -> None:
    full = executor(1, StorageFullError("no space left while writing x; free some."))
    with pytest.raises(StorageFullError):
        run_grid(plain, tmp_path / "run", full)
    assert len(GridState.of(tmp_path / "run").records) == 1


def test_two_processes_on_one_folder(plain, executor, tmp_path) -> None:
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run_grid(plain, path, executor(1))
    before = sorted(path.rglob("*.json"))
    words = f"is being written by process {os.getpid()} on .*; wait until that has ended"
    with only_writer(path):
        with pytest.raises(StoreError, match=words):
            resume_grid(path, executor())
        assert GridState.of(path).left  # looking is free
    assert [one for one in sorted(path.rglob("*.json")) if one.name != ".lock.json"] == before


def test_the_same_folder_is_begun_once(plain, executor, tmp_path) -> None:
    run_grid(plain, tmp_path / "run", executor())
    with pytest.raises(StoreError, match="is not empty; choose another folder"):
        run_grid(plain, tmp_path / "run", executor())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(StoreError, match="is not empty"):
        run_grid(plain, tmp_path / "mine", executor())
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_a_read_only_folder_is_looked_at_and_not_resumed(
    plain, executor, tmp_path, monkeypatch
) -> None:
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run_grid(plain, path, executor(1))

    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    assert len(GridState.of(path).left) == 3
    with pytest.raises(StoreError, match=r"cannot be written to \(Read-only file system\); change"):
        resume_grid(path, executor())


@pytest.fixture
def half(grid_of, files, tmp_path, executor) -> Path:
    """A run of a copy of the files, stopped after one of its two cells."""
    shutil.copytree(files, tmp_path / "inputs")
    config = grid_of(
        models=(str(tmp_path / "inputs" / "one"),),
        tasks=(str(tmp_path / "inputs" / "one.jsonl"),),
        repeats=2,
    )
    with pytest.raises(KeyboardInterrupt):
        run_grid(config, tmp_path / "run", executor(1))
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("one/model.safetensors", "the model .*one has changed since the run was begun: put back"),
        ("one/config.json", "the model .*one has changed since"),
        ("one.jsonl", r"the data .*one\.jsonl has changed since .* or start a new run"),
    ],
)
def test_a_model_or_data_that_changed_is_refused(half, tmp_path, executor, name, words) -> None:
    path = tmp_path / "inputs" / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    again = executor()
    with pytest.raises(StoreError, match=words):
        resume_grid(half, again)
    assert again.asked == []
    path.write_bytes(whole)
    assert resume_grid(half, again).left == ()


def test_data_that_is_gone_is_named_and_found_where_it_is_now(
    half, tmp_path, executor, monkeypatch
) -> None:
    (tmp_path / "inputs" / "one.jsonl").unlink()
    with pytest.raises(StoreError, match=r"one\.jsonl is not there any more: put it back at"):
        resume_grid(half, executor())


def test_paths_from_where_one_stands_are_found_elsewhere(
    grid_of, files, tmp_path, executor, monkeypatch
) -> None:
    """Run, config and inputs are moved together, as one folder."""
    shutil.copytree(files, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    config = grid_of(models=("one",), tasks=("one.jsonl",), repeats=2)
    with pytest.raises(KeyboardInterrupt):
        run_grid(config, Path("run"), executor(1))
    monkeypatch.chdir(tmp_path)
    shutil.move(tmp_path / "here", tmp_path / "there")
    monkeypatch.chdir(tmp_path / "there")
    again = executor()
    assert resume_grid(Path("run"), again).left == ()
    assert again.asked == ["circuit.one.one.r1"]


def test_a_run_folder_that_was_moved_goes_on(half, tmp_path, executor) -> None:
    shutil.move(half, tmp_path / "elsewhere")
    again = executor()
    assert resume_grid(tmp_path / "elsewhere", again).left == ()
    assert again.asked == ["circuit.one.one.r1"]


def test_another_version_does_not_go_on(half, executor, monkeypatch) -> None:
    monkeypatch.setattr("needlepoint.evaluation.grid.inputs.version", lambda _: "9.9")
    with pytest.raises(StoreError, match=r"begun with needlepoint .* and this is 9\.9, whose num"):
        resume_grid(half, executor())


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b"{}", b"\xff", b'{"cell": "x", "tables": 1}']
)
def test_a_damaged_record_is_named_with_the_fix(
    plain, executor, tmp_path, results, content
) -> None:
    path = tmp_path / "run"
    run_grid(plain, path, executor())
    whole = results(path)
    record = path / "records" / "circuit.agreement.smollm2.r1.json"
    record.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        resume_grid(path, executor())
    assert f"{record} is " in str(caught.value)
    assert f"Remove {record} and go on with 'needlepoint resume'" in str(caught.value)
    record.unlink()
    again = executor()
    resume_grid(path, again)
    assert again.asked == ["circuit.agreement.smollm2.r1"]
    assert results(path) == whole


@pytest.mark.parametrize("part", ["tables/circuit.ioi.smollm2.r0.heads.parquet", "arrays"])
def test_a_flipped_byte_in_a_result_is_found(plain, executor, tmp_path, part) -> None:
    path = tmp_path / "run"
    run_grid(plain, path, executor())
    damaged = path / part
    damaged = damaged if damaged.is_file() else sorted(damaged.iterdir())[0]
    content = bytearray(damaged.read_bytes())
    content[-9] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(StoreError, match=r"is missing or damaged: its hash is not the one in the"):
        resume_grid(path, executor())


def test_a_record_of_another_grid_is_not_taken_for_one_of_this(plain, executor, tmp_path) -> None:
    import dataclasses

    run_grid(plain, tmp_path / "run", executor())
    run_grid(dataclasses.replace(plain, seed=1), tmp_path / "other", executor())
    for part in ("records", "tables", "arrays"):
        for path in (tmp_path / "other" / part).glob("circuit.ioi.smollm2.r0*"):
            shutil.copy(path, tmp_path / "run" / part)
    with pytest.raises(StoreError, match="is of other settings, weights or data than this grid"):
        resume_grid(tmp_path / "run", executor())


def test_a_clock_that_jumps_back_makes_no_time_negative(
    plain, executor, tmp_path, monkeypatch
) -> None:
    days = iter(range(99, 0, -1))

    def jumping() -> str:
        return f"20{next(days):02d}-01-01T00:00:00Z"

    for module in (provenance, records):
        monkeypatch.setattr(module, "now", jumping)
    monkeypatch.setattr(time, "time", lambda: -1e9)
    with pytest.raises(KeyboardInterrupt):
        run_grid(plain, tmp_path / "run", executor(2))
    state = resume_grid(tmp_path / "run", executor())
    header = state.run.header
    assert header["ended"] < header["started"]
    assert header["seconds"] >= 0
    assert all(record.seconds >= 0 for record in state.records.values())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"config": {"tasks": ["ioi"], "repeats": "2"}}, "has a config of no use: repeats is '2'"),
        ({"config": None}, "has a config of no use"),
        ({"inputs": {}}, "is damaged: it lacks 'models'"),
    ],
)
def test_a_damaged_header_is_named(plain, executor, tmp_path, change, words) -> None:
    state = run_grid(plain, tmp_path / "run", executor())
    state.run.update(**change)
    with pytest.raises(StoreError) as caught:
        resume_grid(tmp_path / "run", executor())
    assert f"{tmp_path / 'run' / 'run.json'} {words}" in str(caught.value)


def test_a_folder_that_is_no_run_of_a_grid_is_not_written_to(tmp_path, executor) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="is not a run folder"):
        resume_grid(tmp_path / "empty", executor())
    assert list((tmp_path / "empty").iterdir()) == []
    RunFolder.create(tmp_path / "other", kind="circuit", config={})
    with pytest.raises(StoreError, match="is a run of 'circuit' and not of a grid"):
        resume_grid(tmp_path / "other", executor())
    assert not (tmp_path / "other" / ".lock").exists()
