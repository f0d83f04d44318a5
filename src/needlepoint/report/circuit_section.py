"""What the page shows for one behaviour: heads, methods, faithfulness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from needlepoint.report.blocks import (
    Cell,
    Column,
    FigureBlock,
    PanelBlock,
    TableBlock,
    Tile,
    interval_cell,
    number_cell,
    text_cell,
)
from needlepoint.report.circuit_graph import CircuitGraph
from needlepoint.report.completeness import Completeness
from needlepoint.report.completeness_words import completeness_sentences, minimality_table
from needlepoint.report.edge_tables import SCORE, EdgesPart, edges_part
from needlepoint.report.faithfulness import Faithfulness
from needlepoint.report.head_attention import HeadAttention
from needlepoint.report.head_maps import HeadMap, TopHeads, strongest_heads
from needlepoint.report.literature_table import literature_sentences, literature_table
from needlepoint.report.measured import Measured
from needlepoint.report.method_charts import MethodTable, PrecisionChart, sorted_methods
from needlepoint.report.method_table import method_table
from needlepoint.report.model_graph import ModelGraph
from needlepoint.report.sentences import (
    candidates_sentence,
    chance_sentences,
    faithfulness_sentence,
    method_sentence,
    stability_sentence,
    truth_sentence,
    unmeasured_sentence,
)
from needlepoint.report.stability_table import stability_table, stays_sentence
from needlepoint.report.tables import CellTables
from needlepoint.report.text import interval, missing


@dataclass(frozen=True)
class CircuitSection:
    """Everything the template `circuit.html` needs."""

    id: str
    summary: Mapping[str, Any]
    tiles: list[Tile]
    prompts: TableBlock | None
    head_map: FigureBlock | None
    score_map: FigureBlock | None
    top_heads: FigureBlock | None
    heads: TableBlock | None
    method_charts: list[FigureBlock]
    methods: TableBlock | None
    method_sentence: str
    stability: TableBlock | None
    stays_sentence: str
    literature: TableBlock | None
    literature_sentences: list[str]
    faithfulness: FigureBlock | None
    faithfulness_sentence: str
    completeness: FigureBlock | None
    completeness_sentences: list[str]
    minimality: TableBlock | None
    unmeasured: str
    """Why there is no faithfulness and what to do; empty if there is."""
    stability_sentence: str
    chance_sentences: list[str]
    truth_sentence: str
    edges: EdgesPart
    graph: PanelBlock | None
    attention: PanelBlock | None
    candidates: str
    """Why nothing here is causal, if no head was ablated; empty if heads were."""

    @property
    def blocks(self) -> list[FigureBlock | TableBlock | PanelBlock]:
        """All pieces that give up numbers."""
        single: list[FigureBlock | TableBlock | PanelBlock | None] = []
        single += [self.prompts, self.graph, self.attention, self.head_map, self.score_map]
        single += [self.top_heads, self.heads, self.methods, self.stability, self.literature]
        single += [self.faithfulness, self.completeness, self.minimality]
        return [block for block in [*single, *self.method_charts] if block is not None] + (
            self.edges.blocks
        )


def circuit_section(name: str, summary: Mapping[str, Any], tables: CellTables) -> CircuitSection:
    """Lay out one `circuit` record.

    Args:
        name: An identifier that is safe in HTML, unique in the page.
        summary: The record's summary.
        tables: Its tables; those that are missing or empty leave their places empty.

    Raises:
        StoreError: If a table is damaged, or names a part or a metric that is not known.
    """
    heads, methods = tables.frame("heads"), tables.frame("methods")
    measured, effects = Measured.of(summary), Measured.of_effects(summary)
    columns = [f"{measured.key}_{which}" for which in ("clean", "corrupt")]
    circuit = summary.get("circuit") or {}
    has_effects = len(heads) > 0 and heads["effect"].notna().any()
    judged = len(methods) > 0 and methods["auc"].notna().any()
    charts = [MethodTable(methods), PrecisionChart(methods)] if judged else []
    runs, stable = tables.frame("faithfulness"), tables.frame("stability")
    candidates, unmeasured = candidates_sentence(summary), unmeasured_sentence(summary, runs)
    return CircuitSection(
        id=name,
        summary=summary,
        tiles=_tiles(summary, measured),
        prompts=_prompts_table(name, tables.frame("prompts", *columns), measured),
        head_map=_figure(f"{name}-map", HeadMap(heads, measured=effects)) if has_effects else None,
        score_map=_score_map(name, heads, methods),
        top_heads=_figure(f"{name}-top", TopHeads(heads, effects)) if has_effects else None,
        heads=_heads_table(name, heads, methods, effects),
        method_charts=[_figure(f"{name}-chart{i}", chart) for i, chart in enumerate(charts)],
        methods=method_table(name, methods, tables.absent("methods")),
        method_sentence="" if candidates or methods.empty else method_sentence(methods),
        stability=stability_table(name, stable, methods, tables.absent("stability")),
        stays_sentence="" if stable.empty else stays_sentence(stable, methods, column="In common"),
        literature=literature_table(name, tables.frame("literature")),
        literature_sentences=literature_sentences(summary),
        faithfulness=_figure(
            f"{name}-faith", Faithfulness(runs, circuit.get("size"), _names(methods))
        )
        if not unmeasured
        else None,
        faithfulness_sentence="" if candidates or unmeasured else faithfulness_sentence(circuit),
        completeness=_completeness(name, tables.frame("completeness"), runs, _names(methods)),
        completeness_sentences=[] if unmeasured else completeness_sentences(circuit),
        minimality=minimality_table(name, tables.frame("minimality")),
        unmeasured=unmeasured,
        stability_sentence=stability_sentence(circuit),
        chance_sentences=chance_sentences(summary),
        truth_sentence="" if candidates else truth_sentence(summary),
        edges=edges_part(name, tables, effects),
        graph=_graph(name, summary, tables, effects),
        attention=_attention(name, tables),
        candidates=candidates,
    )


def _figure(name: str, display: Any) -> FigureBlock:
    return FigureBlock(name, [(display.title, display)])


def _completeness(
    name: str, runs: pd.DataFrame, alone: pd.DataFrame, names: Mapping[str, str]
) -> FigureBlock | None:
    """Completeness, then faithfulness, beside both kinds of random circuits.

    The intervals of faithfulness are those of the same circuits in the table `faithfulness`.
    """
    if runs.empty:
        return None
    key = ["size", "kind", "ranked_by", "draw"]
    ends = alone.reindex(columns=[*key, "low", "high"]).astype({"ranked_by": object})
    names_of = {"low": "faithfulness_low", "high": "faithfulness_high"}
    runs = runs.merge(ends.rename(columns=names_of), on=key, how="left")
    displays = [Completeness(runs, names=names), Completeness(runs, "faithfulness", names)]
    choices = [(display.measure, display) for display in displays]
    return FigureBlock(f"{name}-complete", choices, menu="measure")


def _graph(
    name: str, summary: Mapping[str, Any], tables: CellTables, measured: Measured
) -> PanelBlock | None:
    """The layered graph; an earlier version's record may lack what it needs."""
    heads, methods = tables.frame("heads"), tables.frame("methods")
    sizes = {"n_layers": 0, "n_heads": 0, "n_kv_heads": 0}
    if len(heads):
        wide = int(heads["head"].max()) + 1
        sizes = {"n_layers": int(heads["layer"].max()) + 1, "n_heads": wide, "n_kv_heads": wide}
    graph = ModelGraph.of({**sizes, **(summary.get("graph") or {})})
    if graph is None:
        return None
    nodes, edges = tables.frame("nodes"), tables.frame("edges")
    graph.require("nodes", "node", nodes["node"])
    for column in ("writer", "reader"):
        graph.require("edges", column, edges[column])
    display = CircuitGraph(
        graph,
        heads,
        nodes,
        edges,
        tables.frame("faithfulness"),
        tables.frame("curves"),
        _names(methods),
        tables.arrays("edges."),
        (summary.get("circuit") or {}).get("size"),
        measured,
        unmeasured_sentence(summary, tables.frame("faithfulness")),
    )
    return PanelBlock(f"{name}-graph", "graph", display) if display.rankings else None


def _attention(name: str, tables: CellTables) -> PanelBlock | None:
    attention = tables.frame("attention")
    display = HeadAttention(tables.frame("shown_prompts"), attention, tables.frame("codes"))
    return PanelBlock(f"{name}-looks", "attention", display, False) if len(attention) else None


def _tiles(summary: Mapping[str, Any], measured: Measured) -> list[Tile]:
    found = summary.get("behaviour") or {}

    def shown(name: str) -> str:
        return interval(found.get(name), reason=found.get(f"{name}_reason"))

    return [
        Tile("right answers, clean prompts", shown("accuracy_clean"), "share; 1 is all"),
        Tile("right answers, corrupt prompts", shown("accuracy_corrupt"), "the detail is removed"),
        Tile(
            f"{measured.metric}, clean",
            shown(f"{measured.key}_clean"),
            f"{measured.unit}; above 0 the right answer leads",
        ),
        Tile(f"{measured.metric}, corrupt", shown(f"{measured.key}_corrupt"), measured.unit),
    ]


def _labels(methods: pd.DataFrame) -> dict[str, tuple[str, str]]:
    rows = sorted_methods(methods, "auc").to_dict("records")
    return {str(row["method"]): (str(row["label"]), str(row["description"])) for row in rows}


def _names(methods: pd.DataFrame) -> dict[str, str]:
    return {method: label for method, (label, _) in _labels(methods).items()}


def _scores(heads: pd.DataFrame, methods: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Score columns in the order of the methods' AUC, with label and description."""
    labels = _labels(methods)
    present = [column for column in heads.columns if str(column).startswith(SCORE)]
    names = [str(column).removeprefix(SCORE) for column in present]
    order = [name for name in labels if name in names]
    order += [name for name in names if name not in labels]
    return {name: labels.get(name, (name, "")) for name in order}


def _score_map(name: str, heads: pd.DataFrame, methods: pd.DataFrame) -> FigureBlock | None:
    choices = [
        (label, HeadMap(heads, SCORE + method, label, description))
        for method, (label, description) in _scores(heads, methods).items()
        if heads[SCORE + method].notna().any()
    ]
    return FigureBlock(f"{name}-scores", choices, menu="method") if choices else None


def _prompts_table(name: str, prompts: pd.DataFrame, measured: Measured) -> TableBlock | None:
    if prompts.empty:
        return None
    columns = [
        Column("clean prompt", wide=True),
        Column("corrupt prompt", wide=True),
        Column("right"),
        Column("wrong"),
        Column("difference, clean", numeric=True, help=f"{measured.metric} on the clean prompt"),
        Column(
            "difference, corrupt", numeric=True, help=f"{measured.metric} on the corrupt prompt"
        ),
    ]
    rows = [
        [text_cell(row[key]) for key in ("clean", "corrupt", "answer", "wrong")]
        + [
            number_cell(row[f"{measured.key}_{which}"], signed=True)
            for which in ("clean", "corrupt")
        ]
        for row in prompts.to_dict("records")
    ]
    caption = "Prompts and what the model made of them"
    return TableBlock(f"{name}-prompttable", caption, columns, rows, prompts, 4, frozenset({2, 3}))


def _heads_table(
    name: str, heads: pd.DataFrame, methods: pd.DataFrame, measured: Measured
) -> TableBlock | None:
    if heads.empty:
        return None
    scores = _scores(heads, methods)
    known = bool(heads["effect"].notna().any())
    meaning = "negative: the head helps" if measured.directed else "larger: the prediction moves on"
    columns = [
        Column("site"),
        *(
            [
                Column(f"effect ({measured.unit})", numeric=True, help=meaning),
                Column("matters", help="whether the head counts as part of the causal truth"),
            ]
            if known
            else []
        ),
        *[Column(label, numeric=True, help=text) for label, text in scores.values()],
    ]
    ranked = _by_effect(heads) if known else _by_score(heads, methods)
    rows = [
        [
            text_cell(row["site"]),
            *([interval_cell(row, "effect"), _matters(row["matters"])] if known else []),
            *[number_cell(row[SCORE + method], 3) for method in scores],
        ]
        for row in ranked.to_dict("records")
    ]
    caption = "All heads" if known else "All heads, candidates first"
    return TableBlock(
        f"{name}-headtable", caption, columns, rows, ranked, shown=10, code=frozenset({0})
    )


def _by_effect(heads: pd.DataFrame) -> pd.DataFrame:
    ranked = strongest_heads(heads, len(heads))
    return pd.concat([ranked, heads[heads["effect"].isna()]])


def _by_score(heads: pd.DataFrame, methods: pd.DataFrame) -> pd.DataFrame:
    """By the first method that is no control, as the record's answer has it."""
    names = methods.loc[~methods["control"].astype(bool), "method"]
    first = next((SCORE + name for name in names if SCORE + name in heads), None)
    if first is None:
        return heads
    return heads.sort_values(first, ascending=False, kind="stable", na_position="last")


def _matters(value: Any) -> Cell:
    return text_cell(None) if missing(value) else Cell("yes" if value else "no", float(bool(value)))
