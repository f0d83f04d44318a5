"""Two runs of `circuit`, held against one another in the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from needlepoint.cli.printed import number, print_table, table
from needlepoint.evaluation.circuits.compare import CellsCompared, RunsCompared, compare_runs

TOP = 8


def show_comparison(first: Path, second: Path) -> RunsCompared:
    """Compare two run folders and print what differs.

    Raises:
        StoreError: If a folder is no run.
        DataError: If the runs cannot be compared.
    """
    found = compare_runs(first, second)
    console = Console()
    for line in found.differences or ["model and settings are the same"]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for cell in found.cells:
        _show_cell(console, cell)
    for path, names in ((first, found.only_first), (second, found.only_second)):
        if names:
            console.print(f"only in {path}: {', '.join(names)}", markup=False, highlight=False)
    return found


def _show_cell(console: Console, cell: CellsCompared) -> None:
    rows = table("", "")
    rows.show_header = False
    for name, value in cell.rows()[1:]:  # the first names the cells, as the title does
        rows.add_row(name, value)
    for name, sites in (("only in the first", cell.only_first), ("the second", cell.only_second)):
        if sites:
            rows.add_row(f"  {name}", " ".join(sites))
    title = cell.first if cell.first == cell.second else f"{cell.first} and {cell.second}"
    print_table(console, title, rows)
    _show_heads(console, cell)
    _show_methods(console, cell)


def _show_heads(console: Console, cell: CellsCompared) -> None:
    if "difference" not in cell.heads:
        return
    found = table("head", "first>", "second>", "difference>", "95% interval", "differs")
    for row in cell.heads.head(TOP).to_dict("records"):
        found.add_row(
            str(row["site"]),
            number(row["effect_first"], signed=True),
            number(row["effect_second"], signed=True),
            number(row["difference"], signed=True),
            f"{number(row['low'], signed=True)} to {number(row['high'], signed=True)}",
            "yes" if row["differs"] else "no",
        )
    print_table(console, "Heads whose effects differ most", found)


def _show_methods(console: Console, cell: CellsCompared) -> None:
    found = table("method", "AUC, first>", "second>", "difference>", "95% interval")
    for row in cell.methods.to_dict("records"):
        low, high = row["auc_difference_low"], row["auc_difference_high"]
        found.add_row(
            str(row["label"]),
            number(row["auc_first"]),
            number(row["auc_second"]),
            number(row["auc_difference"], signed=True),
            f"{number(low, signed=True)} to {number(high, signed=True)}",
        )
    print_table(console, "How well the methods find the heads that matter", found)
