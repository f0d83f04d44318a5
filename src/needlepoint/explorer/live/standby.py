"""One process that is ready for the next study, kept for a while."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from needlepoint.explorer.live.worker import Worker

IDLE = 600.0
"""Seconds that a process waits for another study before it is ended, as it takes memory."""


class Standby:
    """Hands out a process for a study, and takes it back for the next one.

    Safe to use from several threads. There is one process at most.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self._timer: threading.Timer | None = None
        self._busy = False

    def prepare(self) -> None:
        """Start a process ahead of the study that it is for, unless there is one."""
        with self._lock:
            if not self._busy:
                self._ready()
                self._wait()

    def take(self, request: Mapping[str, Any]) -> Worker:
        """The process, with the request of a study in its hands.

        Raises:
            OSError: If no process can be started.
        """
        with self._lock:
            worker = self._ready()
            try:
                worker.ask(request)
            except OSError:  # it ended at this very moment
                self._let_go()
                worker = self._ready()
                worker.ask(request)
            self._busy = True
            return worker

    def give_back(self, *, again: bool) -> None:
        """End the use of the process that was taken.

        Args:
            again: Whether it may make another study, if it is still there.
        """
        with self._lock:
            self._busy = False
            if again and self._worker is not None and self._worker.alive:
                self._wait()
            else:
                self._let_go()

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._let_go()

    # ---- whoever calls these holds the lock -----------------------------------------------------

    def _ready(self) -> Worker:
        if self._timer is not None:
            self._timer.cancel()
        if self._worker is None or not self._worker.alive:
            self._let_go()
            self._worker = Worker()
        return self._worker

    def _wait(self) -> None:
        self._timer = threading.Timer(IDLE, self._rest)
        self._timer.daemon = True
        self._timer.start()

    def _let_go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._worker is not None:
            self._worker.close()
        self._worker = self._timer = None

    def _rest(self) -> None:
        with self._lock:
            if not self._busy:
                self._let_go()
