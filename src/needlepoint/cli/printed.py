"""Tables in the terminal."""

from __future__ import annotations

from typing import Any, Literal

import pandas as pd
from rich.console import Console
from rich.table import Table


def table(*names: str) -> Table:
    """A table with these columns; those whose name ends in `>` are numbers."""
    found = Table(box=None, pad_edge=False)
    for name in names:
        justify: Literal["left", "right"] = "right" if name.endswith(">") else "left"
        found.add_column(name.removesuffix(">"), justify=justify, overflow="fold")
    return found


def print_table(console: Console, title: str, found: Table) -> None:
    """Print a table under its title."""
    console.print()
    console.print(title, style="italic", highlight=False, markup=False)
    console.print(found, markup=False, highlight=False)


def number(value: Any, digits: int = 2, *, signed: bool = False) -> str:
    """A number, or a dash where there is none.

    Example:
        >>> number(0.125), number(None), number(0.5, 1, signed=True), number(-0.001)
        ('0.12', '-', '+0.5', '0.00')
    """
    if value is None or pd.isna(value):
        return "-"
    return f"{float(value):{'+' if signed else ''}z.{digits}f}"
