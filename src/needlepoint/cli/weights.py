"""The command `needlepoint weights`: what is printed after."""

from __future__ import annotations

from rich.console import Console

from needlepoint._core.records import Record, RunFolder
from needlepoint.cli.printed import number, print_table, table


def show_weights(console: Console, run: RunFolder, record: Record) -> None:
    """Print how the median of each statistic runs through the layers."""
    shown = table("median of", "first quarter>", "last quarter>", "least>", "layer>", "untrained>")
    for one in record.summary["curves"].values():
        shown.add_row(
            one["label"],
            *(number(one[name], 3) for name in ("early", "late", "least")),
            str(one["least_layer"]),
            number(one["untrained"], 3),
        )
    print_table(console, "Weights of neurons by depth", shown)
    console.print(record.summary["published_shape"], style="dim", highlight=False, markup=False)
