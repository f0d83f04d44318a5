"""One progress bar, shown only for work that lasts longer than two seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PATIENCE = 2.0
_enabled = False
Listener = Callable[[str, int, int], None]
"""Told what is being done, how many steps of it are done, and of how many; 0 of 0 if unknown."""
_listener: Listener | None = None


@contextmanager
def progress_bars() -> Iterator[None]:
    """Let the work inside show progress bars. The command line does; a library call does not."""
    global _enabled
    before, _enabled = _enabled, True
    try:
        yield
    finally:
        _enabled = before


@contextmanager
def progress_to(listener: Listener) -> Iterator[None]:
    """Tell a function of every step of the work inside, for one who does not sit at a terminal."""
    global _listener
    before, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = before


class Bar:
    """A progress bar that stays hidden until the work has lasted two seconds.

    It is drawn on standard error if that is a terminal, and gone when the work is done.

    Example:
        >>> with Bar("reading", total=2) as bar:
        ...     bar.advance()
        ...     bar.advance()
    """

    def __init__(self, label: str, *, total: int) -> None:
        self.label = label
        self.total = total
        self.done = 0
        self._start = time.monotonic()
        self._progress: Progress | None = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def advance(self, steps: int = 1) -> None:
        """Say that `steps` more of `total` are done."""
        self.done += steps
        if _listener is not None:
            _listener(self.label, self.done, self.total)
        if self._progress is None:
            if not _enabled or time.monotonic() - self._start < PATIENCE:
                return
            console = Console(file=sys.stderr)
            if not console.is_interactive:  # a file or pipe would only get blank lines
                return
            self._show(console)
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=self.done)

    def _show(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._progress.start()
        self._progress.add_task(self.label, total=self.total, completed=self.done)


def say(text: str) -> None:
    """Tell the person who waits what is happening; silent outside the command line."""
    if _listener is not None:
        _listener(text, 0, 0)
    if _enabled:
        console = Console(file=sys.stderr)
        console.print(text, style="dim", highlight=False, markup=False, soft_wrap=True)


def heard() -> bool:
    """Whether anyone is told what is said: what has to be measured first can then be spared."""
    return _enabled
