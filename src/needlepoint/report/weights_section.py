"""What the page shows of weights by depth: percentiles of each statistic, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from needlepoint.report.blocks import FigureBlock, Tile
from needlepoint.report.display import Words
from needlepoint.report.plain_charts import Axis, BoxChart, LineChart
from needlepoint.report.study_section import Part, Shown, StudySection, kept, table_block
from needlepoint.report.tables import CellTables
from needlepoint.report.text import interval, number, undefined

_MEDIANS = Words(
    "The median over the neurons of each layer, with bars from the 20 % to the 80 % point, from "
    "the first layer (0) to the last (1). Beside it an untrained copy of the model.",
    "What the untrained line has too comes from how weights are drawn, not from training.",
    "A median hides single neurons; the boxes below show how far they spread.",
)
_BOXES = Words(
    "How the neurons of each layer are spread: the box from the 20 % to the 80 % point, the "
    "median, and whiskers from 0.5 % to 99.5 %.",
    "Layers run from top to bottom. Blue is the layer with the largest absolute median.",
    "Weights say nothing of how often a neuron is used.",
)
_FOLDS = {
    "folded": "the gain and shift of the norm before the MLP are folded into what neurons read",
    "centred": "gain and shift of the norm are folded in, and each column's mean is taken off",
    "raw": "weights are as they are stored, the norm before the MLP left out",
}


def weights_section(name: str, summary: Mapping[str, Any], tables: CellTables) -> StudySection:
    """Lay out one `weights` record."""
    frame = tables.frame("depth_weights")
    fold = str(summary.get("fold"))
    parts = [_norm_bias_part(name, summary, frame), _others_part(name, summary, frame)]
    return StudySection(
        id=name,
        summary=summary,
        lead=f"Read off the weights alone; {_FOLDS.get(fold, 'folding not recorded')}.",
        tiles=[
            Tile("layers", number(summary.get("n_layers"))),
            Tile("neurons", number(summary.get("n_neurons"))),
            Tile("statistics", number(len(summary.get("curves") or {}))),
        ],
        parts=parts,
    )


def _norm_bias_part(name: str, summary: Mapping[str, Any], frame: pd.DataFrame) -> Part:
    gap = summary.get("norm_bias_early_minus_late")
    reason = summary.get("norm_bias_early_minus_late_reason")
    shape = str(summary.get("published_shape") or "")
    notes = [f"Published: {shape}"] if shape else []
    title = "Input norm times bias"
    if not isinstance(gap, Mapping):
        return Part(
            "norm",
            title,
            f"Input norm times bias is {undefined(reason)}.",
            notes,
            tables=kept(_table(f"{name}-norm-table", frame, "input_norm", "Input norm by layer")),
        )
    finding = f"First quarter of the layers minus the last: {interval(gap)}."
    figures = _figures(f"{name}-norm", frame, [("norm_bias", title)])
    table = _table(f"{name}-norm-table", frame, "norm_bias", f"{title} by layer")
    return Part("norm", title, finding, notes, figures=figures, tables=kept(table))


def _others_part(name: str, summary: Mapping[str, Any], frame: pd.DataFrame) -> Part:
    curves = summary.get("curves") or {}
    there = [one for one in dict.fromkeys(frame["statistic"]) if one != "norm_bias"]
    named = [(str(one), str((curves.get(one) or {}).get("label", one))) for one in there]
    rows = [
        {"statistic": label, **{key: (curves.get(one) or {}).get(key) for key in _CURVE}}
        for one, label in named
    ]
    shown = [
        Shown("statistic", "median of"),
        Shown("early", "first quarter of layers", "number", 3),
        Shown("late", "last quarter", "number", 3),
        Shown("least", "least in any layer", "number", 3),
        Shown("least_layer", "that layer", "whole"),
        Shown("untrained", "untrained copy", "number", 3),
    ]
    table = table_block(f"{name}-curves", "Medians", pd.DataFrame(rows), shown)
    return Part(
        "others",
        "Norms and angles by depth",
        figures=_figures(f"{name}-others", frame, named),
        tables=kept(table),
    )


_CURVE = ("early", "late", "least", "least_layer", "untrained")


def _figures(name: str, frame: pd.DataFrame, named: list[tuple[str, str]]) -> list[FigureBlock]:
    lines, boxes = [], []
    for statistic, label in named:
        here = frame[frame["statistic"] == statistic]
        if here.empty:
            continue
        points = here.assign(series=here["weights"], x=here["depth"], y=here["p50"])
        points = points.assign(low=here["p20"], high=here["p80"], name=_layer_names(here))
        axis = Axis(label, digits=3, reference=0.0, reference_name="0")
        lines.append(
            (label, LineChart(points, f"Median by depth: {label}", _MEDIANS, axis, "depth"))
        )
        own = here[here["weights"] == "trained"]
        strong = own["p50"].abs() == own["p50"].abs().max()
        box = own.assign(label=_layer_names(own), strong=strong, p25=own["p20"], p75=own["p80"])
        columns = ["label", "p0_5", "p25", "p50", "p75", "p99_5", "strong"]
        boxes.append((label, BoxChart(box[columns], f"Spread by layer: {label}", _BOXES, axis)))
    if not lines:
        return []
    return [
        FigureBlock(f"{name}-lines", lines, menu="statistic"),
        FigureBlock(f"{name}-boxes", boxes, menu="statistic"),
    ]


def _table(name: str, frame: pd.DataFrame, statistic: str, caption: str) -> Any:
    shown = [Shown("layer", "layer", "whole"), Shown("depth", "depth", "number")]
    shown += [
        Shown(f"p{point}", title, "number", 3)
        for point, title in (
            ("0_5", "0.5 %"),
            ("20", "20 %"),
            ("50", "median"),
            ("80", "80 %"),
            ("99_5", "99.5 %"),
        )
    ]
    shown.append(Shown("scaled", "median over largest", "number"))
    here = frame[(frame["statistic"] == statistic) & (frame["weights"] == "trained")]
    return table_block(name, caption, here, shown, rows=8)


def _layer_names(frame: pd.DataFrame) -> list[str]:
    return [f"layer {layer}" for layer in frame["layer"]]
