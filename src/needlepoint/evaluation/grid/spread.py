"""What the workers of a cluster do next: cells, or together the activations that cells read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

from needlepoint._core.errors import NeedlepointError
from needlepoint.evaluation.grid.schedule import Schedule
from needlepoint.evaluation.grid.work import Job
from needlepoint.evaluation.on_ray import TRIES, Lost
from needlepoint.evaluation.spread_extraction import Filling


@dataclass(frozen=True)
class Task:
    """A cell, or a part of what it reads."""

    job: Job
    step: Literal["run", "begin", "fill"] = "run"
    block: int = -1

    @property
    def arguments(self) -> tuple[Any, ...]:
        """What the method of the same name takes."""
        return (self.job, self.block) if self.step == "fill" else (self.job,)


@dataclass
class _Shared:
    """A store that is being filled, and a job that reads it."""

    job: Job
    filling: Filling
    open: ExitStack


class Spread:
    """Gives out jobs; where there are more workers than readings, all of them read together.

    A reading is begun by one worker, which makes the store, and filled block by block by whoever
    is free. Its cells follow when it is whole. Whatever goes wrong with it is left to these: the
    first of them reads alone what is missing, and has the error in its record if there is one.

    Args:
        jobs: What is to be done.
        workers: How many there are.
    """

    def __init__(self, jobs: Iterable[Job], workers: int) -> None:
        self.schedule = Schedule(jobs)
        self._workers = workers
        self._shared: dict[str, _Shared] = {}
        self._settled: set[str] = set()
        self._lost = Counter[str]()

    def __len__(self) -> int:
        """How many jobs wait."""
        return len(self.schedule)

    def take(self, worker: int) -> Task | None:
        """What a worker does next; None if there is nothing, or all has to wait for another."""
        for shared in self._shared.values():
            if (block := shared.filling.take()) is not None:
                return Task(shared.job, "fill", block)
        crowded = self.schedule.readings() >= self._workers
        job = self.schedule.take(worker)
        if job is None:
            return None
        if crowded or not job.cell.reads or job.cell.reads in self._settled:
            self._settled.add(job.cell.reads)
            return Task(job)
        self.schedule.back(job)
        return Task(job, "begin")

    def begun(self, job: Job, answer: str | Exception | Lost) -> None:
        """Take what came of making the store of a job: where it is, if all is well."""
        if isinstance(answer, str):
            with ExitStack() as stack:
                try:
                    filling = stack.enter_context(Filling(answer))
                except NeedlepointError:  # another process is at it, or it is not seen from here
                    self._settle(job)
                    return
                self._shared[job.cell.reads] = _Shared(job, filling, stack.pop_all())
            self._close_if_done(job)
        elif isinstance(answer, Lost) and self._lost[job.cell.reads] < TRIES - 1:
            self._lost[job.cell.reads] += 1
            self.schedule.free(job)
        else:
            self._settle(job)

    def filled(self, job: Job, block: int, answer: Exception | Lost | None) -> None:
        """Take what came of a block."""
        filling = self._shared[job.cell.reads].filling
        if answer is None:
            filling.wrote(block)
        elif isinstance(answer, Lost):
            try:
                filling.lost(block, answer)
            except NeedlepointError:
                filling.abandon()
        else:
            filling.give_up(block)
        self._close_if_done(job)

    def close(self) -> None:
        """Let go of all stores."""
        for shared in self._shared.values():
            shared.open.close()
        self._shared.clear()

    def _close_if_done(self, job: Job) -> None:
        shared = self._shared[job.cell.reads]
        if shared.filling.done:
            del self._shared[job.cell.reads]
            shared.open.close()
            self._settle(job)
            if shared.filling.store.complete:
                self.schedule.whole(job)

    def _settle(self, job: Job) -> None:
        """Let the cells of a reading go on."""
        self._settled.add(job.cell.reads)
        self.schedule.free(job)
