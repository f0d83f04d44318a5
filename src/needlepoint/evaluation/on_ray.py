"""Work given out to the workers of a Ray cluster: the one door through which ray comes in.

A worker is an actor, most often one that holds a model. It is placed by the processors, graphics
cards and memory that it says it needs. One that dies, or whose machine is lost, is replaced, and
what it was at is handed back, to be given out again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from needlepoint._core.errors import DataError, SourceError
from needlepoint._core.progress import say
from needlepoint.activations.plan import in_bytes

LOCAL = "local"
"""Address that stands for a cluster of this machine alone, which ends with the work."""
TRIES = 3
"""Times that a piece of work is given out when the workers that have it die."""

_PATIENCE = 20.0
"""Seconds without any answer, after which it is looked whether the workers have begun at all."""

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

    @property
    def needs(self) -> dict[str, float]:
        """What each worker needs, by the names that Ray has for it; what it needs none of is out.

        Example:
            >>> Cluster(threads=2, memory=1000).needs
            {'CPU': 2.0, 'memory': 1000.0}
        """
        every = {"CPU": self.threads, "GPU": self.gpus, "memory": self.memory}
        return {name: float(count) for name, count in every.items() if count}


class Crew(Generic[Task]):
    """Workers of one class, each with at most one task at a time.

    Args:
        cluster: Where and how many.
        kind: Class of the workers, made anew on each; its first argument is the threads.
        shared: Its other arguments, sent to each machine once.
    """

    def __init__(self, cluster: Cluster, kind: type, *shared: Any) -> None:
        self.ray, self._ours = _started(cluster)
        self.cluster = cluster
        self._shared = [self.ray.put(one) for one in shared]
        needs: dict[str, Any] = {"num_cpus": cluster.threads, "num_gpus": cluster.gpus}
        if cluster.memory:
            needs["memory"] = cluster.memory
        self._kind = self.ray.remote(**needs)(kind)
        self._actors: dict[int, Any] = {}
        self._beginning: dict[Any, int] = {}
        self._busy: dict[Any, tuple[int, Task]] = {}
        self._failed, self._told = 0, False
        for number in range(cluster.workers):
            self._hire(number)

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
        """Numbers of the workers that have begun and have nothing to do."""
        away = {number for number, _ in self._busy.values()} | set(self._beginning.values())
        return [number for number in self._actors if number not in away]

    def give(self, number: int, task: Task, method: str, *arguments: Any) -> None:
        """Have a worker do something."""
        self._busy[getattr(self._actors[number], method).remote(*arguments)] = number, task

    def take(self) -> tuple[int, Task, Any] | None:
        """The next thing that is done: by whom, what it was, and what came of it.

        The last is `Lost` if the worker died over it; it has been replaced by then.

        Returns:
            None if what happened is that a worker has begun, so that there is one more to be given
            something.

        Raises:
            SourceError: If workers die one after the other before they have begun.
        """
        waiting = [*self._busy, *self._beginning]
        while not (done := self.ray.wait(waiting, timeout=_PATIENCE)[0]):
            self._tell_if_none_has_begun()
        (found,) = done
        if found in self._beginning:
            self._begun(found)
            return None
        number, task = self._busy.pop(found)
        try:
            return number, task, self.ray.get(found)
        except (self.ray.exceptions.RayActorError, self.ray.exceptions.ObjectLostError) as error:
            self._hire(number)
            return number, task, Lost(str(error))

    def _hire(self, number: int) -> None:
        actor = self._kind.remote(self.cluster.threads, *self._shared)
        self._actors[number] = actor
        self._beginning[actor.__ray_ready__.remote()] = number

    def _begun(self, ready: Any) -> None:
        number = self._beginning.pop(ready)
        try:
            self.ray.get(ready)
        except self.ray.exceptions.RayError as error:
            self._failed += 1
            if self._failed == TRIES:
                raise SourceError(
                    f"{TRIES} workers died as they began; needlepoint has to be installed, in the "
                    f"same version, wherever they are. Ray says: {error}"
                ) from error
            self._hire(number)

    def _tell_if_none_has_begun(self) -> None:
        """Say once what a worker needs, if the cluster has found room for none of them yet."""
        if self._told or len(self._beginning) < len(self._actors):
            return
        self._told = True
        needs, has = self.cluster.needs, self.ray.cluster_resources()
        say(
            f"no worker has begun yet: each needs {_listed(needs)}, and the whole cluster has "
            f"{_listed({name: has.get(name, 0.0) for name in needs})}; waiting for room."
        )


@dataclass(frozen=True)
class Lost:
    """What is left of a task whose worker died."""

    reason: str


def _listed(resources: Mapping[str, float]) -> str:
    return ", ".join(
        in_bytes(int(count)) + " of memory" if name == "memory" else f"{count:g} {name}"
        for name, count in resources.items()
    )


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
