"""What computes the cells of a grid: a protocol, and the plainest way to keep to it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol, runtime_checkable

import torch

from needlepoint.evaluation.grid.work import Bench, Ended, Job


@runtime_checkable
class Executor(Protocol):
    """Computes cells, here or elsewhere, and hands back how each ended.

    It writes nothing into the run folder: that is done by the one process that holds it. Studies
    that it hands back do not depend on how many workers it has, nor on the order.
    """

    @property
    def threads(self) -> int:
        """Threads of torch that each cell is computed with."""
        ...

    def run(self, jobs: Sequence[Job]) -> Generator[Ended, None, None]:
        """How each job ended, as soon as it has, in any order and each exactly once.

        When the iterator is closed, work that goes on is broken off.

        Raises:
            StorageFullError: If the disk is full; what was not handed back is to be done again.
        """
        ...


class InProcess:
    """One cell after the other in this process.

    Args:
        threads: Threads of torch; as they are unless given.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads or torch.get_num_threads()

    def run(self, jobs: Sequence[Job]) -> Generator[Ended, None, None]:
        """How each job ended, in the order given."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            bench = Bench()
            for job in jobs:
                yield bench.run(job)
        finally:
            torch.set_num_threads(before)
