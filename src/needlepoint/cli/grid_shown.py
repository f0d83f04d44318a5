"""A grid's run folder in the terminal: how far it is, whether it reproduces, as plain tables."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from needlepoint._core.cores import free_cores
from needlepoint._core.lock import holder, is_held
from needlepoint._core.progress import progress_bars
from needlepoint._core.records import Record, RunFolder
from needlepoint.activations.plan import in_time
from needlepoint.cli.printed import print_table, table
from needlepoint.evaluation.grid.agreement import ALL_DIGITS
from needlepoint.evaluation.grid.compared import CellAgreement
from needlepoint.evaluation.grid.executor import InProcess
from needlepoint.evaluation.grid.measured_costs import measured_cost
from needlepoint.evaluation.grid.state import GridState
from needlepoint.evaluation.grid.tidy import tidy_tables, write_tables
from needlepoint.evaluation.grid.verify import verify_grid

TOP = 40


def show_status(path: Path) -> GridState:
    """Print how each cell ended, what is left, and who writes to the folder.

    Raises:
        StoreError: If it is no run of a grid, or a record is damaged.
    """
    state, console = GridState.of(path), Console()
    rows = table("cell", "status", "seconds>", "reason")
    for cell in state.cells[:TOP]:
        record = state.records.get(cell.name)
        if record is None:
            rows.add_row(cell.name, "left", "-", "")
        else:
            rows.add_row(cell.name, record.status, f"{record.seconds:.1f}", _reason(record))
    print_table(console, f"Cells of {path}", rows)
    if len(state.cells) > TOP:
        _say(console, f"... and {len(state.cells) - TOP} more; 'needlepoint export' has them all.")
    for line in _state_lines(state, path):
        _say(console, line)
    return state


def _state_lines(state: GridState, path: Path) -> list[str]:
    counts = ", ".join(
        f"{len(state.ended(status))} {status}" for status in ("done", "skipped", "failed")
    )
    lines = [f"\n{counts}, {len(state.left)} left of {len(state.cells)} cells."]
    if is_held(path):
        lines.append(f"Being computed by {holder(path) or 'a process'}.")
    elif state.left:
        lines.append(f"Nobody is at it: 'needlepoint resume {path}' goes on.")
    elif state.ended("failed", "skipped"):
        lines.append(f"'needlepoint resume {path} --retry' computes those not done again.")
    return [*lines, *_time_left(state)]


def _time_left(state: GridState) -> list[str]:
    """What the cells that are left will take, as those that have ended tell."""
    if not state.left:
        return []
    costs = [measured_cost(cell, state.records.values()).seconds for cell in state.left]
    known = [one for one in costs if one is not None]
    if not known:
        return ["Time left: unknown, as no cell like those that are left has ended yet."]
    unknown = f", {costs.count(None)} cells unknown" if None in costs else ""
    return [f"Time left, one cell after another: {in_time(sum(known))}{unknown}."]


def show_verified(path: Path, cells: int, digits: int, threads: int) -> bool:
    """Compute some cells again, print how far they agree, and say whether all reproduce.

    Raises:
        NeedlepointError: If the run or its inputs are not what they were.
    """
    console = Console()
    with progress_bars():
        begun = int(GridState.of(path).run.header.get("threads") or 0)
        found = verify_grid(path, cells, InProcess(threads or begun or free_cores()))
    for one in found:
        show_agreement(console, one)
    good = sum(one.reproduces(digits) for one in found)
    exact = sum(one.same for one in found)
    total = GridState.of(path)
    _say(
        console,
        f"\n{good} of {len(found)} cells computed again reproduce to {digits} digits or more, "
        f"{exact} of them to the bit; the run has {len(total.ended('done'))} finished cells. "
        "Times and memory are not compared.",
    )
    return good == len(found)


def show_agreement(console: Console, found: CellAgreement) -> None:
    """Print how far two results of a cell agree, part by part."""
    rows = table("part", "values>", "digits>", "most different")
    for part in found.parts:
        digits = "all" if part.digits == ALL_DIGITS else str(part.digits)
        rows.add_row(part.part, f"{part.values:,}", digits, part.where or "-")
    print_table(console, found.cell, rows)
    for line in found.differ:
        _say(console, f"  differs: {line}")


def export_run(path: Path, layout: str, out: Path | None) -> None:
    """Write the tidy tables of a run, and say where they are.

    Raises:
        StoreError: If the folder is no run, or a file of it cannot be read.
        UnknownNameError: If there is no such format.
    """
    folder = out or path / "export"
    written = write_tables(tidy_tables(RunFolder.open(path)), folder, layout)
    _say(Console(), f"Written: {len(written)} tables in {folder}.")


def _reason(record: Record) -> str:
    return (record.reason.strip().splitlines() or [""])[-1]


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
