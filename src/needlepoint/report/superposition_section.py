"""What the page shows of a compound word: the sum, what else fires, bases, pruning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from needlepoint.report.blocks import FigureBlock, Tile
from needlepoint.report.display import Words
from needlepoint.report.plain_charts import Axis, DotChart, LineChart, dots
from needlepoint.report.study_section import Part, Shown, StudySection, kept, table_block
from needlepoint.report.tables import CellTables
from needlepoint.report.text import interval, number, p_value

_F1 = Axis("F1 on test windows", (0.0, 1.04))
_SUMS = Words(
    "How well each probe tells the compound from its words on windows that nothing was chosen on: "
    "the sum, the same neurons with fitted weights, each of them alone, the best single neuron of "
    "the layers searched, and rules that read no model.",
    "1 is perfect; bars are intervals over documents. The sum is worth its neurons if its dot lies "
    "clearly right of theirs. 'Random sums' is the middle of sums of as many random neurons with "
    "the range of 95 % of them; 'shuffled' is the whole search on labels given to other documents.",
    "All windows end in one of the two words, so that little has to be told apart. A high F1 here "
    "does not mean that the sum is silent elsewhere: see what else fires.",
)
_PAIRS = Words(
    "On every token of test windows and of windows of other compounds: on how many different "
    "pairs of tokens, other than the compound, each neuron passes its cut.",
    "A dot far to the right is a neuron that answers to many things. The sum answers to few if its "
    "dot is far to the left.",
    "The cuts were chosen on windows that end in one of the words, where the compound is far more "
    "frequent than in running text.",
)
_UNITS = Words(
    "For each layer the test F1 of the best single neuron, and the mean of the best single "
    "directions of random orthogonal bases of the same neurons, searched and chosen alike.",
    "If the two lines run together, neurons are no better than arbitrary directions for this "
    "compound. The table gives the gap with an interval over documents.",
    "Where both are near 1 the gap cannot be large, whatever the basis.",
)
_PATHS = Words(
    "How well a probe tells the compound when it may read k neurons, or k directions of a random "
    "basis. Each point is on test windows; the ridge and the cut are chosen on validation windows.",
    "A gap at small k that closes as k grows means that neurons hold the feature in fewer numbers. "
    "Bars reach from the least to the most of the random bases drawn.",
    "All probes of one layer see the same information in the end; only small k can tell bases "
    "apart.",
)
_PRUNED = Words(
    "A probe is fitted, the neuron of it that does best alone on validation windows is taken away "
    "for good, and a probe is fitted on the rest, round after round.",
    "A flat line means that many other neurons can take over: the feature is held more than once.",
    "The order of removal is greedy, and each probe is a heuristic choice among those left.",
)
OWN = "the sum itself"


def superposition_section(
    name: str, summary: Mapping[str, Any], tables: CellTables
) -> StudySection:
    """Lay out one `superposition` record."""
    total = summary.get("sum") or {}
    collection = summary.get("collection") or {}
    return StudySection(
        id=name,
        summary=summary,
        lead=str(collection.get("description") or "No description of the windows was recorded."),
        tiles=[
            Tile("F1 of the sum", interval(total.get("f1")), "on test windows"),
            Tile("layer", number(total.get("layer")), f"of {_layers(summary)} searched"),
            Tile("verdict", str(summary.get("verdict") or "not recorded")),
            Tile("windows", number(collection.get("n_examples")), _parts(summary)),
        ],
        parts=[
            _sum_part(name, summary, tables),
            _firing_part(name, summary, tables),
            _basis_part(name, summary, tables),
            _pruning_part(name, summary, tables),
        ],
        confounds=list(collection.get("confounds") or ()),
    )


def _sum_part(name: str, summary: Mapping[str, Any], tables: CellTables) -> Part:
    sums = tables.frame("sums")
    rows = [
        {
            "label": _called(row),
            "series": "F1",
            "estimate": row["f1"],
            "low": row["f1_low"],
            "high": row["f1_high"],
        }
        for row in sums.to_dict("records")
    ]
    for key, words in (("random_sums", "random sums"), ("shuffled", "shuffled labels")):
        found = (summary.get(key) or {}).get("f1")
        if found:
            rows.append({"label": words, "series": "F1", **found})
    chart = DotChart(dots(rows), "How well the sum and its rivals tell the compound", _SUMS, _F1)
    shown = [
        Shown("probe", "probe"),
        Shown("sites", "neurons", "code"),
        Shown("sign", "sign", "whole", help="of a single neuron: 1 higher on the compound"),
        Shown("f1", "test F1", "interval"),
        Shown("auc", "test AUC", "interval"),
        Shown("gap", "sum's F1 minus this", "interval", nothing=OWN),
        Shown(
            "gap_p",
            "p",
            "p",
            help="swapping the calls of the two document by document",
            nothing=OWN,
        ),
    ]
    random, shuffled = (summary.get(key) or {} for key in ("random_sums", "shuffled"))
    finding = (
        f"Of {number(random.get('n'))} sums of random neurons of the layer and "
        f"{number(shuffled.get('n'))} searches on shuffled labels, the share with an AUC as high "
        f"as the sum's gives p {_p(random)} and {_p(shuffled)}."
    )
    return Part(
        "sum",
        "Do a few neurons together tell the compound?",
        finding,
        figures=[FigureBlock(f"{name}-sums", [(chart.title, chart)])] if rows else [],
        tables=kept(
            table_block(
                f"{name}-sums-table",
                "All probes on test windows",
                sums,
                shown,
                absent=tables.absent("sums"),
            )
        ),
    )


def _firing_part(name: str, summary: Mapping[str, Any], tables: CellTables) -> Part:
    firing, pairs = tables.frame("firing"), tables.frame("firing_pairs")
    rows = [
        {"label": row["site"], "series": "pairs", "estimate": row["pairs"]}
        for row in firing.to_dict("records")
    ]
    axis = Axis("different pairs of tokens other than the compound", digits=0)
    chart = DotChart(dots(rows), "What else the neurons fire on", _PAIRS, axis)
    found = summary.get("firing") or {}
    finding = (
        f"Of {number(found.get('tokens'))} tokens, a neuron of the sum fires on "
        f"{number(found.get('median_pairs'), 0)} different pairs of tokens other than the "
        f"compound (median); the sum on {number(found.get('sum_pairs'))}. The share of "
        f"the tokens it fires on that end the compound is {number(found.get('sum_precision'))} for "
        f"the sum and {number(found.get('median_precision'))} for a neuron (median)."
    )
    counts = [
        Shown("site", "what fires", "code"),
        Shown("fires", "fires on tokens", "whole"),
        Shown("precision", "of these the compound", "number"),
        Shown("pairs", "different other pairs", "whole"),
        Shown(
            "ap",
            "average precision",
            "interval",
            help="of all tokens, without a cut; intervals of what is compared alone",
            bare="interval not measured",
        ),
    ]
    listed = [
        Shown("site", "what fires", "code"),
        Shown("before", "token before", "code"),
        Shown("token", "token", "code"),
        Shown("fires", "times", "whole"),
        Shown("value", "mean value", "number"),
        Shown("cut", "cut", "number"),
    ]
    marked = pairs.assign(**{one: pairs[one].map(_marked) for one in ("before", "token")})
    return Part(
        "firing",
        "What else do they fire on?",
        finding,
        figures=[FigureBlock(f"{name}-firing", [(chart.title, chart)])] if rows else [],
        tables=kept(
            table_block(
                f"{name}-firing-table",
                "How often each fires",
                firing,
                counts,
                absent=tables.absent("firing"),
            ),
            table_block(
                f"{name}-pairs",
                "The pairs they fire on most, the compound left out",
                marked,
                listed,
            ),
        ),
    )


def _basis_part(name: str, summary: Mapping[str, Any], tables: CellTables) -> Part:
    units, paths = tables.frame("bases"), tables.frame("basis_paths")
    figures = []
    lines = _unit_lines(units)
    if len(lines):
        chart = LineChart(lines, "Best neuron and best random direction", _UNITS, _F1, "layer")
        figures.append(FigureBlock(f"{name}-units", [(chart.title, chart)]))
    layers = sorted({int(layer) for layer in paths["layer"]})
    best = (summary.get("sum") or {}).get("layer")
    layers.sort(key=lambda layer: (layer != best, layer))
    choices = [(f"layer {layer}", _path_chart(paths, layer)) for layer in layers]
    if choices:
        figures.append(FigureBlock(f"{name}-paths", choices, menu="layer"))
    found = summary.get("basis") or {}
    finding = (
        f"Over {number(found.get('n_layers'))} layers the best neuron is ahead of the mean best "
        f"random direction by {number(found.get('gap'), signed=True)} F1 on average; clearly in "
        f"{number(found.get('clear'))}, clearly behind in {number(found.get('reversed'))}."
    )
    gaps = units[units["basis"] == "gap"].rename(columns=lambda one: _gap_name(str(one)))
    shown = [
        Shown("layer", "layer", "whole"),
        Shown("gap", "neuron minus direction, F1", "interval"),
    ]
    table = table_block(f"{name}-gaps", "Neuron against random direction", gaps, shown)
    return Part("basis", "Are neurons special?", finding, figures=figures, tables=kept(table))


def _pruning_part(name: str, summary: Mapping[str, Any], tables: CellTables) -> Part:
    pruned = tables.frame("pruning")
    rows = pruned.rename(columns={"round": "x", "f1": "y"}).assign(series="test F1")
    chart = LineChart(rows, "Taking the best neuron away", _PRUNED, _F1, "neurons taken away")
    found = summary.get("pruning") or {}
    finding = (
        f"After {number(found.get('rounds'))} neurons were taken away the probe has a test F1 of "
        f"{number(found.get('f1_last'))}, a change of {interval(found.get('change'))} from "
        f"{number(found.get('f1_first'))}."
    )
    shown = [
        Shown("round", "taken away", "whole"),
        Shown("f1_validation", "validation F1", "number"),
        Shown("f1", "test F1", "interval"),
        Shown("change", "change from the first", "interval"),
        Shown("site", "taken away next", "code"),
    ]
    renamed = pruned.rename(columns={"low": "f1_low", "high": "f1_high"})
    table = table_block(f"{name}-pruning-table", "Rounds", renamed, shown)
    figures = [FigureBlock(f"{name}-pruning", [(chart.title, chart)])] if len(rows) else []
    return Part("pruning", "How often is it held?", finding, figures=figures, tables=kept(table))


def _unit_lines(units: pd.DataFrame) -> pd.DataFrame:
    neuron = units[units["basis"] == "neuron"].assign(series="best neuron")
    drawn = units[units["basis"] == "random direction"]
    random = drawn.groupby("layer", as_index=False).agg(
        f1=("f1", "mean"), low=("f1", "min"), high=("f1", "max")
    )
    random["series"] = "best random direction (mean, least and most over bases)"
    both = pd.concat([neuron.assign(low=None, high=None), random], ignore_index=True)
    return both.rename(columns={"layer": "x", "f1": "y"})


def _path_chart(paths: pd.DataFrame, layer: int) -> LineChart:
    here = paths[paths["layer"] == layer]
    neurons = here.assign(series="neurons", y=here["f1_neurons"], low=None, high=None)
    random = here.assign(
        series="random bases (mean, least and most)",
        y=here["f1_random"],
        low=here["f1_random_least"],
        high=here["f1_random_most"],
    )
    lines = pd.concat([neurons, random], ignore_index=True).rename(columns={"k": "x"})
    title = f"Neurons against random bases, layer {layer}"
    axis = Axis("F1 on test windows", (0.0, 1.04))
    return LineChart(lines, title, _PATHS, axis, "neurons or directions read (k)", logarithmic=True)


def _called(row: Mapping[Any, Any]) -> str:
    probe, sites = str(row["probe"]), str(row["sites"])
    return f"{sites} alone" if probe == "summand" else probe


def _gap_name(column: str) -> str:
    return {"f1": "gap", "low": "gap_low", "high": "gap_high"}.get(column, column)


def _marked(piece: str) -> str:
    """A token with its spaces seen."""
    return str(piece).replace(" ", "\u2423").replace("\n", "\u21b5")


def _p(found: Mapping[str, Any]) -> str:
    return p_value(found.get("p_value"))


def _layers(summary: Mapping[str, Any]) -> str:
    layers = summary.get("layers") or []
    return f"{layers[0]} to {layers[-1]}" if layers else "those"


def _parts(summary: Mapping[str, Any]) -> str:
    split = summary.get("split") or {}
    return ", ".join(f"{number(split[part])} {part}" for part in split)
