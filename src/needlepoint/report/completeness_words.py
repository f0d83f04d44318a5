"""What the completeness and the minimality of a circuit of heads say, in words and one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from needlepoint.report.blocks import Column, TableBlock, number_cell, text_cell
from needlepoint.report.text import interval, number, undefined


def completeness_sentences(circuit: Mapping[str, Any]) -> list[str]:
    """The circuit that is reported against both kinds of random ones, or why that is not known.

    Nothing is said of a record of an earlier version, or of one without a circuit.

    Example:
        >>> completeness_sentences({"size": 3, "judged": None, "judged_reason": "not asked for"})
        ['Not asked for.']
    """
    if "judged" not in circuit:
        return []
    judged = circuit["judged"]
    if judged is None:
        reason = undefined(circuit.get("judged_reason")).removeprefix("not defined: ")
        return [f"{reason[:1].upper()}{reason[1:]}."]
    size = circuit.get("size")
    which = "its only head" if size == 1 else f"the {number(size)} heads"
    return [
        f"Without {which} {interval(judged['completeness'])} of the behaviour is gone. "
        + _against("as many random heads", judged["by_size"])
        + " "
        + _against("as many random heads of each layer", judged["by_layer"]),
        _needed(judged),
    ]


def _against(what: str, null: Mapping[str, Any]) -> str:
    return (
        f"Without {what} it is {interval(null['completeness'])} (p = "
        f"{number(null['p_completeness'])}); alone these keep {interval(null['faithfulness'])} "
        f"(p = {number(null['p_faithfulness'])}). "
    ).strip()


def _needed(judged: Mapping[str, Any]) -> str:
    found = judged.get("minimality")
    if found is None:
        return f"Minimality is {undefined(judged.get('minimality_reason'))}."
    tried, needed = found["n_tried"], found["n_needed"]
    heads = "1 head" if tried == 1 else f"{number(tried)} heads"
    rest = "" if needed == tried else "; the others are not shown to be needed"
    return (
        f"Of {heads} of the circuit taken out of it one by one, "
        f"{number(needed)} changed what it keeps by more than 95 % of "
        f"{number(found['n_outside'])} heads do that were put in from outside "
        f"({number(found['threshold'])}){rest}."
    )


def minimality_table(name: str, needed: pd.DataFrame) -> TableBlock | None:
    """The heads that were taken out, largest change first; nothing if none was."""
    if needed.empty:
        return None
    columns = [
        Column("head"),
        Column("change", numeric=True, help="of faithfulness, when the head is taken out"),
        Column("p", numeric=True, help="against heads from outside that were put in"),
        Column("needed", help="whether the change is above 95 % of those"),
    ]
    rows = [
        [
            text_cell(row["unit"]),
            number_cell(row["change"], 3),
            number_cell(row["p"]),
            text_cell("yes" if row["minimal"] else "not shown"),
        ]
        for row in needed.to_dict("records")
    ]
    caption = "The circuit with one head less"
    return TableBlock(
        f"{name}-needed", caption, columns, rows, needed, shown=10, code=frozenset({0})
    )
