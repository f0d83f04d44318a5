"""The process that makes studies, as seen from the explorer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

GRACE = 1.0
"""Seconds that a process has to end when it is asked to, before it is killed."""
MODULE = "needlepoint.explorer.live.job_process"
DONE, FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130
"""How a study ends: a run has been written, a defect, a request that cannot be met, a cancel."""


class Worker:
    """A process of its own that makes one study at a time, and waits for the next.

    It begins at once to import what studies need, so one that is started ahead of its first
    request answers that sooner.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, "TOKENIZERS_PARALLELISM": "false", "TQDM_DISABLE": "1"},
            start_new_session=True,  # an interrupt of the server is not theirs
        )
        self._ending = threading.Lock()

    @property
    def alive(self) -> bool:
        """Whether it can be asked for a study."""
        return self._process.poll() is None

    def ask(self, request: Mapping[str, Any]) -> None:
        """Hand it the request of a study.

        Raises:
            OSError: If the process has ended meanwhile.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def heard(self) -> Iterator[dict[str, Any]]:
        """What it says of the study in hand.

        The last has `ended` with the status of the study, or `gone` with that of the process if
        this ends before.
        """
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = _parsed(line)
            yield said
            if "ended" in said:
                return
        yield {"gone": self._process.wait()}

    def stop(self) -> None:
        """End it, by force if it does not end soon; nothing of the study in hand is kept."""
        with self._ending:
            if self.alive:
                self._process.send_signal(signal.SIGTERM if os.name == "nt" else signal.SIGINT)
                try:
                    self._process.wait(GRACE)
                except subprocess.TimeoutExpired:
                    self._process.kill()  # stores go on where a kill left them
                    self._process.wait()

    def close(self) -> None:
        """End it, and let go of its pipes; nobody may be listening any more."""
        self.stop()
        with suppress(OSError), self._process:  # a request that nobody read is lost
            pass


def _parsed(line: str) -> dict[str, Any]:
    """What a line says; another library may have printed one that says nothing."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
