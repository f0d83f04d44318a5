"""The cells of a grid on the workers of a Ray cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import asdict, replace

import torch

from needlepoint._core.records import Record
from needlepoint.evaluation.grid.schedule import Schedule
from needlepoint.evaluation.grid.work import Bench, Ended, Job
from needlepoint.evaluation.on_ray import TRIES, Cluster, Crew, Lost
from needlepoint.evaluation.study import Study


class OnRay:
    """Computes the cells of a grid on the workers of a cluster.

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
        schedule, lost = Schedule(jobs), Counter[str]()
        with Crew[Job](self.cluster, self._worker) as crew:
            while len(schedule) or len(crew):
                for number in crew.idle:
                    if (job := schedule.take(number)) is not None:
                        crew.give(number, job, "run", job)
                number, job, answer = crew.take()
                schedule.ended(job)
                if isinstance(answer, Exception):
                    raise answer
                if isinstance(answer, Lost):
                    schedule.gone(number)
                    lost[job.cell.name] += 1
                    if lost[job.cell.name] < TRIES:
                        schedule.again(job)
                        continue
                    answer = _gave_up(job, answer)
                yield answer


class CellWorker:
    """Computes one cell after the other."""

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self.bench = Bench()

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
