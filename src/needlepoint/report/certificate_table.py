"""Certified probes on a page: every proof with its figures on test texts, and what they come to."""

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
from needlepoint.report.text import missing, number, undefined

NOT_APPLICABLE = Cell("does not apply")
NOT_TRIED = "not tried"
"""Status of what time ran out for."""
_COLUMNS = [
    Column("feature"),
    Column("layer", numeric=True),
    Column("k", numeric=True),
    Column("gamma", numeric=True, help="small values, heavy ridge, make proofs easy"),
    Column("of the paper's gamma", numeric=True, help="the paper takes 1 / sqrt(texts)"),
    Column("status"),
    Column("objective", numeric=True, help="lowest training loss found, penalty included"),
    Column("bound", numeric=True, help="no k neurons of the layer can be below"),
    Column("gap", numeric=True),
    Column("chosen", help="the k and gamma that validation texts chose"),
    Column("validation F1", numeric=True),
    Column("test F1", numeric=True),
    Column("quick search", numeric=True, help="test F1 of its probe of the same k and layer"),
    Column("difference", numeric=True, help="from the quick search, on the same resamples"),
    Column("MCC", numeric=True, help="correlation of calls and labels"),
    Column("AUC", numeric=True),
    Column("shared", numeric=True, help="neurons that the probe of the quick search has too"),
    Column("seconds", numeric=True),
]
OLDER = "An earlier version, which made this run, put no certified probe to the test."


def certificate_table(
    name: str, found: pd.DataFrame, absent: Collection[str] = ()
) -> TableBlock | None:
    """Every certified probe: its proof, which is of the training loss, and its test figures.

    Args:
        name: An identifier that is safe in HTML, unique in the page.
        found: The table `certificates` of a probe record.
        absent: Columns that the run is too old to have.
    """
    if found.empty:
        return None
    rows = [_row(row, absent) for row in found.to_dict("records")]
    caption = "Sparse probes of the chosen layer, and how far each is proved to be the best"
    note = OLDER if absent else ""
    return TableBlock(f"{name}-certificates", caption, _COLUMNS, rows, found, 16, note=note)


def certificate_notes(proofs: pd.DataFrame) -> list[str]:
    """What was proved of the best sparse probes of a feature; nothing if nothing was asked for.

    Example:
        >>> row = {"k": 2, "layer": 3, "status": "exact", "gap": 0.0, "gamma": 0.06, "chosen": True,
        ...     "f1": 0.8, "f1_low": 0.7, "f1_high": 0.9, "sweep_f1": 0.75}
        >>> print(*certificate_notes(pd.DataFrame([row, row | {"chosen": False}])))
        Certificates: the best probes of layer 3 on training texts were sought for 2 sizes and \
ridges; 2 are proved to be the best. Validation texts chose k = 2 at gamma 0.060 (exact): test F1 \
0.80, where the quick search has 0.75 at that size.
    """
    if proofs.empty:
        return []
    rows = [{str(name): value for name, value in row.items()} for row in proofs.to_dict("records")]
    proved = sum(row["status"] == "exact" for row in rows)
    left = sum(row["status"] == NOT_TRIED for row in rows)
    one = len(rows) == 1
    text = (
        f"Certificates: the best {'probe' if one else 'probes'} of layer {rows[0]['layer']} on "
        f"training texts {'was' if one else 'were'} sought for {number(len(rows))} "
        f"{'size and ridge' if one else 'sizes and ridges'}; {number(proved)} "
        f"{'is' if proved == 1 else 'are'} proved to be the best"
        + (f", {number(left)} not tried for lack of time." if left else ".")
    )
    return [" ".join([text, *(_chosen(row) for row in rows if row["chosen"] is True)])]


def _chosen(row: dict[str, Any]) -> str:
    beside = (
        "the quick search made none of that size"
        if missing(row["sweep_f1"])
        else f"where the quick search has {number(row['sweep_f1'])} at that size"
    )
    return (
        f"Validation texts chose k = {row['k']} at gamma {number(row['gamma'], 3)} "
        f"({row['status']}): test F1 {number(row['f1'])}, {beside}."
    )


def _row(row: dict[Any, Any], absent: Collection[str]) -> list[Cell]:
    def kept(column: str, cell: Cell) -> Cell:
        return ABSENT if column in absent else cell

    why = Cell(undefined(row["reason"])) if "reason" not in absent else ABSENT
    return [
        text_cell(row["feature"]),
        *[number_cell(int(row[key])) for key in ("layer", "k")],
        number_cell(row["gamma"], 4),
        kept("ridge", Cell("") if "ridge" in absent else number_cell(int(row["ridge"]))),
        text_cell(row["status"], chip=True),
        *[_known(row[key], why, 4) for key in ("objective", "bound", "gap")],
        kept("chosen", Cell("yes" if row["chosen"] is True else "no")),
        kept("f1_validation", _known(row["f1_validation"], why)),
        kept("f1", interval_cell(row, "f1") if not missing(row["f1"]) else why),
        kept("sweep_f1", _known(row["sweep_f1"], why)),
        kept(
            "difference",
            interval_cell(row, "difference") if not missing(row["difference"]) else why,
        ),
        kept("mcc", _known(row["mcc"], why)),
        kept("auc", _known(row["auc"], why)),
        NOT_APPLICABLE if missing(row["overlap"]) else number_cell(int(row["overlap"])),
        _known(row["seconds"], why, 1),
    ]


def _known(value: Any, why: Cell, digits: int = 2) -> Cell:
    """The number, or why there is none."""
    return why if missing(value) else number_cell(value, digits)
