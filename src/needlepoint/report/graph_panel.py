"""The parts of a circuit's graph as the page's script reads them: short lists, by place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from needlepoint.report.model_graph import ModelGraph
from needlepoint.report.text import missing

EFFECTS = ("effect", "effect_low", "effect_high")
_SCORE = "score."


def packed_nodes(marks: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """For each node its name, kind, layer, index, effect with interval, and whether it matters."""
    return [
        [*(row.get(name) for name in ("node", "kind", "layer", "index"))]
        + [_cut(row.get(name)) for name in (*EFFECTS, "matters")]
        for row in marks
    ]


def packed_scores(
    heads: pd.DataFrame, index: Mapping[str, int], names: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """For each method, by its label, the score of each head, by the head's place."""
    nodes = [f"L{row.layer}.H{row.head}" for row in heads.itertuples()]
    found = {}
    for column in heads.columns:
        if str(column).startswith(_SCORE):
            method = str(column).removeprefix(_SCORE)
            values = zip(nodes, heads[column].tolist(), strict=True)
            found[names.get(method, method)] = {
                str(index[node]): _cut(value) for node, value in values
            }
    return found


def packed_edges(
    edges: pd.DataFrame, index: Mapping[str, int], graph: ModelGraph
) -> list[list[Any]]:
    """The leading edges of the method whose edges were cut one by one, or of the first.

    Each is its writer, its reader, the nodes that read through it, its score, its effect with
    interval, and whether that is confirmed.
    """
    if edges.empty:
        return []
    known = edges.dropna(subset=["effect"])
    which = (known if len(known) else edges)["method"].value_counts(sort=False).idxmax()
    found = []
    for row in edges[edges["method"] == which].sort_values("rank").to_dict("records"):
        numbers = [_cut(row.get(name)) for name in ("score", *EFFECTS, "confirmed")]
        joined = [index[name] for name in graph.joined(str(row["reader"])) if name in index]
        found.append([index.get(str(row["writer"])), str(row["reader"]), joined, *numbers])
    return found


def _cut(value: Any) -> Any:
    """A value for JSON, cut to what can be read; None if it is missing."""
    if missing(value):
        return None
    if hasattr(value, "item"):
        value = value.item()
    return float(f"{value:.4g}") if isinstance(value, float) else value
