"""The table of test results by the number of neurons read, at both cuts."""

from __future__ import annotations

import pandas as pd

from needlepoint.report.blocks import (
    Column,
    TableBlock,
    interval_cell,
    number_cell,
    text_cell,
)

_AT_ZERO = "with log-odds cut at 0, as in the paper"
_COLUMNS = [
    Column("feature"),
    Column("k", numeric=True, help="neurons read; the last row of a feature reads a whole layer"),
    Column("layer", numeric=True, help="the best for this k on validation texts"),
    Column("validation F1", numeric=True),
    Column("test F1", numeric=True, help="at the cut chosen on validation texts, as the next four"),
    Column("precision", numeric=True),
    Column("recall", numeric=True),
    Column("MCC", numeric=True, help="correlation of calls and labels"),
    Column("balanced accuracy", numeric=True, help="mean of the shares of each class called right"),
    Column("AUC", numeric=True),
    Column("average precision", numeric=True),
    Column("F1 at 0", numeric=True, help=_AT_ZERO),
    Column("precision at 0", numeric=True, help=_AT_ZERO),
    Column("recall at 0", numeric=True, help=_AT_ZERO),
    Column("MCC at 0", numeric=True, help=_AT_ZERO),
    Column("balanced accuracy at 0", numeric=True, help=_AT_ZERO),
]
_RANKED = ("balanced_accuracy", "auc", "average_precision")
_ZERO = ("precision_zero", "recall_zero", "mcc_zero", "balanced_accuracy_zero")


def by_k_table(name: str, found: pd.DataFrame) -> TableBlock | None:
    """Every score of the probes of each k on test texts; None for runs that did not test them.

    Args:
        name: An identifier that is safe in HTML, unique in the page.
        found: The table `tests_by_k` of a probe record.
    """
    if found.empty:
        return None
    rows = [
        [
            text_cell(row["feature"]),
            *[number_cell(int(row[key])) for key in ("k", "layer")],
            number_cell(row["f1_validation"]),
            interval_cell(row, "f1"),
            *[number_cell(row[key]) for key in ("precision", "recall")],
            interval_cell(row, "mcc"),
            *[number_cell(row[key]) for key in _RANKED],
            interval_cell(row, "f1_zero"),
            *[number_cell(row[key]) for key in _ZERO],
        ]
        for row in found.to_dict("records")
    ]
    caption = "Test results by the number of neurons read"
    return TableBlock(f"{name}-byktable", caption, _COLUMNS, rows, found, 16, choose=0)
