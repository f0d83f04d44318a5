"""How well methods find what was published of the circuit in the very model that was studied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from needlepoint.report.blocks import Column, TableBlock, interval_cell, number_cell, text_cell
from needlepoint.report.method_table import precision_cell

WEIGHTS = "That the weights of the model are the published ones is not checked."


def literature_table(name: str, literature: pd.DataFrame) -> TableBlock | None:
    """Methods judged by each published list; None where nothing was published.

    Args:
        name: An identifier of the section.
        literature: The table `literature` of a circuit record.
    """
    if literature.empty:
        return None
    columns = [
        Column("list"),
        Column("units", help="heads, or which head feeds which later one"),
        Column("method"),
        Column("AUC", numeric=True, help="what is on the list above what is not; 0.5 is guessing"),
        Column("average precision", numeric=True, help="1: all that is on the list comes first"),
        Column("by chance", numeric=True, help="average precision of a random order"),
        Column("F1", numeric=True, help="of as many of its first units as are on the list"),
        Column("precision at k", numeric=True, help="of as many as are on the list"),
        Column("repo-F1", numeric=True, help="the paper's own F1, at the cut that suits it best"),
    ]
    measures = ("chance_precision", "f1", "precision_at_k", "repo_f1")
    rows = [
        [
            text_cell(row["variant"]),
            text_cell(row["units"]),
            text_cell(row["label"]),
            interval_cell(row, "auc"),
            precision_cell(row),
            *[number_cell(row[measure]) for measure in measures],
        ]
        for row in literature.to_dict("records")
    ]
    caption = "Against the literature"
    table = f"{name}-literaturetable"
    return TableBlock(table, caption, columns, rows, literature, shown=20, choose=0, note=WEIGHTS)


def literature_sentences(summary: Mapping[str, Any]) -> list[str]:
    """What each published list is and where it is from, or why none was taken.

    Example:
        >>> one = {"variant": "wang", "model": "gpt2", "source": "Wang et al.", "n_heads": 26}
        >>> literature_sentences({"literature": [one | {"disputes": ["One head is disputed."]}]})
        ["List 'wang', 26 heads of gpt2: Wang et al. One head is disputed."]
    """
    found = [
        f"List '{one['variant']}', {one['n_heads']} heads of {one['model']}: "
        + " ".join([str(one["source"]).rstrip(".") + ".", *one["disputes"]])
        for one in summary.get("literature") or []
    ]
    reason = summary.get("literature_reason")
    return [*found, str(reason)] if reason else found
