"""What the page shows of several models: means against size, the published curve, differences."""

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

MEASURES = {
    "best": "best neuron of all",
    "matched": "best neuron, equal search",
    "sparse": "sparse probe",
    "sparse_matched": "sparse probe, equal search",
    "best_on_test": "best neuron by test F1 (biased)",
}
_CURVES = Words(
    "The mean test F1 over the features, against the number of neurons of a model, by which models "
    "are put in order here; parameters are in the table below. 'Best neuron of "
    "all' may choose among every neuron; 'equal search' among as many random candidates as the "
    "smallest model has, averaged over all such sets. The published curve stands beside as it was "
    "published, chosen on test.",
    "Bars are intervals over documents. A line that rises only without equal search rises because "
    "there was more to choose from. The biased line chooses on test texts, as the published curve "
    "does: set beside it, the published curve is comparable in that one respect.",
    "The published features, texts and models are others; only the shape can be compared, not the "
    "height.",
)
_SPARSITY = Words(
    "The median over features of the smallest number of neurons whose probe is within one standard "
    "error of the best, by size of the model.",
    "Lower is sparser: fewer neurons are enough.",
    "The grid of k is coarse, and with few texts one standard error is wide and favours small k.",
)
_GAPS = Words(
    "The F1 of the model with more neurons minus that of the other, for each feature, the best "
    "neuron with searches of equal size, on the same resamples of documents.",
    "Right of 0 the model with more neurons is better. Bars that reach 0 show no difference.",
    "One pair of models differs in more than size. Intervals are for each feature by itself.",
)


def scaling_section(name: str, summary: Mapping[str, Any], tables: CellTables) -> StudySection:
    """Lay out one `scaling` record."""
    models = tables.frame("models")
    return StudySection(
        id=name,
        summary=summary,
        lead="The same features are asked of every model. Documents are in the same part for all; "
        "neurons, sparse probes and cuts are chosen on training and validation documents.",
        tiles=[
            Tile("models", number(len(models))),
            Tile("features", number(summary.get("n_features"))),
            Tile("candidates", number(summary.get("candidates")), "in searches of equal size"),
        ],
        parts=[
            _curve_part(name, summary, tables),
            _sparsity_part(name, summary, tables),
            _differences_part(name, tables),
            _features_part(name, tables),
        ],
    )


def _curve_part(name: str, summary: Mapping[str, Any], tables: CellTables) -> Part:
    models, means, published = (tables.frame(one) for one in ("models", "model_means", "published"))
    sizes = dict(zip(models["model"], models["neurons"], strict=True))
    trained = dict(zip(models["model"], models["trained"], strict=True))
    groups = list((summary.get("published") or {}).get("groups") or ())
    choices = []
    for place, collection in enumerate(dict.fromkeys(means["collection"])):
        here = means[means["collection"] == collection]
        lines = _lines(here, sizes, trained)
        group = groups[place] if place < len(groups) else ""
        curve = published[published["group"] == group]
        curve = curve.assign(
            series=f"published: {group}, chosen on test",
            x=curve["neurons"],
            y=curve["f1"],
            low=None,
            high=None,
            name=curve["model"],
        )
        both = pd.concat([lines, curve], ignore_index=True)
        title = f"F1 against size: {str(collection).replace('_', ' ')}"
        chart = LineChart(
            both, title, _CURVES, Axis("mean test F1", _around(both)), "neurons", logarithmic=True
        )
        choices.append((str(collection), chart))
    found = summary.get("published") or {}
    notes = [f"Published curve: {found.get('source', 'source not recorded')}."]
    shown = [
        Shown("model", "model"),
        Shown("parameters", "parameters", "whole"),
        Shown("neurons", "neurons", "whole"),
        Shown("layers", "layers", "whole"),
        Shown("d_model", "width", "whole"),
    ]
    return Part(
        "curve",
        "Does F1 rise with size?",
        notes=[*notes, *found.get("differences", [])],
        figures=[FigureBlock(f"{name}-curves", choices, menu="collection")] if choices else [],
        tables=kept(
            table_block(f"{name}-models", "The models", models, shown),
            table_block(
                f"{name}-means",
                "Means over features",
                means.assign(measure=means["measure"].map(MEASURES)),
                [
                    Shown("model", "model"),
                    Shown("collection", "collection"),
                    Shown("measure", "measure"),
                    Shown("f1", "mean test F1", "interval"),
                ],
            ),
        ),
    )


def _around(lines: pd.DataFrame) -> tuple[float, float]:
    """The part of the axis on which scores lie, for lines that are close together."""
    values = pd.to_numeric(pd.concat([lines["low"], lines["high"], lines["y"]]), errors="coerce")
    return max(0.0, float(values.min()) - 0.04), min(1.04, float(values.max()) + 0.04)


def _sparsity_part(name: str, summary: Mapping[str, Any], tables: CellTables) -> Part:
    models = tables.frame("models")
    sizes = dict(zip(models["model"], models["neurons"], strict=True))
    trained = dict(zip(models["model"], models["trained"], strict=True))
    rows = [
        {
            "series": f"{one['collection']}, {words}"
            f"{'' if trained.get(one['model'], True) else ', untrained'}",
            "x": sizes.get(one["model"]),
            "y": one.get(key),
            "low": None,
            "high": None,
            "name": one["model"],
        }
        for one in summary.get("sparsity") or []
        for key, words in (("median_k", "all neurons"), ("median_k_matched", "equal search"))
    ]
    frame = pd.DataFrame(rows, columns=["series", "x", "y", "low", "high", "name"])
    chart = LineChart(
        frame, "Neurons that are enough", _SPARSITY, Axis("median k"), "neurons", logarithmic=True
    )
    shown = [
        Shown("model", "model"),
        Shown("collection", "collection"),
        Shown("median_k", "median k", "number", 1),
        Shown("median_k_matched", "median k, equal search", "number", 1),
        Shown("one_neuron", "features with k = 1", "whole"),
        Shown("median_depth", "median depth of the best neuron", "number"),
    ]
    table = table_block(
        f"{name}-sparsity-table", "Sparsity", pd.DataFrame(summary.get("sparsity") or []), shown
    )
    figures = [FigureBlock(f"{name}-sparsity-figure", [(chart.title, chart)])] if rows else []
    return Part("sparsity", "Are features sparser?", figures=figures, tables=kept(table))


def _differences_part(name: str, tables: CellTables) -> Part:
    gaps = tables.frame("model_differences")
    shown_gaps = gaps[gaps["measure"] == "matched"]
    choices = []
    for (collection, large, small), here in shown_gaps.groupby(
        ["collection", "larger", "smaller"], sort=False
    ):
        rows = [
            {
                "label": row["feature"],
                "series": "difference",
                "estimate": row["difference"],
                "low": row["difference_low"],
                "high": row["difference_high"],
            }
            for row in here.to_dict("records")
        ]
        axis = Axis("difference of F1", None, 0.0, "no difference")
        chart = DotChart(dots(rows), f"{large} minus {small}: {collection}", _GAPS, axis)
        choices.append((f"{collection}: {large} minus {small}", chart))
    means = gaps[gaps["feature"] == "mean"]
    clear = means[(means["difference_low"] > 0) | (means["difference_high"] < 0)]
    finding = (
        f"Of {number(len(means))} mean differences between two models, {number(len(clear))} have "
        "an interval that leaves out 0."
        if len(means)
        else "With one model there is no difference to show."
    )
    shown = [
        Shown("collection", "collection"),
        Shown("larger", "larger"),
        Shown("smaller", "smaller"),
        Shown("measure", "measure"),
        Shown("difference", "mean difference of F1", "interval"),
    ]
    table = table_block(
        f"{name}-gaps",
        "Mean differences",
        means.assign(measure=means["measure"].map(MEASURES)),
        shown,
    )
    figures = [FigureBlock(f"{name}-gaps-figure", choices, menu="pair")] if choices else []
    return Part("differences", "Do models differ?", finding, figures=figures, tables=kept(table))


def _features_part(name: str, tables: CellTables) -> Part:
    shown = [
        Shown("feature", "feature"),
        Shown("model", "model"),
        Shown("site", "best neuron", "code"),
        Shown("sign", "sign", "whole"),
        Shown("best", "test F1, best neuron", "interval"),
        Shown("matched", "equal search", "interval"),
        Shown("sparse", "sparse probe", "interval"),
        Shown("k", "its k", "whole"),
        Shown("baseline_f1", "all positive", "number"),
    ]
    scores = tables.frame("model_scores").sort_values(["collection", "feature"], kind="stable")
    table = table_block(f"{name}-features-table", "Every feature in every model", scores, shown)
    return Part("features", "Every feature", tables=kept(table))


def _lines(means: pd.DataFrame, sizes: Mapping[str, int], trained: Mapping[str, bool]) -> Any:
    """One line for each measure over trained models, and one for the untrained ones."""
    rows = []
    for row in means.to_dict("records"):
        model, words = str(row["model"]), MEASURES[str(row["measure"])]
        if not trained.get(model, True):
            if row["measure"] != "best":
                continue
            words = f"{words}, untrained"
        rows.append(
            {
                "series": words,
                "x": sizes.get(model),
                "y": row["f1"],
                "low": row["f1_low"],
                "high": row["f1_high"],
                "name": model,
            }
        )
    return pd.DataFrame(rows, columns=["series", "x", "y", "low", "high", "name"])
