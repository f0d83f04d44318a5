"""Two runs of grids, held against one another in the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from needlepoint._core.records import RunFolder
from needlepoint.cli.printed import number, print_table, table
from needlepoint.evaluation.grid.agreement import ALL_DIGITS
from needlepoint.evaluation.grid.compare_grids import GridsCompared, compare_grids
from needlepoint.evaluation.grid.compared import CellAgreement
from needlepoint.evaluation.grid.state import KIND


def are_grids(*paths: Path) -> bool:
    """Whether all these run folders are of grids.

    Raises:
        StoreError: If one is no run.
    """
    return all(RunFolder.open(path).header.get("kind") == KIND for path in paths)


def show_grids(first: Path, second: Path) -> GridsCompared:
    """Compare two runs of grids and print what differs.

    Raises:
        StoreError: If a file of a run cannot be read.
        DataError: If they have no cell in common.
    """
    found, console = compare_grids(first, second), Console()
    for line in found.differences or ["settings, weights, data and versions are the same"]:
        _say(console, line)
    _show_cells(console, found)
    _show_circuits(console, found)
    for path, names in ((first, found.only_first), (second, found.only_second)):
        if names:
            _say(console, f"only in {path}: {', '.join(names)}")
    same = sum(cell.same for cell in found.cells)
    _say(console, f"\n{same} of {len(found.cells)} cells are the same to the bit, times aside.")
    return found


def _show_cells(console: Console, found: GridsCompared) -> None:
    rows = table("cell", "digits>", "least in", "differs")
    for cell in found.cells:
        rows.add_row(cell.cell, _digits(cell), _least(cell), "; ".join(cell.differ[:2]) or "-")
    print_table(console, "Digits that all numbers of a cell have in common", rows)


def _digits(cell: CellAgreement) -> str:
    if cell.status != ("done", "done"):
        return "-"
    return "all" if cell.digits == ALL_DIGITS else str(cell.digits)


def _least(cell: CellAgreement) -> str:
    """The table or summary in which numbers differ most, and its column."""
    if cell.digits == ALL_DIGITS or not cell.parts:
        return "-"
    part = min(cell.parts, key=lambda part: part.digits)
    return f"{part.part}, {part.where}" if part.where else part.part


def _show_circuits(console: Console, found: GridsCompared) -> None:
    if not found.circuits:
        return
    rows = table("circuit", "rank correlation>", "matter>", "in both>", "in common>", "differ>")
    for cell in found.circuits:
        rows.add_row(
            cell.first,
            number(cell.spearman),
            f"{cell.n_matter[0]} and {cell.n_matter[1]}",
            str(cell.n_both),
            number(cell.jaccard),
            "-" if cell.n_differ is None else f"{cell.n_differ} of {cell.n_heads}",
        )
    print_table(console, "Heads that matter, and heads whose effects differ", rows)


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
