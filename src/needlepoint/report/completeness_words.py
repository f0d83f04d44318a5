"""What the completeness and the minimality of a circuit of heads say, in words and one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from needlepoint.report.blocks import (
    ABSENT,
    Cell,
    Column,
    TableBlock,
    number_cell,
    sort_key,
    text_cell,
)
from needlepoint.report.text import interval, missing, number, p_value, undefined


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
        f"Completeness of {which}: {interval(judged['completeness'])}. That is the share of the "
        "behaviour that is gone without them: 1 if nothing is left, above 1 if it is reversed.",
        _against("random heads", judged["by_size"])
        + " "
        + _against("random heads, as many in each layer,", judged["by_layer"])
        + " p is the share of circuits, this one counted with the random ones, that are as near "
        "to 1.",
        _needed(judged),
    ]


def _against(what: str, null: Mapping[str, Any]) -> str:
    return (
        f"{number(null['n'])} draws of as many {what} have {interval(null['completeness'])} "
        f"(median and 95 % of them; p {p_value(null['p_completeness'])}), and alone keep "
        f"{interval(null['faithfulness'])} (p {p_value(null['p_faithfulness'])})."
    )


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


def _side(helps: Any) -> Cell:
    """Which way the change was; runs of earlier versions do not say."""
    return ABSENT if missing(helps) else text_cell("helps" if helps else "hinders")


def minimality_table(name: str, needed: pd.DataFrame) -> TableBlock | None:
    """The heads that were taken out, largest change first; nothing if none was."""
    if needed.empty:
        return None
    columns = [
        Column("head"),
        Column("change", numeric=True, help="of faithfulness without the head, either way"),
        Column("p", numeric=True, help="against heads from outside that were put in"),
        Column("needed", help="whether the change is above 95 % of those"),
        Column("the head", help="whether the circuit keeps more of the behaviour with it"),
    ]
    rows = [
        [
            text_cell(row["unit"]),
            number_cell(row["change"], 3),
            Cell(p_value(row["p"]), sort_key(row["p"])),
            text_cell("yes" if row["minimal"] else "not shown"),
            _side(row["helps"]),
        ]
        for row in needed.to_dict("records")
    ]
    caption = "The circuit with one head less"
    return TableBlock(
        f"{name}-needed", caption, columns, rows, needed, shown=10, code=frozenset({0})
    )
