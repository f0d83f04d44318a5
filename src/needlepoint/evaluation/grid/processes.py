"""Several local processes, each with a model of its own, that compute the cells of a grid."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from needlepoint._core.errors import DataError
from needlepoint._core.records import Record
from needlepoint.evaluation.grid.schedule import Schedule
from needlepoint.evaluation.grid.work import Bench, Ended, Job
from needlepoint.evaluation.study import Study

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class LocalProcesses:
    """Cells computed by fresh processes of this machine.

    A worker that dies, most often because the machine has no memory left, fails the cell it was
    at and is replaced. Workers end with this process, even if that is killed.

    Args:
        workers: How many; each holds a model.
        threads: Threads of each. Torch adds numbers in another order on other threads, so the
            last digits can depend on it; they do not depend on the number of workers.

    Raises:
        DataError: If there is not at least one of each.
    """

    def __init__(self, workers: int, threads: int = 1) -> None:
        for name, count in (("workers", workers), ("threads", threads)):
            if count < 1:
                raise DataError(f"{name} is {count}; it must be at least 1.")
        self.workers, self.threads = workers, threads

    def run(self, jobs: Sequence[Job]) -> Generator[Ended, None, None]:
        """How each job ended, as soon as it has."""
        schedule = Schedule(jobs)
        workers = {number: _Worker(self.threads) for number in range(min(self.workers, len(jobs)))}
        try:
            while len(schedule) or any(worker.job for worker in workers.values()):
                for number, worker in workers.items():
                    if worker.job is None:
                        worker.give(schedule.take(number))
                for number in _heard(workers):
                    ended = workers[number].take()
                    schedule.ended(ended[0])
                    if workers[number].dead:
                        schedule.gone(number)
                        workers[number] = _Worker(self.threads)
                    yield ended[1]
        finally:
            for worker in workers.values():
                worker.stop()


class _Worker:
    """One process and what it is doing, as seen from here."""

    def __init__(self, threads: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.ours, theirs = spawn.Pipe()
        self.process = spawn.Process(target=_serve, args=(theirs, threads), daemon=True)
        with _environment(dict.fromkeys(_THREADS, str(threads))):
            self.process.start()
        theirs.close()
        self.job: Job | None = None
        self.dead = False

    def give(self, job: Job | None) -> None:
        """Hand over a job, if there is one."""
        if job is not None:
            self.job = job
            with suppress(OSError):  # if it has died: that is heard of next
                self.ours.send(job)

    def take(self) -> tuple[Job, Ended]:
        """The job, and how it ended; if the process died over it, a record that says so.

        Raises:
            Exception: What concerns all cells, as the process met it: a full disk.
        """
        job, self.job = self.job, None
        assert job is not None
        try:
            ended = self.ours.recv()
        except (EOFError, OSError):
            self.dead = True
            self.process.join()
            return job, _died(job, self.process.exitcode)
        if isinstance(ended, Exception):
            raise ended
        return job, ended

    def stop(self) -> None:
        """End the process now."""
        self.process.kill()
        self.process.join()
        self.ours.close()


def _heard(workers: Mapping[int, _Worker]) -> list[int]:
    """Wait until a busy worker has ended something, and say which."""
    busy = {worker.ours: number for number, worker in workers.items() if worker.job}
    return [busy[found] for found in wait(list(busy)) if isinstance(found, Connection)]


def _died(job: Job, status: int | None) -> Ended:
    how = f"with status {status}"
    if status is not None and status < 0:
        how = f"by signal {-status} ({signal.Signals(-status).name})"
    reason = (
        f"the worker process ended {how} at this cell. Most often the machine had no memory left: "
        "use fewer --workers or a smaller question, and go on with 'needlepoint resume --retry'."
    )
    cell = job.cell
    record = Record(cell.name, cell.kind, "failed", reason, config=asdict(cell.config))
    return Ended(cell, Study(replace(record, place={"threads": 0}), {}))


def _serve(theirs: Connection, threads: int) -> None:
    """What a worker process does: one job after the other, until there is nobody to tell."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it and ends this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(threads)
    bench = Bench()
    while True:
        try:
            job = theirs.recv()
        except EOFError:
            return
        answer: Any
        try:
            answer = bench.run(job)
        except Exception as error:
            answer = error
        theirs.send(answer)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Have these variables set while a process is started, which inherits them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
