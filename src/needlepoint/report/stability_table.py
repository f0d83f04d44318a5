"""Whether each method would put the same heads and edges first on other prompts."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pandas as pd

from needlepoint.report.blocks import (
    ABSENT,
    Cell,
    Column,
    TableBlock,
    interval_cell,
    number_cell,
    text_cell,
)
from needlepoint.report.text import NOT_MEASURED, missing, number

SEED_ENDS = {"": "jaccard", "_low": "low", "_high": "high"}
VERDICTS = ("stable", "fair", "unstable")
SEEDS = (
    "Over seeds: the first of one seed against those of another, on the same pairs: the mean over "
    "every two of them, the least and the most. Where seeds were trained as one ensemble the score "
    "is their mean, which is steadier than any of them."
)
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


def stability_table(
    name: str, stable: pd.DataFrame, methods: pd.DataFrame, absent: Collection[str] = ()
) -> TableBlock | None:
    """The table, the most stable first; None for a record of before it was measured.

    Args:
        name: An identifier of the section.
        stable: The table `stability` of a circuit record.
        methods: Its table `methods`.
        absent: Columns of `stable` that the run is too old to have.
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
        Column("seeds", numeric=True),
        Column("over seeds", numeric=True, help="in common between two seeds, on the same pairs"),
        Column(
            "verdict over seeds", help="stable: at least 0.5 between every two; fair: in the mean"
        ),
        Column("why not", wide=True),
    ]
    labels = methods.set_index("method")["label"]
    ranked = stable.sort_values("jaccard", ascending=False, kind="stable", na_position="last")
    rows = [
        _row(row, str(labels.get(row["method"], "")), absent) for row in ranked.to_dict("records")
    ]
    return TableBlock(
        f"{name}-stabilitytable",
        "Would other prompts put the same first?",
        columns,
        rows,
        ranked,
        shown=12,
        note="" if "n_seeds" not in stable or stable["n_seeds"].isna().all() else SEEDS,
    )


def _row(row: dict[Any, Any], label: str, absent: Collection[str]) -> list[Cell]:
    unknown = Cell(NOT_MEASURED)
    chance = unknown if missing(row["chance"]) else number_cell(row["chance"])
    found = [unknown, chance, *[unknown] * 4]
    if not missing(row["jaccard"]):
        share = interval_cell(
            {**row, "jaccard_low": row["low"], "jaccard_high": row["high"]}, "jaccard"
        )
        how = str(row["how"])
        found = [
            share,
            chance,
            text_cell(row["verdict"], chip=True),
            text_cell(HOW.get(how, how)),
            number_cell(int(row["n_pairs"])),
            number_cell(int(row["n_resamples"])),
        ]
    first = Cell(f"{int(row['k'])} {row['units']}", float(row["k"]))
    why = Cell(_reasons(row))
    seeds = [ABSENT] * 3 if "seed_jaccard" in absent else _seed_cells(row)
    return [text_cell(label or row["method"]), first, *found, *seeds, why]


def _seed_cells(row: dict[Any, Any]) -> list[Cell]:
    """How many seeds, what two of them have in common, and the verdict."""
    if missing(row.get("seed_jaccard")):
        return [Cell(NOT_MEASURED)] * 3
    ends = {f"jaccard{end}": row[f"seed_{name}"] for end, name in SEED_ENDS.items()}
    return [
        number_cell(int(row["n_seeds"])),
        interval_cell(ends, "jaccard"),
        text_cell(row["seed_verdict"], chip=True),
    ]


def _reasons(row: dict[Any, Any]) -> str:
    """Why it was not measured over prompts, and why not over seeds."""
    seeds = row.get("seed_reason")
    reasons = [str(row["reason"]), "" if missing(seeds) or not seeds else f"over seeds: {seeds}"]
    return "; ".join(reason for reason in reasons if reason)
