"""What the page shows of context neurons: by text, by token, switched off, which tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from needlepoint.report.blocks import FigureBlock, Tile, sort_key
from needlepoint.report.display import Words
from needlepoint.report.plain_charts import Axis, BoxChart, DotChart, dots
from needlepoint.report.study_section import Part, Shown, StudySection, kept, table_block
from needlepoint.report.tables import CellTables
from needlepoint.report.text import missing, number

_SCORES = Words(
    "For each class the neuron that was chosen for it: how well its mean over a text tells the "
    "class (test F1), and how well its value on one single token does.",
    "1 is perfect; bars are intervals over documents. A neuron whose two marks lie far apart tells "
    "texts, but is no switch that is on throughout them.",
    "A token that occurs in all languages, such as a digit, cannot be told by anything.",
)
_BOXES = Words(
    "The neuron's value on every test token, by the class of the text. Boxes hold the middle half, "
    "the line is the median, whiskers reach from 0.5 % to 99.5 % of the tokens.",
    "A context neuron has a box for its own class (blue) that hardly overlaps the others.",
    "Values are those after the nonlinearity, turned so that high means the class; in gated models "
    "they are products of two factors.",
)
_ABLATED = Words(
    "What it does to the loss on next tokens when the neuron is set to its mean over the training "
    "texts, on texts of each class; beside it the same for random neurons that write as much.",
    "Right of 0 is worse. The neuron matters for its own class in particular if its own texts are "
    "hurt, by more than random neurons hurt them, and the others are not.",
    "Few texts of each class were tried. A neuron can carry a class and matter little, where "
    "others carry it too.",
)


def context_section(name: str, summary: Mapping[str, Any], tables: CellTables) -> StudySection:
    """Lay out one `context` record."""
    collection, classes = summary.get("collection") or {}, summary.get("classes") or []
    split = collection.get("split") or {}
    saturated = [one for one in classes if one.get("saturated")]
    return StudySection(
        id=name,
        summary=summary,
        lead=f"{collection.get('description') or 'No description was recorded.'} Source: "
        f"{collection.get('source') or 'not recorded'}.",
        tiles=[
            Tile("classes", number(collection.get("n_features"))),
            Tile(
                "texts",
                number(collection.get("n_examples")),
                ", ".join(f"{number(split[part])} {part}" for part in split),
            ),
            Tile("context neurons", number(_count(classes, "context neuron")), "token AUC from .9"),
            Tile("saturated", number(len(saturated)), "several neurons with F1 = 1"),
        ],
        parts=[
            _neurons_part(name, classes, tables),
            _tokens_part(name, classes, tables),
            _ablation_part(name, classes, tables),
            _effects_part(name, tables),
        ],
        confounds=list(collection.get("confounds") or ()),
    )


def _neurons_part(name: str, classes: Sequence[Mapping[str, Any]], tables: CellTables) -> Part:
    neurons = tables.frame("class_neurons")
    neurons = neurons.sort_values("token_auc", ascending=False, kind="stable")
    chart = _scores_chart(neurons)
    verdicts = {str(one["feature"]): one.get("verdict") for one in classes}
    shown = [
        Shown("feature", "class"),
        Shown("verdict", "verdict", "chip"),
        Shown("signed", "neuron", "code", help="\u2212 in front: low on the class"),
        Shown("f1", "test F1, text", "interval"),
        Shown("token_auc", "test AUC, token", "interval"),
        Shown("p_value", "p", "p", help="against the largest of all neurons on shuffled labels"),
        Shown("n_perfect", "perfect", "whole", help="neurons with F1 = 1 on validation texts"),
        Shown("token_f1", "test F1, token", "interval"),
    ]
    signs = neurons["sign"].map({1: "+", -1: "\u2212"}).fillna("")
    listed = neurons.assign(
        verdict=neurons["feature"].map(verdicts), signed=signs + neurons["site"].astype(str)
    )
    perfect = [one for one in classes if one.get("saturated")]
    finding = (
        f"Warning: for {number(len(perfect))} of {number(len(classes))} classes several neurons "
        "have an F1 of 1 on validation texts. Means over texts saturate; being perfect names no "
        "neuron."
        if perfect
        else "No class has several neurons with an F1 of 1 on validation texts."
    )
    return Part(
        "neurons",
        "Which neuron tells each class?",
        finding,
        figures=[FigureBlock(f"{name}-scores", [(chart.title, chart)])] if len(neurons) else [],
        tables=kept(table_block(f"{name}-neurons-table", "The neurons", listed, shown)),
    )


def _scores_chart(neurons: pd.DataFrame) -> DotChart:
    rows = [
        {
            "label": row["feature"],
            "series": words,
            "estimate": row[column],
            "low": row[f"{column}_low"],
            "high": row[f"{column}_high"],
        }
        for row in neurons.to_dict("records")
        for column, words in (("f1", "mean over a text, F1"), ("token_f1", "one token, F1"))
    ]
    axis = Axis("F1 on test texts", (0.0, 1.04))
    return DotChart(dots(rows), "By text and by token", _SCORES, axis)


def _tokens_part(name: str, classes: Sequence[Mapping[str, Any]], tables: CellTables) -> Part:
    values = tables.frame("token_values")
    sites = {str(one["feature"]): str(one["site"]) for one in classes}
    order = sorted(classes, key=lambda one: -_auc(one))
    choices = []
    for one in order:
        feature = str(one["feature"])
        own = values[values["feature"] == feature]
        boxes = own.assign(label=own["texts"], strong=own["texts"] == feature)
        boxes = boxes.sort_values("p50", ascending=False)
        chart = BoxChart(
            boxes[["label", "p0_5", "p25", "p50", "p75", "p99_5", "strong"]],
            f"{sites[feature]} on the tokens of each class: {feature}",
            _BOXES,
            Axis("value of the neuron", reference=0.0, reference_name="0"),
        )
        if len(boxes):
            choices.append((feature, chart))
    own_highest = sum(
        one.get("median_own") is not None
        and one.get("median_highest_other") is not None
        and one["median_own"] > one["median_highest_other"]
        for one in classes
    )
    finding = (
        f"For {number(own_highest)} of {number(len(classes))} classes the neuron's median is "
        "higher on tokens of its own class than on those of any other."
    )
    figures = [FigureBlock(f"{name}-boxes", choices, menu="class")] if choices else []
    return Part("tokens", "Is it on throughout?", finding, figures=figures)


def _ablation_part(name: str, classes: Sequence[Mapping[str, Any]], tables: CellTables) -> Part:
    ablation = tables.frame("class_ablation")
    surest = [str(one["feature"]) for one in sorted(classes, key=lambda one: -_auc(one))]
    tried = set(ablation["feature"])
    choices = [(one, _ablation_chart(ablation, one)) for one in surest if one in tried]
    gaps = [one["gap"] for one in classes if isinstance(one.get("gap"), Mapping)]
    worse = [gap for gap in gaps if not missing(gap.get("low")) and gap["low"] > 0]
    finding = (
        f"For {number(len(worse))} of {number(len(gaps))} neurons tried, the loss on texts of "
        "their own class rises clearly more than with random neurons that write as much."
    )
    shown = [
        Shown("feature", "neuron of"),
        Shown("site", "neuron", "code"),
        Shown("texts", "texts of"),
        Shown("zero", "set to 0", "interval", 3),
        Shown("mean", "set to its mean", "interval", 3),
        Shown("random", "random neurons", "interval", 3),
        Shown("gap", "mean minus random", "interval", 3),
    ]
    own = ablation[ablation["own"].astype(bool)] if len(ablation) else ablation
    return Part(
        "ablation",
        "Does it do anything?",
        finding,
        figures=[FigureBlock(f"{name}-ablation-figure", choices, menu="neuron of")]
        if choices
        else [],
        tables=kept(
            table_block(f"{name}-own", "On texts of their own class", own, shown),
            table_block(f"{name}-every", "On texts of every class", ablation, shown, rows=6),
        ),
    )


def _ablation_chart(ablation: pd.DataFrame, feature: str) -> DotChart:
    """What switching off the neuron of one class does to texts of each, its own first."""
    own = ablation[ablation["feature"] == feature].sort_values("own", ascending=False)
    rows = [
        {
            "label": f"{row['texts']}{' (own)' if row['own'] else ''}",
            "series": words,
            "estimate": row[column],
            "low": row[f"{column}_low"],
            "high": row[f"{column}_high"],
        }
        for row in own.to_dict("records")
        for column, words in (("mean", "the neuron"), ("random", "random neurons, mean"))
    ]
    axis = Axis("increase of the loss, nats per token", None, 0.0, "no change", digits=4)
    return DotChart(dots(rows), f"Switching off {own['site'].iloc[0]}: {feature}", _ABLATED, axis)


def _effects_part(name: str, tables: CellTables) -> Part:
    effects = tables.frame("token_effects")
    pieces = {one: effects[one].map(_marked) for one in ("before", "token")}
    marked = effects.assign(**pieces)
    shown = [
        Shown("feature", "neuron of"),
        Shown("direction", "gets"),
        Shown("before", "after", "code"),
        Shown("token", "next token", "code"),
        Shown("change", "change of its loss, nats", "signed"),
    ]
    order = marked.sort_values("change", ascending=False, key=lambda column: column.abs())
    table = table_block(
        f"{name}-effects-table", "Next tokens that change most on texts of the class", order, shown
    )
    finding = (
        "With the neuron set to its mean, these tokens of texts of its class got harder (worse) or "
        "easier (better) to predict. The texts are few: a name that comes up in one of them says "
        "little about the class."
        if len(effects)
        else ""
    )
    return Part("effects", "Which next tokens change?", finding, tables=kept(table))


def _count(classes: Sequence[Mapping[str, Any]], verdict: str) -> int:
    return sum(one.get("verdict") == verdict for one in classes)


def _auc(one: Mapping[str, Any]) -> float:
    value = sort_key((one.get("token_auc") or {}).get("estimate"))
    return 0.0 if value is None else value


def _marked(text: str) -> str:
    """A token with its spaces and line ends seen."""
    return str(text).replace(" ", "\u2423").replace("\n", "\u21b5")
