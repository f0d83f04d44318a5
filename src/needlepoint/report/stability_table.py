"""Whether each method would put the same heads and edges first on other prompts."""

from __future__ import annotations

from typing import Any

import pandas as pd

from needlepoint.report.blocks import (
    Cell,
    Column,
    TableBlock,
    interval_cell,
    number_cell,
    text_cell,
)
from needlepoint.report.text import NOT_MEASURED, missing, number

VERDICTS = ("stable", "fair", "unstable")
HOW = {"bootstrap": "pairs drawn anew, against all", "halves": "one half against the other"}


def stays_of(stable: pd.DataFrame) -> dict[str, float]:
    """The Jaccard index of the first heads of each method that has one.

    Example:
        >>> rows = {"method": ["eap", "hisp"], "units": "heads", "jaccard": [0.5, None]}
        >>> stays_of(pd.DataFrame(rows))
        {'eap': 0.5}
    """
    known = stable[stable["units"] == "heads"].dropna(subset=["jaccard"])
    return dict(zip(known["method"], known["jaccard"], strict=True))


def stays_sentence(stable: pd.DataFrame, methods: pd.DataFrame, *, column: str = "stays") -> str:
    """Which methods would name the same heads on other prompts; empty if there are no methods.

    Args:
        stable: The table `stability` of a circuit record.
        methods: Its table `methods`.
        column: What the column of the figures is called.

    Example:
        >>> row = {"method": "eap", "units": "heads", "k": 4, "jaccard": 0.9, "chance": 0.1}
        >>> stable = pd.DataFrame([row | {"verdict": "stable", "reason": ""}])
        >>> stays_sentence(stable, pd.DataFrame({"method": ["eap"], "label": ["EAP"]}))
        'stays: heads among the first 4 both times, of those among them either time, when pairs \
are drawn anew or halved (0.10 by chance). Stable: EAP.'
    """
    heads = stable[stable["units"] == "heads"]
    known = heads.dropna(subset=["jaccard"])
    slow = int(heads["reason"].str.contains("--stability", regex=False).sum())
    parts = []
    if len(known):
        k, chance = known["k"].iloc[0], known["chance"].iloc[0]
        parts.append(
            f"{column}: heads among the first {k} both times, of those among them either time, "
            f"when pairs are drawn anew or halved ({number(chance)} by chance)."
        )
    labels = methods.set_index("method")["label"]
    for verdict in VERDICTS:
        names = known.loc[known["verdict"] == verdict, "method"]
        if len(names):
            listed = ", ".join(str(labels.get(name, name)) for name in names)
            parts.append(f"{verdict.capitalize()}: {listed}.")
    if slow:
        slower = "a slower one" if slow == 1 else f"{slow} slower ones"
        parts.append(f"Not measured for {slower}; --stability 10 runs such on halves of the pairs.")
    return " ".join(parts)


def stability_table(name: str, stable: pd.DataFrame, methods: pd.DataFrame) -> TableBlock | None:
    """The table, the most stable first; None for a record of before it was measured.

    Args:
        name: An identifier of the section.
        stable: The table `stability` of a circuit record.
        methods: Its table `methods`.
    """
    if stable.empty:
        return None
    columns = [
        Column("method"),
        Column("of its first", help="how many units of its ranking are compared"),
        Column("in common", numeric=True, help="Jaccard index: in both, of those in either"),
        Column("by chance", numeric=True, help="what two random choices have in common"),
        Column("verdict", help="stable: at least 0.5 in 39 of 40 repeats; fair: in the mean"),
        Column("compared"),
        Column("pairs", numeric=True),
        Column("repeats", numeric=True),
        Column("why not", wide=True),
    ]
    labels = methods.set_index("method")["label"]
    ranked = stable.sort_values("jaccard", ascending=False, kind="stable", na_position="last")
    rows = [_row(row, str(labels.get(row["method"], ""))) for row in ranked.to_dict("records")]
    return TableBlock(
        f"{name}-stabilitytable",
        "Would other prompts put the same first?",
        columns,
        rows,
        ranked,
        shown=12,
    )


def _row(row: dict[Any, Any], label: str) -> list[Cell]:
    known = not missing(row["jaccard"])
    found = [Cell(NOT_MEASURED)] * 6
    if known:
        share = interval_cell(
            {**row, "jaccard_low": row["low"], "jaccard_high": row["high"]}, "jaccard"
        )
        how = str(row["how"])
        found = [
            share,
            number_cell(row["chance"]),
            text_cell(row["verdict"], chip=True),
            text_cell(HOW.get(how, how)),
            number_cell(int(row["n_pairs"])),
            number_cell(int(row["n_resamples"])),
        ]
    first = Cell(f"{int(row['k'])} {row['units']}", float(row["k"]))
    return [text_cell(label or row["method"]), first, *found, Cell(str(row["reason"]))]
