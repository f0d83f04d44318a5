"""Run a grid into a folder, or go on with one that was stopped at any moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from needlepoint._core.lock import only_writer
from needlepoint._core.records import Record, RunFolder
from needlepoint._core.run_files import remove_leftovers
from needlepoint.evaluation.grid.cells import Cell, cells_of
from needlepoint.evaluation.grid.config import GridConfig
from needlepoint.evaluation.grid.executor import Executor, InProcess
from needlepoint.evaluation.grid.inputs import Input, Inputs
from needlepoint.evaluation.grid.key import cell_key
from needlepoint.evaluation.grid.read_config import values_of
from needlepoint.evaluation.grid.state import KIND, GridState
from needlepoint.evaluation.grid.work import Ended, Job

Tell = Callable[[Record], None]


def run_grid(
    config: GridConfig,
    path: Path,
    executor: Executor | None = None,
    *,
    tell: Tell = lambda _: None,
    command: str = "",
) -> GridState:
    """Run all cells of a grid into a new or empty folder.

    Each cell ends in one record. One that cannot be done is skipped with its reason, and one that
    meets a defect fails with its traceback; neither stops the others.

    Args:
        config: What to run.
        path: The run folder.
        executor: What computes the cells; this process unless given.
        tell: Is given each record as soon as it is written.
        command: The command line that asked for it, for the record.

    Raises:
        DataError: If two names stand for one file, or a file cannot be read.
        StoreError: If the folder is not empty, or another process writes to it.
        StorageFullError: If the disk is full; `resume_grid` goes on when it is not.
    """
    cells_of(config)
    inputs = Inputs.of(config)
    path.mkdir(parents=True, exist_ok=True)
    executor = executor or InProcess()
    with only_writer(path):
        run = RunFolder.create(path, kind=KIND, config=values_of(config))
        run.update(inputs=inputs.to_json(), models={}, command=command, threads=executor.threads)
        return _GridRun(GridState.of(path), inputs, executor, tell).run()


def resume_grid(
    path: Path,
    executor: Executor | None = None,
    *,
    retry: bool = False,
    tell: Tell = lambda _: None,
) -> GridState:
    """Compute the cells that a run folder lacks; those that are there are never computed again.

    Tables without a record, and files half-written, are removed first. The folder may have been
    moved.

    Args:
        path: The run folder.
        executor: What computes the cells; this process unless given.
        retry: Whether cells that failed or were skipped are computed again.
        tell: Is given each record as soon as it is written.

    Raises:
        StoreError: If a record or a file of one is damaged, a model or a data file has changed
            since, or another process writes to the folder.
        StorageFullError: If the disk is full.
    """
    GridState.of(path)
    with only_writer(path):
        state = GridState.of(path)
        remove_leftovers(state.run, state.records.values())
        state.check()
        inputs = state.inputs.found()
        if retry:
            for record in state.ended("failed", "skipped"):
                state.run.remove(record.cell)
            state = GridState.of(path)
        return _GridRun(state, inputs, executor or InProcess(), tell).run()


def jobs_of(cells: Sequence[Cell], config: GridConfig, inputs: Inputs) -> list[Job]:
    """The cells with what it takes to compute them: where models and data lie now."""
    return [_job(cell, config, inputs) for cell in cells]


def _job(cell: Cell, config: GridConfig, inputs: Inputs) -> Job:
    model = inputs.models[cell.model]
    return Job(
        cell,
        model.path or cell.model,
        config.dtype,
        inputs.where(cell.question),
        inputs.where(getattr(cell.config, "source", "")),
        "" if model.path else model.sha256,  # a folder's was checked already, and is another hash
    )


class _GridRun:
    """One session of computing, from the first job to the last."""

    def __init__(self, state: GridState, inputs: Inputs, executor: Executor, tell: Tell) -> None:
        self.state, self.inputs = state, inputs
        self.executor, self.tell = executor, tell
        self.run_folder = state.run
        self._before = float(self.run_folder.header.get("seconds", 0.0))
        self._start = time.monotonic()

    def run(self) -> GridState:
        left = self.state.left
        if left:
            self.run_folder.update(status="running")
            try:
                self._compute(left)
            except BaseException:
                self._end("stopped")
                raise
        state = GridState.of(self.run_folder.path)
        status = "done" if len(state.ended("done")) == len(state.cells) else "partly done"
        if left or self.run_folder.header.get("status") != status:
            self._end(status)
        return state

    def _compute(self, cells: Sequence[Cell]) -> None:
        jobs = jobs_of(cells, self.state.config, self.inputs)
        with closing(self.executor.run(jobs)) as results:
            for ended in results:
                self._keep(ended)

    def _keep(self, ended: Ended) -> None:
        """Write one cell: what is known of its model first, then tables, arrays and record."""
        cell = ended.cell
        self._know(cell.model, ended.model)
        place = {
            "model": cell.model,
            "question": cell.question,
            "method": cell.method,
            "repeat": cell.repeat,
            "key": cell_key(cell, self.inputs, self.state.config.dtype),
            **ended.study.record.place,
        }
        study = replace(ended.study, record=replace(ended.study.record, place=place))
        self.tell(study.save(self.run_folder))

    def _know(self, name: str, card: dict[str, Any] | None) -> None:
        """Keep the card of a model that was loaded for the first time, and the hash it says."""
        header = self.run_folder.header
        if card is None or name in header["models"]:
            return
        models = {**header["models"], name: card}
        if not self.inputs.models[name].sha256:
            seen = Input("", str(card.get("sha256") or ""))
            self.inputs = replace(self.inputs, models={**self.inputs.models, name: seen})
            known = Inputs.from_json(header["inputs"])
            known = replace(known, models={**known.models, name: seen})
            self.run_folder.update(inputs=known.to_json())
        alone = {"model": card} if len(self.state.config.models) == 1 else {}
        self.run_folder.update(models=models, **alone)

    def _end(self, status: str) -> None:
        spent = self._before + time.monotonic() - self._start
        self.run_folder.update(seconds=round(spent, 1))
        self.run_folder.finish(status)
