"""Each cell ends in one record; the records do not depend on who computed them, or when."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from pathlib import Path

import pytest

from needlepoint._core.errors import DataError, StoreBusyError
from needlepoint._core.records import Record, RunFolder
from needlepoint.evaluation.find_heads import find_heads
from needlepoint.evaluation.grid import work
from needlepoint.evaluation.grid.cells import cells_of
from needlepoint.evaluation.grid.config import GridConfig
from needlepoint.evaluation.grid.executor import InProcess
from needlepoint.evaluation.grid.inputs import Inputs
from needlepoint.evaluation.grid.processes import LocalProcesses, _Worker
from needlepoint.evaluation.grid.run import jobs_of, resume_grid, run_grid
from needlepoint.evaluation.grid.state import GridState
from needlepoint.evaluation.study import Study
from needlepoint.models.load import load_model


def test_every_cell_is_done_and_says_where_it_stands(once: Path, both: GridConfig) -> None:
    state = GridState.of(once)
    state.check()
    assert [record.cell for record in state.ended("done")] == [c.name for c in cells_of(both)]
    header = state.run.header
    assert (header["status"], header["kind"], header["threads"]) == ("done", "grid", 1)
    assert header["model"]["name"] == "one"
    assert header["seconds"] >= 0
    for cell in state.cells:
        place = state.records[cell.name].place
        assert (place["model"], place["question"]) == (cell.model, cell.question)
        assert (place["repeat"], place["threads"]) == (cell.repeat, 1)


def test_a_cell_is_what_the_plain_call_returns(once: Path, files: Path, both: GridConfig) -> None:
    cell = cells_of(both)[0]
    study = find_heads(load_model(str(files / "one"), dtype="float32"), cell.config)
    table = RunFolder.open(once).table(cell.name, "heads")
    for name in ("site", "effect", "matters", "score.eap"):
        assert table[name].tolist() == study.tables["heads"][name].tolist()


def test_two_processes_find_the_same_to_the_bit(once, both, tmp_path, results, own_cache) -> None:
    order: list[str] = []
    run_grid(
        both, tmp_path / "two", LocalProcesses(2), tell=lambda record: order.append(record.cell)
    )
    assert sorted(order) == sorted(cell.name for cell in cells_of(both))
    assert results(tmp_path / "two") == results(once)


def test_the_order_does_not_matter(once, both, tmp_path, results, own_cache) -> None:
    class Backwards(InProcess):
        def run(self, jobs):
            yield from super().run(jobs[::-1])

    run_grid(both, tmp_path / "back", Backwards())
    assert results(tmp_path / "back") == results(once)


def test_a_model_is_loaded_once_for_its_cells(
    grid_of, files, tmp_path, own_cache, monkeypatch
) -> None:
    loaded: list[str] = []

    def load(source: str, **options: object):
        loaded.append(Path(source).name)
        return load_model(source, **options)

    monkeypatch.setattr("needlepoint.models.load.load_model", load)
    models = (str(files / "one"), str(files / "two"))
    state = run_grid(grid_of(models=models, repeats=2), tmp_path / "run")
    assert loaded == ["one", "two"]
    assert set(state.run.header["models"]) == set(models)
    assert "model" not in state.run.header


def test_a_cell_that_cannot_be_done_stops_no_other(
    grid_of, files, tmp_path, own_cache, monkeypatch
) -> None:
    monkeypatch.setattr("needlepoint.evaluation.find_neurons.find_neurons", lambda *_: 1 / 0)
    config = grid_of(
        models=(str(files / "one"), str(files / "none")),
        tasks=(str(files / "two.jsonl"), str(files / "one.jsonl")),
        features=(str(files / "digits.csv"),),
    )
    state = run_grid(config, tmp_path / "run")
    ended = {name: (record.status, record.reason) for name, record in state.records.items()}
    assert ended["circuit.one.one.r0"] == ("done", "")
    assert ended["circuit.two.one.r0"][0] == "skipped"
    assert "does not" in ended["circuit.two.one.r0"][1]
    assert ended["probe.digits.one.r0"][0] == "failed"
    assert "ZeroDivisionError: division by zero" in ended["probe.digits.one.r0"][1]
    for task in ("circuit.one", "circuit.two", "probe.digits"):
        status, reason = ended[f"{task}.none.r0"]
        assert (status, "no model" in reason) == ("skipped", True)
    assert state.run.header["status"] == "partly done"


def test_finished_cells_are_never_computed_again(plain, executor, tmp_path, results) -> None:
    run_grid(plain, tmp_path / "run", executor())
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*.parquet")}
    again = executor()
    resume_grid(tmp_path / "run", again)
    resume_grid(tmp_path / "run", again, retry=True)
    assert again.asked == []
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_kill_after_the_last_record_is_made_good(plain, executor, tmp_path) -> None:
    run_grid(plain, tmp_path / "run", executor()).run.update(status="running", ended=None)
    header = resume_grid(tmp_path / "run", executor()).run.header
    assert header["status"] == "done"
    assert header["ended"] is not None


def test_cells_that_were_not_done_can_be_tried_again(plain, executor, tmp_path, results) -> None:
    class Half(executor):
        def run(self, jobs):
            for place, ended in enumerate(super().run(jobs)):
                if place % 2:
                    study = work.attempt(ended.cell.name, ended.cell.kind, lambda: 1 / 0)
                    yield work.Ended(ended.cell, study)
                else:
                    yield ended

    path = tmp_path / "run"
    assert len(run_grid(plain, path, Half()).ended("failed")) == 2
    again = executor()
    assert len(resume_grid(path, again).ended("failed")) == 2
    assert again.asked == []
    assert len(resume_grid(path, again, retry=True).ended("done")) == 4
    assert len(again.asked) == 2
    run_grid(plain, tmp_path / "whole", executor())
    assert results(path) == results(tmp_path / "whole")


def test_a_worker_that_dies_fails_its_cell_alone(plain, monkeypatch) -> None:
    """The first cell's worker is killed from outside as soon as it is at it."""
    config = dataclasses.replace(plain, models=("none.gguf",), repeats=1)
    jobs = jobs_of(cells_of(config), config, Inputs.of(config))
    executor = LocalProcesses(1)
    start, killed = _Worker.give, []

    def give(worker, job):
        start(worker, job)
        if job is not None and not killed:
            killed.append(worker.process.pid)
            os.kill(worker.process.pid, signal.SIGKILL)

    monkeypatch.setattr("needlepoint.evaluation.grid.processes._Worker.give", give)
    first, second = executor.run(jobs)
    assert first.study.record.status == "failed"
    assert "ended by signal 9 (SIGKILL) at this cell" in first.study.record.reason
    assert "use fewer --workers" in first.study.record.reason
    assert second.study.record.status == "skipped"
    assert "there is no file none.gguf" in second.study.record.reason


def test_a_cell_waits_for_activations_that_another_process_writes(
    both, own_cache, monkeypatch
) -> None:
    tries = []

    def busy_at_first(*_: object) -> Study:
        tries.append(time.monotonic())
        if len(tries) < 3:
            raise StoreBusyError("the store is being written by another process.")
        return Study(Record("probe.x", "probe", "done"), {})

    monkeypatch.setattr(work, "_PATIENCE", 0.01)
    monkeypatch.setattr("needlepoint.evaluation.find_neurons.find_neurons", busy_at_first)
    job = next(job for job in jobs_of(cells_of(both), both, Inputs.of(both)) if job.cell.reads)
    assert work.Bench().run(job).study.record.status == "done"
    assert len(tries) == 3


@pytest.mark.parametrize(("workers", "threads"), [(0, 1), (1, 0)])
def test_no_workers_is_no_executor(workers: int, threads: int) -> None:
    with pytest.raises(DataError, match="is 0; it must be at least 1"):
        LocalProcesses(workers, threads)
