"""What a grid would run, in the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from needlepoint._core.progress import progress_bars
from needlepoint.activations.plan import in_bytes, in_time
from needlepoint.cli.grid_runs import check_grid
from needlepoint.cli.printed import print_table, table
from needlepoint.evaluation.grid.plan import GridPlan, Planned, plan_grid
from needlepoint.evaluation.grid.read_config import read_config


def show_plan(path: Path, run: Path | None, *, measure: bool) -> GridPlan:
    """Print what a config file would run.

    Raises:
        NeedlepointError: If the config cannot be used, or the run folder cannot be read.
    """
    config = read_config(path)
    check_grid(config)
    with progress_bars():
        plan = plan_grid(config, run, measure=measure)
    console = Console()
    rows = table("model", "question", "method", "cells>", "there>", "activations>", "time>")
    for part in plan.parts:
        cell = part.cells[0]
        rows.add_row(
            _last(cell.model),
            _last(cell.question),
            cell.method or "-",
            str(len(part.cells)),
            str(part.n_there),
            _bytes(part),
            _time(part),
        )
    print_table(console, f"What {path} would run", rows)
    for line in [*_totals(plan), *_reasons(plan)]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return plan


def _last(name: str) -> str:
    """A name, or the last part of a path."""
    return Path(name).name if Path(name).is_absolute() else name


def _bytes(part: Planned) -> str:
    known = part.activations.bytes
    if known is None:
        return "unknown"
    return in_bytes(known) if known else "-"


def _time(part: Planned) -> str:
    if part.seconds is None:
        return "unknown"
    if not part.n_left:
        return "-"
    return f"{'at least ' if part.cost.at_least else ''}{in_time(part.seconds)}"


def _totals(plan: GridPlan) -> list[str]:
    """The sums, as far as they are known, one after another on one worker."""
    size, unknown_size = plan.bytes
    seconds, unknown_cells = plan.seconds
    shown = [in_bytes(size)] if size or not unknown_size else []
    shown += [f"unknown for {unknown_size} of the questions"] if unknown_size else []
    time = [in_time(seconds)] if seconds else []
    time += [f"unknown for {unknown_cells} cells"] if unknown_cells else []
    return [
        f"\n{plan.n_left} of {plan.n_cells} cells to compute.",
        f"Activations: {' and '.join(shown)}.",
        f"Time, one cell after another: {' and '.join(time) or 'none'}.",
    ]


def _reasons(plan: GridPlan) -> list[str]:
    """How times were estimated, and why something is not known: each once."""
    left = [part for part in plan.parts if part.n_left]
    times = dict.fromkeys(
        f"Unknown: {part.cost.basis}." if part.cost.seconds is None else f"Time: {part.cost.basis}."
        for part in left
    )
    sizes = dict.fromkeys(
        f"Activations unknown: {part.activations.why}."
        for part in left
        if part.activations.bytes is None
    )
    return [*times, *sizes]
