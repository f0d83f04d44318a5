"""Work given out to the workers of a Ray cluster: the one door through which ray comes in.

A worker is an actor, most often one that holds a model. It is placed by the processors, graphics
cards and memory that it says it needs. One that dies, or whose machine is lost, is replaced, and
what it was at is handed back, to be given out again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from needlepoint._core.errors import DataError, SourceError

LOCAL = "local"
"""Address that stands for a cluster of this machine alone, which ends with the work."""
TRIES = 3
"""Times that a piece of work is given out when the workers that have it die."""

Task = TypeVar("Task")


@dataclass(frozen=True)
class Cluster:
    """Where the workers are, how many there are, and what each is placed by.

    Raises:
        DataError: If a number is out of range.
    """

    address: str = LOCAL
    """Address of a cluster, such as `ray://head:10001` or `auto`, or `local`."""
    workers: int = 1
    threads: int = 1
    """Processors, and threads of torch, of each worker."""
    gpus: float = 0.0
    """Graphics cards of each worker; a part of one may be asked for."""
    memory: int = 0
    """Bytes of memory that each worker needs; not looked at if 0."""

    def __post_init__(self) -> None:
        for name in ("workers", "threads"):
            if getattr(self, name) < 1:
                raise DataError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        for name in ("gpus", "memory"):
            if getattr(self, name) < 0:
                raise DataError(f"{name} is {getattr(self, name)}; it must not be negative.")


class Crew(Generic[Task]):
    """Workers of one class, each with at most one task at a time.

    Args:
        cluster: Where and how many.
        kind: Class of the workers, made anew on each; its first argument is the threads.
    """

    def __init__(self, cluster: Cluster, kind: type) -> None:
        self.ray, self._ours = _started(cluster)
        self.cluster = cluster
        needs: dict[str, Any] = {"num_cpus": cluster.threads, "num_gpus": cluster.gpus}
        if cluster.memory:
            needs["memory"] = cluster.memory
        self._kind = self.ray.remote(**needs)(kind)
        self._actors = {number: self._hire() for number in range(cluster.workers)}
        self._busy: dict[Any, tuple[int, Task]] = {}

    def __enter__(self) -> Crew[Task]:
        return self

    def __exit__(self, *_: object) -> None:
        for actor in self._actors.values():
            self.ray.kill(actor)
        if self._ours:
            self.ray.shutdown()

    def __len__(self) -> int:
        """How many are at work."""
        return len(self._busy)

    @property
    def idle(self) -> list[int]:
        """Numbers of the workers that have nothing to do."""
        busy = {number for number, _ in self._busy.values()}
        return [number for number in self._actors if number not in busy]

    def give(self, number: int, task: Task, method: str, *arguments: Any) -> None:
        """Have a worker do something."""
        self._busy[getattr(self._actors[number], method).remote(*arguments)] = number, task

    def take(self) -> tuple[int, Task, Any]:
        """The next thing that is done: by whom, what it was, and what came of it.

        The last is `Lost` if the worker died over it; it has been replaced by then.
        """
        (done, *_), _ = self.ray.wait(list(self._busy))
        number, task = self._busy.pop(done)
        try:
            return number, task, self.ray.get(done)
        except (self.ray.exceptions.RayActorError, self.ray.exceptions.ObjectLostError) as error:
            self._actors[number] = self._hire()
            return number, task, Lost(str(error))

    def _hire(self) -> Any:
        return self._kind.remote(self.cluster.threads)


@dataclass(frozen=True)
class Lost:
    """What is left of a task whose worker died."""

    reason: str


def _started(cluster: Cluster) -> tuple[Any, bool]:
    """Ray, connected to the cluster, and whether it was connected here."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anyone
    try:
        import ray
    except ImportError as error:
        raise SourceError(
            "ray is not installed: pip install 'needlepoint[ray]', or leave out --ray."
        ) from error
    if ray.is_initialized():
        return ray, False
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if cluster.address == LOCAL:
        options |= {"address": LOCAL, "include_dashboard": False}
        options["num_cpus"] = cluster.workers * cluster.threads
    else:
        options["address"] = cluster.address
    try:
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise SourceError(
            f"no Ray cluster answers at {cluster.address!r} ({error}); start one with 'ray start "
            "--head', or use --ray local."
        ) from error
    return ray, True
