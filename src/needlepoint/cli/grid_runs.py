"""Run a grid or go on with one, tell each cell as it ends, build the page."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from needlepoint._core.cores import free_cores
from needlepoint._core.errors import DataError, StorageFullError, StoreError
from needlepoint._core.files import storage_errors
from needlepoint._core.progress import progress_bars
from needlepoint._core.records import Record
from needlepoint.cli.asked import Asked
from needlepoint.cli.folder import Destination
from needlepoint.cli.studies import COMMANDS
from needlepoint.evaluation.grid.cells import cells_of
from needlepoint.evaluation.grid.config import GridConfig
from needlepoint.evaluation.grid.executor import Executor, InProcess
from needlepoint.evaluation.grid.processes import LocalProcesses
from needlepoint.evaluation.grid.read_config import read_config
from needlepoint.evaluation.grid.run import resume_grid, run_grid
from needlepoint.evaluation.grid.state import GridState
from needlepoint.evaluation.studies import named


@dataclass(frozen=True)
class Crew:
    """Who is to compute the cells, as the command line has it."""

    workers: int = 1
    threads: int = 0
    ray: str = ""
    gpus: float = 0.0
    memory: int = 0

    def executor(self, threads: int = 0) -> Executor:
        """This process, several local ones with the free cores shared out, or a Ray cluster.

        Args:
            threads: Threads of each where none were asked for; the free cores if 0.

        Raises:
            DataError: If a number is out of range, or is for Ray and there is none.
        """
        threads = self.threads or threads
        if self.ray:
            from needlepoint.evaluation.grid.ray_executor import OnRay
            from needlepoint.evaluation.on_ray import Cluster

            return OnRay(Cluster(self.ray, self.workers, threads or 1, self.gpus, self.memory))
        if self.gpus or self.memory:
            raise DataError("--gpus and --memory place the workers of a cluster; add --ray local.")
        if self.workers == 1:
            return InProcess(threads or free_cores())
        return LocalProcesses(self.workers, threads or max(1, free_cores() // max(1, self.workers)))


def start_grid(path: Path, out: Path | None, crew: Crew) -> int:
    """Run a config file into a new folder.

    Returns:
        0, or 1 if a cell failed by a defect and left its traceback in its record.

    Raises:
        NeedlepointError: If the config cannot be used, or every cell was skipped.
        KeyboardInterrupt: If it was stopped; the message says how to go on.
    """
    config = read_config(path)
    check_grid(config)
    executor = crew.executor()
    _refuse_begun(out)
    destination = Destination(Asked("grid", "", out=out))
    destination.check()
    command = shlex.join(["needlepoint", "run", str(path)])
    folder = destination.make()
    telling = Telling(config.n_cells)
    telling.begin(folder)
    with _can_go_on(folder):
        run_grid(config, folder, executor, tell=telling, command=command)
    return _finish(folder, telling)


def _refuse_begun(out: Path | None) -> None:
    if out is not None and (out / "run.json").exists():
        raise StoreError(
            f"{out} holds a run already: 'needlepoint resume {out}' goes on with it; choose "
            "another folder with --out for a new one."
        )


def go_on(folder: Path, crew: Crew, *, retry: bool) -> int:
    """Compute what a run folder lacks, with as many threads as it was begun with unless told.

    Returns:
        0, or 1 if a cell of the run failed by a defect.

    Raises:
        NeedlepointError: If the run cannot be resumed, or every cell was skipped.
        KeyboardInterrupt: If it was stopped; the message says how to go on.
    """
    state = GridState.of(folder)
    again = len(state.ended("failed", "skipped")) if retry else 0
    executor = crew.executor(int(state.run.header.get("threads") or 0))
    telling = Telling(len(state.left) + again)
    telling.begin(folder)
    with _can_go_on(folder):
        resume_grid(folder, executor, retry=retry, tell=telling)
    return _finish(folder, telling)


def check_grid(config: GridConfig) -> None:
    """Refuse unknown tasks, collections and methods, and files that no model could use.

    Raises:
        NeedlepointError: With the first that cannot be.
    """
    seen = set()
    for cell in cells_of(config):
        if (cell.question, cell.method) not in seen:
            seen.add((cell.question, cell.method))
            named(COMMANDS[type(cell.config)].check)(cell.config)


class Telling:
    """Tells each cell in a line as it ends."""

    def __init__(self, n_cells: int) -> None:
        self.n_cells, self.n_told = n_cells, 0
        self.start = time.monotonic()
        self.console = Console()

    def begin(self, folder: Path) -> None:
        """Say what is to come."""
        cells = "1 cell" if self.n_cells == 1 else f"{self.n_cells} cells"
        self.say(f"{cells} to compute, into {folder}")

    def __call__(self, record: Record) -> None:
        """Say how a cell ended, and the answer or the reason."""
        self.n_told += 1
        reason = (record.reason.strip().splitlines() or [""])[-1]
        text = str(record.summary.get("answer") or reason)
        self.say(f"[{self.n_told}/{self.n_cells}] {record.cell}: {record.status}. {text}")

    def say(self, text: str) -> None:
        """Print a line as it is."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _can_go_on(folder: Path) -> Iterator[None]:
    """Say how to go on, whatever stopped the work."""
    hint = f"'needlepoint resume {folder}' goes on from there."
    try:
        with progress_bars(), storage_errors(folder):
            yield
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(f"stopped; what was finished is kept: {hint}") from stop
    except StorageFullError as error:
        raise StorageFullError(f"{error} What was finished is kept: {hint}") from error


def _finish(folder: Path, telling: Telling) -> int:
    from needlepoint.report import build_report

    state = GridState.of(folder)
    with storage_errors(folder):
        page = build_report(folder)
    statuses = [record.status for record in state.records.values()]
    counts = {status: statuses.count(status) for status in ("done", "skipped", "failed")}
    if counts["skipped"] == len(state.cells):
        raise DataError(f"no cell could be done; {page} says why.")
    telling.say(
        f"{', '.join(f'{count} {status}' for status, count in counts.items())} of "
        f"{len(state.cells)} cells, in {time.monotonic() - telling.start:.0f} s. "
        f"Open this page in a browser:\n{page}"
    )
    return int(counts["failed"] > 0)
