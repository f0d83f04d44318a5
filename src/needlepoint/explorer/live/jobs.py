"""Studies of pasted text: made beside the explorer, with their progress, and cancelled if asked."""

from __future__ import annotations

import re
import secrets
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from needlepoint._core.errors import DataError, UnknownNameError
from needlepoint._core.files import write_text
from needlepoint.explorer.live.standby import Standby
from needlepoint.explorer.live.worker import DONE, REFUSED, Worker
from needlepoint.explorer.questions import JobRequest, JobState, JobView

AT_ONCE = 1
"""Studies that run at the same time: each has a model of its own in memory."""
PATIENCE = 5.0
"""Seconds that the answer to a cancel waits for the end of the study."""
PASTED = "pasted"
"""Folder, beside the runs, of the texts that studies were made of."""


@dataclass
class _Job:
    view: JobView
    worker: Worker
    file: Path
    out: Path
    started: float = field(default_factory=time.monotonic)
    cancelled: bool = False
    ended: threading.Event = field(default_factory=threading.Event)


class Jobs:
    """Starts studies, follows them, and stops them.

    They are made in a process that is not the explorer's. It stays for the next study, which then
    need not wait for imports; one that was cancelled, or failed by a defect, takes it along.
    """

    def __init__(self, model: str, dtype: str, folder: Path) -> None:
        self.model, self.dtype, self.folder = model, dtype, folder
        self._jobs: dict[str, _Job] = {}
        self._lock = threading.Lock()
        self._standby = Standby()

    def prepare(self) -> None:
        """Start the process of the next study ahead of it, unless there is one."""
        self._standby.prepare()

    def start(self, request: JobRequest) -> JobView:
        """Begin a study.

        Raises:
            DataError: If another one is running.
        """
        with self._lock:
            running = self._running()
            if len(running) >= AT_ONCE:
                raise DataError(
                    f"the study {running[0]!r} is still running; wait for it, or cancel it."
                )
            job = self._begin(request)
            self._jobs[job.view.id] = job
        threading.Thread(target=self._follow, args=(job,), daemon=True).start()
        return self._seen(job)

    def cancel(self, job: str) -> JobView:
        """Stop a study; nothing of it is kept. One that has ended stays as it is.

        Raises:
            UnknownNameError: If there is no such study.
        """
        found = self._jobs.get(job)
        if found is None:
            raise UnknownNameError(
                f"there is no study {job[:40]!r}; it may be of an earlier start."
            )
        if not found.ended.is_set():
            found.cancelled = True
            found.view = replace(found.view, step="cancelling")
            found.worker.stop()
            found.ended.wait(PATIENCE)
        return self._seen(found)

    def jobs(self) -> list[JobView]:
        """All studies of this start, the newest first."""
        return [self._seen(job) for job in reversed(list(self._jobs.values()))]

    def close(self) -> None:
        """Stop the studies that still run, and the process that waits for another."""
        for job in list(self._jobs):
            self.cancel(job)
        self._standby.close()

    def _begin(self, request: JobRequest) -> _Job:
        name = safe_name(request.name)
        folder = f"{request.kind}-{name}-{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        suffix = "csv" if request.kind == "probe" else "jsonl"
        file = self.folder / PASTED / folder / f"{name}.{suffix}"
        write_text(file, request.content)
        out = self.folder / folder
        asked = {
            "kind": request.kind,
            "file": str(file),
            "out": str(out),
            "thorough": request.thorough,
            "model": self.model,
            "dtype": self.dtype,
        }
        view = JobView(
            secrets.token_hex(8), request.kind, name, "running", "getting ready", 0, 0, 0.0, "", ""
        )
        return _Job(view, self._standby.take(asked), file, out)

    def _follow(self, job: _Job) -> None:
        """Read what the process says until the study ends, then tidy up after it."""
        said: dict[str, Any] = {}
        error = ""
        for said in job.worker.heard():
            error = str(said.get("error", error))
            job.view = _stepped(job.view, said)
        state: JobState = "cancelled" if job.cancelled else "failed"
        if said.get("ended") == DONE and not job.cancelled:
            ended = replace(job.view, state="done", run=str(job.out))
        else:
            _remove(job.out, job.file.parent)
            message = error or f"the process of the study ended with status {said.get('gone')}."
            ended = replace(job.view, state=state, message="" if job.cancelled else message)
        self._standby.give_back(again=said.get("ended") in (DONE, REFUSED))
        seconds = round(time.monotonic() - job.started, 1)
        job.view = replace(ended, step="", seconds=seconds)  # last, as another may start now
        job.ended.set()

    def _running(self) -> list[str]:
        """Names of the studies that have not ended."""
        return [job.view.name for job in self._jobs.values() if job.view.state == "running"]

    def _seen(self, job: _Job) -> JobView:
        if job.ended.is_set():
            return job.view
        return replace(job.view, seconds=round(time.monotonic() - job.started, 1))


def _stepped(view: JobView, said: Mapping[str, Any]) -> JobView:
    """The view after a line about a step; as it was after any other."""
    if "step" not in said:
        return view
    done, total = int(said.get("done", 0)), int(said.get("total", 0))
    return replace(view, step=str(said["step"])[:200], done=done, total=total)


def safe_name(text: str) -> str:
    """A name that can be part of a file's, whatever was typed.

    Example:
        >>> safe_name("../French or not?"), safe_name("???")
        ('French_or_not', 'question')
    """
    return re.sub(r"[^A-Za-z0-9-]+", "_", text).strip("_-")[:40] or "question"


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
