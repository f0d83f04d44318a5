"""What the page shows of several compound words: the sum against one neuron, bases, pruning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from needlepoint.report.blocks import FigureBlock, Tile
from needlepoint.report.display import Words
from needlepoint.report.plain_charts import Axis, DotChart, LineChart, dots
from needlepoint.report.study_section import Part, Shown, StudySection, kept, table_block
from needlepoint.report.tables import CellTables
from needlepoint.report.text import number

_F1 = Axis("F1 on test windows", (0.0, 1.04))
_AP = Axis("average precision over single tokens", (0.0, 1.04))
_GAP = Axis("neuron minus random direction, F1", digits=2, reference=0.0, reference_name="0")
_WINDOWS = Words(
    "For each compound the test F1 of the sum and of the best single neuron of the layers "
    "searched, on windows that end in the compound or in one of its words.",
    "1 is perfect; bars are intervals over documents. The table has the difference, its p-value "
    "by swapping the calls of the two document by document, and q-values over the compounds.",
    "Where both are near 1 no difference can be seen, whatever the neurons are.",
)
_TOKENS = Words(
    "For each compound how well all tokens of test windows and of windows of other compounds are "
    "ranked: those that end the compound should come first. No cut is involved.",
    "Chance is the share of such tokens, far below .01. A value near 1 is a neuron, or a sum, that "
    "is highest on the compound and on nothing else in these texts.",
    "Both were chosen on windows that end in one of the words. A neuron chosen on such running "
    "text could do better than this one.",
)
_BASIS = Words(
    "For each layer and compound the test F1 of the best single neuron, less the mean of the best "
    "single directions of random bases, searched and chosen alike.",
    "0 means that neurons are no better than arbitrary directions. Bars are intervals over "
    "documents of that compound.",
    "Where both are near 1 the gap cannot be large.",
)
_PRUNING = Words(
    "The mean over compounds of the test F1 of a probe, as the neuron of it that does best alone "
    "is taken away round after round.",
    "A flat line means that many other neurons can take over. Bars are the least and the most of "
    "any compound.",
    "The order of removal is greedy, and each probe is a heuristic choice among those left.",
)


def compounds_section(name: str, summary: Mapping[str, Any], tables: CellTables) -> StudySection:
    """Lay out one `compounds` record."""
    collection = summary.get("collection") or {}
    verdicts = summary.get("verdicts") or {}
    layers = summary.get("layers") or []
    span = f"{layers[0]} to {layers[-1]}" if layers else "not recorded"
    return StudySection(
        id=name,
        summary=summary,
        lead=str(collection.get("description") or "No description of the windows was recorded."),
        tiles=[
            Tile("compounds", number(summary.get("n_words"))),
            Tile("neurons in a sum", number(summary.get("k"))),
            Tile("layers searched", span),
            *(Tile(str(verdict), number(n), "by rule") for verdict, n in verdicts.items()),
        ],
        parts=[
            _windows_part(name, summary, tables.frame("compounds")),
            _tokens_part(name, summary, tables.frame("compounds")),
            _basis_part(name, summary, tables.frame("bases")),
            _pruning_part(name, summary, tables.frame("pruning")),
        ],
        confounds=list(collection.get("confounds") or ()),
    )


def _windows_part(name: str, summary: Mapping[str, Any], frame: pd.DataFrame) -> Part:
    shown = [
        Shown("word", "compound"),
        Shown("verdict", "by rule", "chip"),
        Shown("sites", "neurons of the sum", "code"),
        Shown("f1", "F1 of the sum", "interval"),
        Shown("neuron", "best neuron", "code"),
        Shown("neuron_f1", "its F1", "interval"),
        Shown("gap", "sum minus neuron", "interval"),
        Shown("q_value", "q", "p", help="Benjamini-Hochberg over the compounds"),
        Shown("summand_f1", "best neuron of the sum", "interval"),
        Shown("last_token_f1", "last token", "number"),
        Shown("random_f1", "random sums", "interval", help="median and 95 % of the draws"),
        Shown("shuffled_p", "p, shuffled labels", "p"),
    ]
    left_out = [f"{one['word']}: {one['reason']}" for one in summary.get("left_out") or ()]
    chart = DotChart(_pairs(frame, "f1"), "Sum and best neuron, windows", _WINDOWS, _F1)
    return Part(
        "windows",
        "Does a sum beat the best single neuron?",
        _finding(summary, "windows"),
        [f"Left out: {one}" for one in left_out],
        figures=[FigureBlock(f"{name}-windows", [(chart.title, chart)])] if len(frame) else [],
        tables=kept(table_block(f"{name}-windows-table", "Compounds", frame, shown, rows=25)),
    )


def _tokens_part(name: str, summary: Mapping[str, Any], frame: pd.DataFrame) -> Part:
    shown = [
        Shown("word", "compound"),
        Shown("ap", "AP of the sum", "interval"),
        Shown("neuron_ap", "AP of the best neuron", "interval"),
        Shown("ap_gap", "sum minus neuron", "interval"),
        Shown("ap_q", "q", "p", help="Benjamini-Hochberg over the compounds"),
        Shown("median_pairs", "pairs a neuron of the sum fires on", "whole"),
        Shown("sum_pairs", "pairs the sum fires on", "whole"),
        Shown("neuron_pairs", "pairs the best neuron fires on", "whole"),
    ]
    chart = DotChart(_pairs(frame, "ap"), "Sum and best neuron, tokens", _TOKENS, _AP)
    return Part(
        "tokens",
        "Which is on for nothing else?",
        _finding(summary, "tokens"),
        figures=[FigureBlock(f"{name}-tokens", [(chart.title, chart)])] if len(frame) else [],
        tables=kept(table_block(f"{name}-tokens-table", "Tokens", frame, shown, rows=25)),
    )


def _basis_part(name: str, summary: Mapping[str, Any], units: pd.DataFrame) -> Part:
    found = summary.get("basis") or {}
    finding = (
        f"Over all layers and compounds the best neuron is ahead of the mean best random "
        f"direction by {number(found.get('gap'), signed=True)} F1 on average; clearly in "
        f"{number(found.get('clear'))} of {number(found.get('n'))}, clearly behind in "
        f"{number(found.get('reversed'))}."
    )
    gaps = units[units["basis"] == "gap"]
    choices = []
    for layer in sorted({int(one) for one in gaps["layer"]}):
        here = gaps[gaps["layer"] == layer]
        rows = dots(
            [
                {"label": row["word"], "series": "gap", "estimate": row["f1"], **_bar(row)}
                for row in here.to_dict("records")
            ]
        )
        title = f"Neuron against random direction, layer {layer}"
        choices.append((f"layer {layer}", DotChart(rows, title, _BASIS, _GAP)))
    figures = [FigureBlock(f"{name}-basis", choices, menu="layer")] if choices else []
    return Part("basis", "Are neurons special?", finding, figures=figures)


def _pruning_part(name: str, summary: Mapping[str, Any], pruned: pd.DataFrame) -> Part:
    found = summary.get("pruned") or {}
    finding = (
        f"After {number(found.get('rounds'))} neurons were taken away the mean test F1 is "
        f"{number(found.get('last'))}, from {number(found.get('first'))}; it fell clearly for "
        f"{number(found.get('lost'))} of {number(summary.get('n_words'))} compounds."
    )
    rows = pruned.groupby("round", as_index=False).agg(
        y=("f1", "mean"), low=("f1", "min"), high=("f1", "max")
    )
    rows = rows.rename(columns={"round": "x"}).assign(series="mean test F1")
    chart = LineChart(rows, "Taking the best neuron away", _PRUNING, _F1, "neurons taken away")
    figures = [FigureBlock(f"{name}-pruning", [(chart.title, chart)])] if len(rows) else []
    shown = [
        Shown("word", "compound"),
        Shown("round", "taken away", "whole"),
        Shown("f1", "test F1", "interval"),
        Shown("change", "change from the first", "interval"),
        Shown("site", "taken away next", "code"),
    ]
    renamed = pruned.rename(columns={"low": "f1_low", "high": "f1_high"})
    table = table_block(f"{name}-pruning-table", "Rounds", renamed, shown)
    return Part("pruning", "How often is it held?", finding, figures=figures, tables=kept(table))


def _pairs(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Two dots for each compound: the sum, and the best single neuron."""
    rows = []
    for row in frame.to_dict("records"):
        for series, column in (("sum", name), ("best neuron", f"neuron_{name}")):
            ends = {end: row[f"{column}_{end}"] for end in ("low", "high")}
            rows.append({"label": row["word"], "series": series, "estimate": row[column], **ends})
    return dots(rows)


def _bar(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {"low": row["low"], "high": row["high"]}


def _finding(summary: Mapping[str, Any], name: str) -> str:
    found = (summary.get("ahead") or {}).get(name) or {}
    return (
        f"By {found.get('measure') or 'what was compared'} the sum is ahead of the best neuron for "
        f"{number(found.get('sum'))} of {number(found.get('n'))} compounds and behind for "
        f"{number(found.get('neuron'))}, at a false discovery rate of "
        f"{number(summary.get('level'))}; mean difference "
        f"{number(found.get('mean_gap'), signed=True)}."
    )
