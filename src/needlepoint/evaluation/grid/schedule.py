"""Which job a free worker takes next."""

from __future__ import annotations

from collections.abc import Iterable

from needlepoint.evaluation.grid.work import Job


class Schedule:
    """Jobs that wait, given out so that models are loaded seldom and nothing is read twice.

    A worker keeps to the model it holds as long as there is work for it, and turns to one that no
    other holds rather than share. Of cells that read the same activations one goes first and the
    others wait: they find them in the store, and only one process can write there.
    """

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._waiting = list(jobs)
        self._being_read: set[str] = set()
        self._read: set[str] = set()
        self._held: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, worker: int) -> Job | None:
        """The next job of a worker; None if there is none, or all have to wait for another."""
        free = [job for job in self._waiting if job.cell.reads not in self._being_read]
        if not free:
            return None
        held = {model for other, model in self._held.items() if other != worker}
        own = self._held.get(worker)
        job = min(free, key=lambda job: (job.model != own, job.model in held))
        self._waiting.remove(job)
        self._held[worker] = job.model
        if job.cell.reads and job.cell.reads not in self._read:
            self._being_read.add(job.cell.reads)
        return job

    def back(self, job: Job) -> None:
        """Have a job wait until what it reads has been read; others that read it wait with it."""
        self._waiting.insert(0, job)

    def free(self, job: Job) -> None:
        """Let one of the jobs that read the same as this one be given out."""
        self._being_read.discard(job.cell.reads)

    def whole(self, job: Job) -> None:
        """Say that all that a job reads is there, so that none has to wait."""
        self._being_read.discard(job.cell.reads)
        self._read.add(job.cell.reads)

    def readings(self) -> int:
        """How many readings the waiting jobs still need."""
        wanted = {job.cell.reads for job in self._waiting if job.cell.reads}
        return len((wanted | self._being_read) - self._read)

    def ended(self, job: Job) -> None:
        """Say that a job has ended, however."""
        self.whole(job)

    def again(self, job: Job) -> None:
        """Have a job that was given out wait once more."""
        self._waiting.insert(0, job)
        self._read.discard(job.cell.reads)

    def gone(self, worker: int) -> None:
        """Say that a worker holds nothing any more."""
        self._held.pop(worker, None)
