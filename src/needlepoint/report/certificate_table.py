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
_COLUMNS = [
    Column("feature"),
    Column("layer", numeric=True),
    Column("k", numeric=True),
    Column("gamma", numeric=True, help="small values, heavy ridge, make proofs easy"),
    Column("in units of the paper's", numeric=True),
    Column("status"),
    Column("objective", numeric=True, help="lowest training loss found, penalty included"),
    Column("bound", numeric=True, help="no k neurons of the layer can be below"),
    Column("gap", numeric=True),
    Column("chosen", help="the k and gamma that validation texts chose"),
    Column("validation F1", numeric=True),
    Column("test F1", numeric=True),
    Column("the sweep's", numeric=True, help="test F1 of its probe of the same k and layer"),
    Column("difference", numeric=True, help="from the sweep's, on the same resamples"),
    Column("MCC", numeric=True, help="correlation of calls and labels"),
    Column("AUC", numeric=True),
    Column("shared", numeric=True, help="neurons that the sweep's probe has in common with it"),
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
    caption = "The best sparse probes of the chosen layer, with proof"
    note = OLDER if absent else ""
    return TableBlock(f"{name}-certificates", caption, _COLUMNS, rows, found, 16, note=note)


def certificate_notes(proofs: pd.DataFrame) -> list[str]:
    """What was proved of the best sparse probes of a feature; nothing if nothing was asked for.

    Example:
        >>> row = {"k": 2, "layer": 3, "status": "exact", "gap": 0.0, "gamma": 0.06, "chosen": True,
        ...     "f1": 0.8, "f1_low": 0.7, "f1_high": 0.9, "sweep_f1": 0.75}
        >>> print(*certificate_notes(pd.DataFrame([row, row | {"chosen": False}])))
        Certificates: of 2 probes of layer 3 that are the best of their size and ridge on training \
texts, 2 are proved so. Validation texts chose k = 2 at gamma 0.060 (exact): test F1 0.80, where \
the sweep's probe of that size has 0.75.
    """
    if proofs.empty:
        return []
    rows = [{str(name): value for name, value in row.items()} for row in proofs.to_dict("records")]
    proved = sum(row["status"] == "exact" for row in rows)
    text = (
        f"Certificates: of {number(len(rows))} probes of layer {rows[0]['layer']} that are the "
        f"best of their size and ridge on training texts, {number(proved)} are proved so."
    )
    return [" ".join([text, *(_chosen(row) for row in rows if row["chosen"] is True)])]


def _chosen(row: dict[str, Any]) -> str:
    beside = (
        "the sweep has no probe of that size"
        if missing(row["sweep_f1"])
        else f"where the sweep's probe of that size has {number(row['sweep_f1'])}"
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
