"""What the page shows of edges and nodes: pictures and tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from needlepoint.report.blocks import (
    Cell,
    Column,
    FigureBlock,
    TableBlock,
    interval_cell,
    number_cell,
    text_cell,
)
from needlepoint.report.edge_charts import LeadingEdges
from needlepoint.report.edge_curves import HELPFUL, LARGEST, EdgeCurves
from needlepoint.report.measured import Measured
from needlepoint.report.tables import CellTables
from needlepoint.report.text import NOT_MEASURED, missing, number

SCORE = "score."


@dataclass(frozen=True)
class EdgesPart:
    """The pieces of the part on edges; each is None where the record has nothing for it."""

    sentence: str
    effects: FigureBlock | None
    table: TableBlock | None
    curves: FigureBlock | None
    nodes: TableBlock | None

    @property
    def blocks(self) -> list[FigureBlock | TableBlock]:
        """All pieces that give up numbers."""
        whole = [self.effects, self.table, self.curves, self.nodes]
        return [block for block in whole if block is not None]


def edges_part(name: str, tables: CellTables, measured: Measured) -> EdgesPart:
    """Lay out what a record says of edges, and of nodes other than heads."""
    methods, edges = tables.frame("methods"), tables.frame("edges")
    labels = _labels(methods)
    return EdgesPart(
        edges_sentence(edges, labels),
        _effects(name, edges, methods, measured),
        _edge_table(name, edges, labels, measured),
        _curves(name, tables.frame("curves"), tables.frame("edge_completeness"), methods),
        _node_table(name, tables.frame("nodes"), labels, measured),
    )


def edges_sentence(edges: pd.DataFrame, labels: dict[str, str]) -> str:
    """How many of the patched method's leading edges are confirmed.

    Example:
        >>> row = {"method": "eap", "effect": 1.0, "confirmed": True}
        >>> edges_sentence(pd.DataFrame([row, {**row, "confirmed": False}]), {"eap": "EAP"})
        '1 of the 2 leading edges of EAP is confirmed by cutting it: the interval of its effect \
leaves out zero.'
    """
    known = edges.dropna(subset=["effect"])
    if known.empty:
        return ""
    method = str(known["method"].value_counts(sort=False).idxmax())
    own = known[known["method"] == method]
    n = int(own["confirmed"].astype(bool).sum())
    verb, its = ("is", "it") if n == 1 else ("are", "each of them")
    effect = "its effect leaves" if n == 1 else "the effect leaves"
    return (
        f"{n} of the {len(own)} leading edges of {labels.get(method, method)} {verb} confirmed by "
        f"cutting {its}: the interval of {effect} out zero."
    )


def _labels(methods: pd.DataFrame) -> dict[str, str]:
    return {str(row["method"]): str(row["label"]) for row in methods.to_dict("records")}


def _effects(
    name: str, edges: pd.DataFrame, methods: pd.DataFrame, measured: Measured
) -> FigureBlock | None:
    labels = _labels(methods)
    signed = {row["method"] for row in methods.to_dict("records") if row["signed"] is True}
    counts = edges.dropna(subset=["effect"])["method"].value_counts(sort=False)
    order = sorted(counts.index, key=lambda method: -counts[method])
    choices = [
        (
            labels.get(method, method),
            LeadingEdges(
                edges[edges["method"] == method],
                labels.get(method, method),
                method in signed and measured.directed,
                measured,
            ),
        )
        for method in order
    ]
    return FigureBlock(f"{name}-edgeeffects", choices, menu="method") if choices else None


def _edge_table(
    name: str, edges: pd.DataFrame, labels: dict[str, str], measured: Measured
) -> TableBlock | None:
    if edges.empty:
        return None
    columns = [
        Column("method"),
        Column("rank", numeric=True),
        Column("writer", help="whose output the edge carries"),
        Column("reader", help="which input the edge leads into"),
        Column("score", numeric=True, help="what the method says; units differ between methods"),
        Column(f"effect ({measured.unit})", numeric=True, help="measured by cutting only this"),
        Column("confirmed", help="whether the interval of the effect leaves out zero"),
    ]
    rows = [
        [
            text_cell(labels.get(row["method"], row["method"])),
            number_cell(int(row["rank"])),
            text_cell(row["writer"]),
            text_cell(row["reader"]),
            number_cell(row["score"], 3, signed=True),
            Cell(NOT_MEASURED) if missing(row["effect"]) else interval_cell(row, "effect"),
            _yes(row["confirmed"]),
        ]
        for row in edges.to_dict("records")
    ]
    return TableBlock(
        f"{name}-edgetable",
        "Leading edges",
        columns,
        rows,
        edges,
        shown=10,
        code=frozenset({2, 3}),
        note="The edges of one method were cut one by one; those of the others have an effect "
        "where they are among them.",
        choose=0,
    )


def _yes(value: Any) -> Cell:
    return Cell("") if missing(value) else Cell("yes" if value else "no", float(bool(value)))


def _curves(
    name: str, curves: pd.DataFrame, complete: pd.DataFrame, methods: pd.DataFrame
) -> FigureBlock | None:
    if curves.empty:
        return None
    ranked = methods.sort_values("cpr", ascending=False, na_position="last")
    controls = frozenset(ranked.loc[ranked["control"].astype(bool), "method"])
    shown = set(curves["order"])
    choices = [
        (order, EdgeCurves(curves, order, _labels(ranked), controls))
        for order in (LARGEST, HELPFUL)
        if order in shown
    ]
    if len(complete):
        display = EdgeCurves(complete, LARGEST, _labels(ranked), controls, "completeness")
        choices.append(("without the circuit", display))
    return FigureBlock(f"{name}-edgecurves", choices, menu="order of edges")


def _node_table(
    name: str, nodes: pd.DataFrame, labels: dict[str, str], measured: Measured
) -> TableBlock | None:
    """MLPs and the embedding, if anything is known of them; heads have a table of their own."""
    others = nodes[nodes["kind"] != "head"]
    scores = [str(column) for column in nodes.columns if str(column).startswith(SCORE)]
    known = others["effect"].notna().any()
    if others.empty or not (known or scores):
        return None
    by = "effect" if known else scores[0]
    order = others[by].astype("float64").abs().sort_values(ascending=False, kind="stable").index
    ranked = others.loc[order]
    meaning = "negative: the node helps" if measured.directed else "larger: moves it more"
    names = [labels.get(column.removeprefix(SCORE), column) for column in scores]
    columns = [
        Column("node"),
        *([Column(f"effect ({measured.unit})", numeric=True, help=meaning)] if known else []),
        *[Column(title, numeric=True, help="score of this method") for title in names],
    ]
    rows = [
        [
            text_cell(row["node"]),
            *([interval_cell(row, "effect")] if known else []),
            *[Cell(number(row[score], 3), row[score]) for score in scores],
        ]
        for row in ranked.to_dict("records")
    ]
    return TableBlock(
        f"{name}-nodetable",
        "MLPs and the embedding" if known else "MLPs and the embedding, by score",
        columns,
        rows,
        ranked,
        shown=6,
        code=frozenset({0}),
    )
