"""What a circuit could do without, in the terminal."""

from __future__ import annotations

from typing import Literal

from rich.console import Console

from needlepoint.cli.printed import number, print_table, table
from needlepoint.evaluation.circuits.minimality import Minimality

TOP = 10


def show_minimality(console: Console, found: Minimality, level: Literal["nodes", "edges"]) -> None:
    """Print the edges or nodes that matter most to a circuit, and how many are shown to be needed.

    Example:
        >>> import pandas as pd
        >>> row = {"unit": "L0.H1 -> L1.K0", "change": 0.5, "p": 0.05, "minimal": True,
        ...     "helps": True}
        >>> found = Minimality(pd.DataFrame([row]), (0.01,) * 20, 0.01, n_subsets=5, n_untried=3)
        >>> show_minimality(Console(width=70), found, "edges")  # doctest: +ELLIPSIS
        <BLANKLINE>
        What the circuit loses without single edges, at most
        ...
        1 of 1 edges tried is shown to be needed; 3 were not tried.
    """
    shown = table(level.removesuffix("s"), "change>", "p>", "")
    for row in found.changes.head(TOP).to_dict("records"):
        needed = "not shown to be needed"
        if row["minimal"]:
            needed = "needed" if row["helps"] else "changes it, against the circuit"
        shown.add_row(str(row["unit"]), number(row["change"]), number(row["p"], 3), needed)
    print_table(console, f"What the circuit loses without single {level}, at most", shown)
    note = (
        f"Change of faithfulness, the largest of {found.n_subsets + 1} settings: with the rest of "
        f"the circuit, or random parts of it gone too. Needed: more than 95% of "
        f"{len(found.outside)} random {level} from outside change it ({number(found.threshold)})."
    )
    console.print(note, style="dim", highlight=False, markup=False)
    n, tried = int(found.changes["minimal"].sum()), len(found.changes)
    untried = f"; {found.n_untried} were not tried" if found.n_untried else ""
    verb = "is" if n == 1 else "are"
    text = f"{n or 'None'} of {tried} {level} tried {verb} shown to be needed{untried}."
    console.print(text, highlight=False, markup=False)
