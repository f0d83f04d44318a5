"""The cells of a grid on the workers of a Ray cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from typing import Any

import torch

from needlepoint._core.records import Record
from needlepoint.evaluation.grid.schedule import Schedule
from needlepoint.evaluation.grid.spread import Spread, Task
from needlepoint.evaluation.grid.work import Bench, Ended, Job
from needlepoint.evaluation.on_ray import TRIES, Cluster, Crew, Lost
from needlepoint.evaluation.spread_extraction import Filler
from needlepoint.evaluation.study import Study
from needlepoint.models.spread import device_here


class OnRay:
    """Computes the cells of a grid on the workers of a cluster.

    Where there are more workers than there is to read, all of them read the same activations into
    one store, block by block, before the cells that need these are computed.

    Data and models have to lie where every worker finds them under the same path. Records are
    written by the process that asks, as ever.

    Args:
        cluster: Where the workers are.
        worker: Class of the workers: `CellWorker`, or one that does something more.
    """

    def __init__(self, cluster: Cluster, worker: type | None = None) -> None:
        self.cluster, self.threads = cluster, cluster.threads
        self._worker = worker or CellWorker

    def run(self, jobs: Sequence[Job]) -> Generator[Ended, None, None]:
        """How each job ended, as soon as it has; one whose worker died is tried again.

        Raises:
            StorageFullError: If the disk is full.
        """
        spread, lost = Spread(jobs, self.cluster.workers), Counter[str]()
        with Crew[Task](self.cluster, self._worker) as crew, closing(spread):
            while len(spread) or len(crew):
                for number in crew.idle:
                    if (task := spread.take(number)) is not None:
                        crew.give(number, task, task.step, *task.arguments)
                if (taken := crew.take()) is None:
                    continue
                number, task, answer = taken
                if isinstance(answer, Lost):
                    spread.schedule.gone(number)
                if task.step == "begin":
                    spread.begun(task.job, answer)
                elif task.step == "fill":
                    spread.filled(task.job, task.block, answer)
                elif (ended := _ended(task.job, answer, spread.schedule, lost)) is not None:
                    yield ended


def _ended(job: Job, answer: Any, schedule: Schedule, lost: Counter[str]) -> Ended | None:
    """How a cell ended; None if it has to be computed again, as its worker died."""
    schedule.ended(job)
    if isinstance(answer, Exception):
        raise answer
    if isinstance(answer, Lost):
        lost[job.cell.name] += 1
        if lost[job.cell.name] < TRIES:
            schedule.again(job)
            return None
        return _gave_up(job, answer)
    ended: Ended = answer
    return ended


class CellWorker:
    """Computes one cell after the other, and blocks of the activations that cells read."""

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self.bench = Bench(device_here())
        self._filler: tuple[str, Filler] | None = None

    def begin(self, job: Job) -> str | Exception:
        """Make the store of what a cell reads, and say where it is."""
        try:
            model, reading = self.bench.reading(job)
            return str(reading.open(model).place)
        except Exception as error:
            return error

    def fill(self, job: Job, block: int) -> Exception | None:
        """Write one block of it."""
        try:
            if self._filler is None or self._filler[0] != job.cell.reads:
                self._filler = None  # the old one goes first
                model, reading = self.bench.reading(job)
                place = str(reading.open(model).place)
                self._filler = job.cell.reads, Filler(place, reading, model)
            self._filler[1].fill(block)
        except Exception as error:
            return error
        return None

    def run(self, job: Job) -> Ended | Exception:
        """How the cell ended, or what concerns all cells."""
        try:
            return self.bench.run(job)
        except Exception as error:
            return error


def _gave_up(job: Job, lost: Lost) -> Ended:
    cell = job.cell
    reason = (
        f"{TRIES} workers died over this cell, most often for want of memory: say with --memory "
        "how much a worker needs, and go on with 'needlepoint resume --retry'. Ray says: "
        f"{lost.reason}"
    )
    record = Record(cell.name, cell.kind, "failed", reason, config=asdict(cell.config))
    return Ended(cell, Study(replace(record, place={"threads": 0}), {}))
