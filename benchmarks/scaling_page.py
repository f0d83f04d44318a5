"""The page of the same features in several models, with its figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from needlepoint.evaluation.case_studies.configs import UNTRAINED
from needlepoint.evaluation.case_studies.published_scaling import published_frame
from page_cells import table
from study_cells import BLUE, GREY, MADE, ORANGE, Record, interval, minutes, save, title

MEASURES = {
    "best": "best neuron of all",
    "matched": "best neuron, search of equal size",
    "sparse": "sparse probe",
    "sparse_matched": "sparse probe, search of equal size",
    "best_on_test": "best neuron by test F1 (biased)",
}

TICKS = (20_000, 50_000, 100_000, 200_000, 500_000)
"""Numbers of neurons on the axis."""


def scaling(record: Record) -> list[str]:
    """The page on several models."""
    summary, asked = record["summary"], record["asked"]
    _scaling_figure(record)
    collections = asked["features"]
    trained = [one["model"] for one in summary["models"] if one["trained"]]
    lines = [
        "# The same features in several models",
        "",
        f"{MADE}",
        "",
        f"    needlepoint scaling {' '.join(asked['models'])} --features {' '.join(collections)}",
        "",
        f"{summary['n_features']} features of {len(collections)} collections in "
        f"{len(summary['models'])} models, {len(trained)} of them trained; "
        f"{asked['examples']} texts for each feature, {asked['dtype']}, seed {asked['seed']}. All "
        "models see the same documents in the same parts. In each the best single neuron and a "
        "sparse probe are found on training and validation documents and read once on test "
        f"documents. {minutes(record)}.",
        "",
        table(
            ("model", "trained", "parameters", "neurons", "layers", "width", "neurons in a layer"),
            (
                (
                    one["model"],
                    "yes" if one["trained"] else "no",
                    f"{one['parameters'] / 1e6:.0f}M",
                    f"{one['neurons']:,}",
                    str(one["layers"]),
                    str(one["d_model"]),
                    f"{one['d_mlp']:,}",
                )
                for one in summary["models"]
            ),
            words=2,
        ),
        "",
        "![F1 by size, the published curve beside](figures/scaling.svg)",
        "",
    ]
    for name in collections:
        lines += [*_collection(record, name), ""]
    return [*lines, *_scaling_left(record, trained)]


def _collection(record: Record, name: str) -> list[str]:
    means, summary = pd.DataFrame(record["table.model_means"]), record["summary"]
    here = means[means["collection"] == name]
    models = [one["model"] for one in summary["models"]]
    n_features = int(here["n_features"].iloc[0])
    rows = []
    for measure, words in MEASURES.items():
        of = here[here["measure"] == measure].set_index("model")
        rows.append((words, *(interval(of.loc[model], "f1") for model in models)))
    sparsity = {one["model"]: one for one in summary["sparsity"] if one["collection"] == name}
    for key, words, digits in (
        ("median_k", "median k of the sparse probe", 1),
        ("median_k_matched", "the same, search of equal size", 1),
        ("one_neuron", "features for which k = 1", 0),
        ("median_depth", "median depth of the best neuron, 0 to 1", 2),
    ):
        rows.append((words, *(f"{sparsity[model][key]:.{digits}f}" for model in models)))
    scores = pd.DataFrame(record["table.model_scores"])
    base = scores[scores["collection"] == name].groupby("model")["baseline_f1"].mean()
    rows.append(("every row called positive", *(f"{base[model]:.2f}" for model in models)))
    return [
        f"## {title(name)}",
        "",
        f"Mean test F1 over {n_features} features, intervals over documents:",
        "",
        table(("", *models), rows),
        "",
        _gaps_text(record, name),
    ]


def _gaps_text(record: Record, name: str) -> str:
    gaps = pd.DataFrame(record["table.model_differences"])
    here = gaps[
        (gaps["collection"] == name) & (gaps["measure"].isin(["matched", "sparse_matched"]))
    ]
    rows = [
        f"- {row['larger']} less {row['smaller']}, {MEASURES[row['measure']]}: "
        f"{interval(row, 'difference', signed=True)}, {_what_it_shows(row)}"
        for row in here.to_dict("records")
        if _of_one_kind(str(row["larger"]), str(row["smaller"]))
    ]
    return (
        "Differences of these means, with searches of equal size, of trained models and of each "
        "from its own random weights:\n\n" + "\n".join(rows)
    )


def _of_one_kind(one: str, other: str) -> bool:
    """Whether two models are both trained, or one is the other with random weights."""
    named = {name.removeprefix(UNTRAINED) for name in (one, other)}
    return len(named) == 1 or not any(name.startswith(UNTRAINED) for name in (one, other))


def _what_it_shows(row: Mapping[Any, Any]) -> str:
    low, high = row["difference_low"], row["difference_high"]
    if low is None or high is None or low <= 0 <= high:
        return "no difference shown"
    return f"higher in {row['larger'] if low > 0 else row['smaller']}"


def _scaling_left(record: Record, trained: list[str]) -> list[str]:
    published = record["summary"]["published"]
    return [
        "## What this can show",
        "",
        f"**{len(trained)} trained models cannot show an effect of scale.** "
        f"{' and '.join(trained)} differ in data, tokenizer, depth, width and the share of their "
        "parameters that is embedding, and whichever is larger depends on what is counted. What "
        "the table shows is whether either has more of these features in single neurons than its "
        "own random weights have, and that the measure used matters: the row *by test F1* is made "
        "as the published curve is, and lies above the honest one by what choosing on test rows "
        "gives.",
        "",
        f"The curve drawn beside is that of {published['source']}; "
        + ", ".join(f"*{one}*" for one in dict.fromkeys(published["groups"]))
        + ". What was done otherwise:",
        "",
        *(f"- {one}" for one in published["differences"]),
        "",
        "Only its shape could be compared, and two points have no shape.",
        "",
        *(f"- {one}" for one in record["summary"]["not_established"]),
    ]


def _bar(row: pd.Series) -> list[list[float]] | None:
    """How far the interval reaches to either side; none where it was not made."""
    if pd.isna(row["f1_low"]) or pd.isna(row["f1_high"]):
        return None
    return [[row["f1"] - row["f1_low"]], [row["f1_high"] - row["f1"]]]


def _scaling_figure(record: Record) -> None:
    summary, means = record["summary"], pd.DataFrame(record["table.model_means"])
    names, groups = record["asked"]["features"], summary["published"]["groups"]
    figure, sides = plt.subplots(1, len(names), figsize=(4.6 * len(names), 3.4), sharey=True)
    sides = np.atleast_1d(sides)
    for axes, name, group in zip(sides, names, groups, strict=True):
        curve = published_frame((group,))
        label = f"published: {group}, chosen on test"
        axes.plot(curve["neurons"], curve["f1"], "-", color=GREY, marker=".", label=label)
        for measure, words, colour, mark in (
            ("best_on_test", "here, chosen on test as published", ORANGE, "D"),
            ("matched", "here, search of equal size", BLUE, "o"),
        ):
            for one in summary["models"]:
                row = means[
                    (means["collection"] == name)
                    & (means["measure"] == measure)
                    & (means["model"] == one["model"])
                ].iloc[0]
                fill = colour if one["trained"] else "white"
                axes.errorbar(
                    one["neurons"],
                    row["f1"],
                    yerr=_bar(row),
                    fmt=mark,
                    color=colour,
                    mfc=fill,
                    ms=6,
                    lw=1,
                )
            axes.plot([], [], mark, color=colour, label=words)
        axes.set_xscale("log")
        axes.set_xticks(TICKS, [f"{tick:,}" for tick in TICKS])
        axes.minorticks_off()
        axes.set_xlabel("MLP neurons")
        axes.set_title(title(name), fontsize=9, loc="left")
        axes.legend(frameon=False, fontsize=7, loc="lower right")
        axes.set_ylim(0, 1.05)
    sides[0].set_ylabel("mean F1 of the best neuron\n(hollow: random weights)")
    figure.tight_layout()
    save(figure, "scaling")
