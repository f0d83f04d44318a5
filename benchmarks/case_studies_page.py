"""docs/case_studies.md and docs/scaling.md with their figures, drawn from the records."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from needlepoint._core.files import write_text
from needlepoint.evaluation.case_studies.context_words import NOT_ESTABLISHED as OF_CONTEXT
from needlepoint.evaluation.case_studies.published_scaling import published_frame
from needlepoint.evaluation.case_studies.weights_by_depth import STATISTICS
from page_cells import table

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FIGURES = DOCS / "figures"
BLUE, LIGHT, ORANGE, GREY = "#1b6ca8", "#62a8d8", "#e0a030", "#8a8a8a"
STYLE = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "needlepoint",
    "svg.fonttype": "none",
}
MADE = "Made by `python benchmarks/case_studies.py`; do not edit."
UNTRAINED = "superposition.untrained"
MEASURES = {
    "best": "best neuron of all",
    "matched": "best neuron, search of equal size",
    "sparse": "sparse probe",
    "sparse_matched": "sparse probe, search of equal size",
    "best_on_test": "best neuron by test F1 (biased)",
}
BY_LAYER = ("input_norm", "output_norm", "up_cosine")
"""Statistics of weights that the table by layer has."""
MONOSEMANTIC = 0.8
"""Average precision from which on a neuron is said to be on for hardly anything else."""

Record = Mapping[str, Any]
Records = Mapping[str, Record]


def write_pages(records: Records) -> None:
    """Write both pages and their figures, as far as there are records."""
    FIGURES.mkdir(exist_ok=True)
    with plt.rc_context(STYLE):
        for name, text in pages(records).items():
            write_text(DOCS / name, text)


def pages(records: Records) -> dict[str, str]:
    """The text of each page that has a record; figures are drawn on the way."""
    studies = [part(records) for part in (_superposition, _context, _weights)]
    found = {}
    if any(studies):
        lines = [*_head(records), *(line for study in studies for line in study)]
        found["case_studies.md"] = "\n".join(lines).rstrip() + "\n"
    if "scaling" in records:
        found["scaling.md"] = "\n".join(_scaling(records["scaling"])).rstrip() + "\n"
    return found


def _head(records: Records) -> list[str]:
    return [
        "# Case studies of neurons",
        "",
        f"{MADE} {_named(records)}, seed 0, float32. What was chosen on text was chosen on "
        "training and validation documents and tested once on others. Several models side by side "
        "are in [scaling.md](scaling.md), all features in all layers in [neurons.md](neurons.md). "
        "Times are of a machine that others used too.",
        "",
    ]


def _named(records: Records) -> str:
    """Which studies are on the page."""
    titles = {
        "superposition": "superposition of compound words",
        "context": "context neurons",
        "weights": "weights by depth",
    }
    kinds = {name.partition(".")[0] for name in records}
    found = [title for kind, title in titles.items() if kind in kinds]
    text = ", ".join(found[:-1]) + (" and " if len(found) > 1 else "") + found[-1]
    return text[0].upper() + text[1:]


# Superposition


def _superposition(records: Records) -> list[str]:
    if "superposition.smollm2" not in records:
        return []
    record = records["superposition.smollm2"]
    frame, summary = pd.DataFrame(record["table.compounds"]), record["summary"]
    _compound_figure(frame)
    _basis_figure(record)
    return [
        "## Compound words: a sum of five neurons against one",
        "",
        f"    needlepoint superposition --compounds {' '.join(record['asked']['compounds'])}",
        "",
        _what_was_read(record),
        "",
        summary["answer"],
        "",
        *_read_of_words(frame, summary),
        "",
        "![Sum and best neuron of each compound](figures/case_compounds.svg)",
        "",
        _words_table(frame),
        "",
        "F1 is on test windows that end in the compound or in one of its words, q over the "
        "compounds. *Best of the five* is the neuron of the sum that validation prefers. *Random "
        "sums*: median of sums of five random neurons of the layer. *Last token*: calling positive "
        "what ends in the token that the compound ends in.",
        "",
        "### What else they are on for",
        "",
        *_tokens_text(frame, summary),
        "",
        _tokens_table(frame),
        "",
        "### Are neurons special, and how often is a compound held?",
        "",
        "![Random bases and pruning](figures/case_bases.svg)",
        "",
        *_basis_text(record),
        "",
        *_control(records),
        "### What this leaves open",
        "",
        *(f"- {one}" for one in summary["not_established"]),
        "",
    ]


def _what_was_read(record: Record) -> str:
    summary = record["summary"]
    frame = pd.DataFrame(record["table.compounds"])
    layers = summary["layers"]
    left_out = summary["left_out"]
    sentences = [
        f"{len(frame)} compounds of the collection `compound_words` in {record['model']['name']}, "
        f"layers {layers[0]} to {layers[-1]}: for each {_span(frame['positives'])} windows that "
        f"end in it and {_span(frame['windows'] - frame['positives'])} that end in one of its "
        f"words alone, split into training, validation and test windows",
        f"{_minutes(record)}",
    ]
    if left_out:
        sentences.append("Left out: " + "; ".join(one["word"] for one in left_out))
    return ". ".join(sentences) + "."


def _span(values: Any) -> str:
    low, high = int(values.min()), int(values.max())
    return f"{low}" if low == high else f"{low} to {high}"


def _minutes(record: Record) -> str:
    minutes = record["seconds"]["processor"] / 60
    return f"{minutes:.1f} minutes of processor time of {record['machine']['processor']}"


def _read_of_words(frame: pd.DataFrame, summary: Record) -> list[str]:
    perfect = int((frame["neuron_f1"] >= 0.95).sum())
    alone = int((frame["summand_gap_low"] > 0).sum())
    ahead = summary["ahead"]["windows"]
    return [
        f"One neuron has a test F1 of .95 or more for {perfect} of {len(frame)}: there, these "
        "windows cannot show that a sum is better. The sum is clearly better than the best of its "
        f"own five neurons for {alone} (interval above 0, not adjusted), which is what adding up "
        "does; the question is whether another neuron does as well. The rule looks at the "
        "intervals of each compound by itself. Over all of them, with p-values from swapping the "
        f"calls of sum and neuron window by window, the sum is ahead for {ahead['sum']}."
    ]


def _words_table(frame: pd.DataFrame) -> str:
    head = ("compound", "layer", "sum of five", "best neuron", "its F1", "sum less it")
    head += ("q", "best of the five", "random sums", "last token")
    return table(
        head,
        (
            (
                str(row["word"]).replace("-", " "),
                str(row["layer"]),
                _interval(row, "f1"),
                str(row["neuron"]),
                _interval(row, "neuron_f1"),
                _interval(row, "gap", signed=True),
                _number(row["q_value"], 3),
                _interval(row, "summand_f1"),
                _number(row["random_f1"]),
                _number(row["last_token_f1"]),
            )
            for row in frame.to_dict("records")
        ),
    )


def _tokens_text(frame: pd.DataFrame, summary: Record) -> list[str]:
    found = summary["ahead"]["tokens"]
    return [
        "The windows above hold little else than the compound and its words. Here all tokens of "
        "test windows and of windows of other compounds are ranked by the same sum and the same "
        "neuron: average precision (AP), for which chance is the share of such tokens (about "
        f".003). The sum is ahead of the best neuron for {found['sum']} of {found['n']} and behind "
        f"for {found['neuron']} (resamples of texts, Benjamini-Hochberg, {summary['level']:.0%}). "
        "The neuron was chosen for its F1 on windows, and one chosen on running text could be "
        "better; so could the sum.",
        "",
        _nearly_alone(frame),
    ]


def _nearly_alone(frame: pd.DataFrame) -> str:
    """The compounds for which the sum, or the neuron, is on for hardly anything else."""
    told = {
        column: [
            f"{str(row['word']).replace('-', ' ')} ({row[site]})"
            for row in frame.to_dict("records")
            if (row[column] or 0) >= MONOSEMANTIC
        ]
        for column, site in (("neuron_ap", "neuron"), ("ap", "sites"))
    }
    neurons, sums = (", ".join(one) or "none" for one in told.values())
    return (
        f"An AP of {MONOSEMANTIC} or more, that is to be on for hardly anything else in these "
        f"texts, have of the single neurons {neurons}; of the sums {sums}. For the other compounds "
        "both are on for other tokens too, however well they tell the compound from its words."
    )


def _tokens_table(frame: pd.DataFrame) -> str:
    head = ("compound", "AP of the sum", "AP of the best neuron", "sum less it", "q")
    head += ("pairs: a neuron of the sum", "the sum", "the best neuron")
    rows = table(
        head,
        (
            (
                str(row["word"]).replace("-", " "),
                _interval(row, "ap"),
                _interval(row, "neuron_ap"),
                _interval(row, "ap_gap", signed=True),
                _number(row["ap_q"], 3),
                _number(row["median_pairs"], 0),
                str(row["sum_pairs"]),
                str(row["neuron_pairs"]),
            )
            for row in frame.to_dict("records")
        ),
    )
    return (
        f"{rows}\n\n*Pairs* are different pairs of tokens, other than the compound, on which each "
        "passes its cut; of the five neurons the median."
    )


def _basis_text(record: Record) -> list[str]:
    paths, summary = pd.DataFrame(record["table.basis_paths"]), record["summary"]
    few = paths[paths["k"] == paths["k"].min()]
    lead = few["f1_neurons"].mean() - few["f1_random"].mean()
    clear = int((few["gap_low"] > 0).sum())
    behind = int((few["gap_high"] < 0).sum())
    basis, pruned = summary["basis"], summary["pruned"]
    n_bases, k = record["asked"]["bases"], int(few["k"].iloc[0])
    return [
        f"Left: probes of k neurons, or of k directions of {n_bases} random bases, in the layer of "
        f"each compound's sum, mean over compounds. At k = {k} neurons are ahead by {lead:+.3f} "
        f"F1, clearly for {clear} of {len(few)} compounds, clearly behind for {behind}. Over all "
        f"layers the best single neuron is ahead of the best direction by {basis['gap']:+.2f}, "
        f"clearly in {basis['clear']} of {basis['n']} layers of all compounds, clearly behind in "
        f"{basis['reversed']}. Right: the best neuron of a probe of five is taken away "
        f"{pruned['rounds']} times; the mean F1 goes from {pruned['first']:.2f} to "
        f"{pruned['last']:.2f} and clearly falls for {pruned['lost']} of {summary['n_words']}."
    ]


def _control(records: Records) -> list[str]:
    if UNTRAINED not in records:
        return []
    record = records[UNTRAINED]
    frame = pd.DataFrame(record["table.compounds"])
    trained = pd.DataFrame(records["superposition.smollm2"]["table.compounds"]).set_index("word")
    called = int((frame["verdict"] == "sum of polysemantic neurons").sum())
    head = ("compound", "sum, untrained", "trained", "best neuron, untrained", "trained")
    head += ("AP of the sum, untrained", "trained", "last token")
    rows = (
        (
            str(row["word"]).replace("-", " "),
            _interval(row, "f1"),
            _interval(trained.loc[row["word"]], "f1"),
            _interval(row, "neuron_f1"),
            _interval(trained.loc[row["word"]], "neuron_f1"),
            _number(row["ap"]),
            _number(trained.loc[row["word"], "ap"]),
            _number(row["last_token_f1"]),
        )
        for row in frame.to_dict("records")
        if row["word"] in trained.index
    )
    return [
        "### The same with random weights",
        "",
        "What tokens alone give, mixed by attention that learned nothing: the same study of a copy "
        f"with random weights, {len(frame)} compounds. What the sum of the trained model does "
        f"beyond these columns is learned. By the rule above {called} of these {len(frame)} "
        f"{'is' if called == 1 else 'are'} superposition with random weights as well: five noisy "
        "readings of one thing, added up, beat each of them, so that a sum ahead of one neuron "
        "does not by itself show anything that training put there.",
        "",
        table(head, rows),
        "",
    ]


def _compound_figure(frame: pd.DataFrame) -> None:
    figure, sides = plt.subplots(1, 2, figsize=(9.2, 0.27 * len(frame) + 1.2), sharey=True)
    places = np.arange(len(frame))[::-1]
    titles = ("F1 on test windows", "average precision over tokens")
    for axes, name, title in zip(sides, ("f1", "ap"), titles, strict=True):
        for column, label, colour, mark, shift in (
            (name, "sum of five", BLUE, "o", 0.14),
            (f"neuron_{name}", "best single neuron", ORANGE, "D", -0.14),
        ):
            middle = frame[column].astype(float)
            ends = [abs(frame[f"{column}_{end}"].astype(float) - middle) for end in ("low", "high")]
            axes.errorbar(
                middle, places + shift, xerr=ends, fmt=mark, color=colour, label=label, ms=4, lw=1
            )
        axes.set_xlabel(title)
        axes.set_xlim(0, 1.03)
        axes.grid(axis="y", color="#eeeeee")
    sides[0].set_yticks(places, [str(word).replace("-", " ") for word in frame["word"]])
    sides[0].legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=8)
    figure.tight_layout()
    _save(figure, "case_compounds")


def _basis_figure(record: Record) -> None:
    paths, pruned = pd.DataFrame(record["table.basis_paths"]), pd.DataFrame(record["table.pruning"])
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 3.1), sharey=True)
    means = paths.groupby("k")[["f1_neurons", "f1_random"]].mean()
    left.plot(means.index, means["f1_neurons"], "o-", color=BLUE, ms=4, label="neurons")
    left.plot(means.index, means["f1_random"], "D--", color=ORANGE, ms=4, label="random bases")
    left.set_xscale("log", base=2)
    left.set_xticks([1, 4, 16, 64, 256], [1, 4, 16, 64, 256])
    left.set_xlabel("neurons or directions read (k)")
    left.set_ylabel("F1 on test windows")
    left.legend(frameon=False, fontsize=8)
    for _, rows in pruned.groupby("word"):
        right.plot(rows["round"], rows["f1"], color=LIGHT, lw=0.7, alpha=0.7)
    middle = pruned.groupby("round")["f1"].mean()
    right.plot(middle.index, middle, "o-", color=BLUE, ms=4, label="mean over compounds")
    right.set_xlabel("neurons taken away")
    right.legend(frameon=False, fontsize=8, loc="lower left")
    figure.tight_layout()
    _save(figure, "case_bases")


# Context neurons


def _context(records: Records) -> list[str]:
    found = [record for name, record in records.items() if name.startswith("context.")]
    if not found:
        return []
    _context_figure(found)
    lines = ["## Context neurons: on throughout a text of one kind?", ""]
    for record in found:
        summary, asked = record["summary"], record["asked"]
        lines += [
            f"### {_title(asked['features'])}",
            "",
            f"    needlepoint context --features {asked['features']} --examples "
            f"{asked['examples']} --ablate-classes {asked['ablate_classes']}",
            "",
            f"{summary['collection']['n_examples']:,} texts in {record['model']['name']}. "
            f"{summary['answer']} {_minutes(record)}.",
            "",
            _context_table(summary),
            "",
        ]
    return [
        *lines,
        "![Context neurons](figures/case_context.svg)",
        "",
        "Left of each pair: F1 of the neuron's mean over a text, and AUC of its value on a single "
        "token; a neuron that is on throughout has both near 1. Right: rise of the loss on texts "
        "of each kind when the neuron is set to its mean. *Perfect*: neurons with an F1 of 1 on "
        "validation texts; where there are many, the one named was put first by chance. *Own* and "
        "*random*: rise of the loss in millinats per token on a few of the kind's own test texts, "
        "and that of random neurons that write as much.",
        "",
        *(f"- {one}" for one in OF_CONTEXT),
        "",
    ]


def _context_table(summary: Record) -> str:
    head = ("kind", "neuron", "F1 by text", "AUC by token", "F1 by token", "perfect")
    head += ("verdict", "own", "random", "own less random")
    return table(
        head,
        (
            (
                one["feature"],
                f"{'' if one['sign'] > 0 else '-'}{one['site']}",
                _shown(one["f1"]),
                _shown(one["token_auc"]),
                _shown(one["token_f1"]),
                str(one["n_perfect"]),
                one["verdict"],
                _milli(one["own"]),
                _milli(one["random"]),
                _milli(one["gap"], whole=True),
            )
            for one in summary["classes"]
        ),
    )


def _milli(found: Record | None, *, whole: bool = False) -> str:
    """An interval of a change of the loss, in thousandths."""
    if found is None:
        return "not tried"
    text = f"{1000 * found['estimate']:+.1f}"
    if not whole or found["low"] is None:
        return text
    return f"{text} ({1000 * found['low']:+.1f} to {1000 * found['high']:+.1f})"


def _context_figure(found: list[Record]) -> None:
    rows = max(len(record["summary"]["classes"]) for record in found)
    figure, grid = plt.subplots(
        len(found), 2, figsize=(9.2, (0.3 * rows + 1.2) * len(found)), squeeze=False
    )
    for (left, right), record in zip(grid, found, strict=True):
        classes = record["summary"]["classes"]
        places = np.arange(len(classes))[::-1]
        for key, label, colour, mark, shift in (
            ("f1", "F1 by text", BLUE, "o", 0.14),
            ("token_auc", "AUC by token", ORANGE, "D", -0.14),
        ):
            middle = np.array([one[key]["estimate"] for one in classes])
            ends = [
                [
                    abs((one[key][end] or one[key]["estimate"]) - one[key]["estimate"])
                    for one in classes
                ]
                for end in ("low", "high")
            ]
            left.errorbar(
                middle, places + shift, xerr=ends, fmt=mark, color=colour, label=label, ms=4, lw=1
            )
        left.set_yticks(places, [f"{one['feature']}  {one['site']}" for one in classes], fontsize=8)
        left.set_xlim(0, 1.03)
        left.set_title(_title(record["asked"]["features"]), fontsize=9, loc="left")
        left.legend(frameon=False, fontsize=8, loc="lower left")
        _ablation_image(figure, right, pd.DataFrame(record["table.class_ablation"]))
    figure.tight_layout()
    _save(figure, "case_context")


def _ablation_image(figure: Any, axes: Any, frame: pd.DataFrame) -> None:
    order = list(dict.fromkeys(frame["feature"]))
    kinds = list(dict.fromkeys(frame["texts"]))
    values = 1000 * frame.pivot(index="feature", columns="texts", values="mean").loc[order, kinds]
    most = float(np.abs(values.to_numpy(dtype=float)).max())
    image = axes.imshow(
        values.to_numpy(dtype=float), cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto"
    )
    axes.set_yticks(range(len(order)), order, fontsize=8)
    axes.set_xticks(range(len(kinds)), kinds, rotation=60, ha="right", fontsize=8)
    axes.set_xlabel("texts of")
    bar = figure.colorbar(image, ax=axes, pad=0.01)
    bar.set_label("rise of the loss, millinats per token", fontsize=7)


# Weights


def _weights(records: Records) -> list[str]:
    found = [record for name, record in records.items() if name.startswith("weights.")]
    if not found:
        return []
    _weights_figure(found)
    lines = ["## Weights by depth", "", "    needlepoint weights", ""]
    for record in found:
        lines += [f"**{record['model']['name']}.** {record['summary']['answer']}", ""]
    return [
        *lines,
        "![Weights by depth](figures/case_weights.svg)",
        "",
        "Medians over the neurons of each layer, bands from the 20 % to the 80 % point; dashed the "
        "untrained copy of the same shape. The norm before the MLP is folded into what neurons "
        "read.",
        "",
        *_weights_text(found),
        "",
        "Medians by layer:",
        "",
        _weights_table(found),
        "",
        *(f"- {one}" for one in found[0]["summary"]["not_established"]),
        "",
    ]


def _weights_text(found: list[Record]) -> list[str]:
    undefined = [
        record["model"]["name"]
        for record in found
        if record["summary"]["norm_bias_early_minus_late"] is None
    ]
    text = found[0]["summary"]["published_shape"]
    if undefined:
        text += (
            f" That product has no meaning in {' and '.join(undefined)}, whose neurons are gated "
            "and have no bias; the published shape can be neither confirmed nor denied here. What "
            "is left is how norms and angles run through the layers."
        )
    return [text, "", *(f"- {_angles(record)}" for record in found)]


def _angles(record: Record) -> str:
    one = record["summary"]["curves"]["up_cosine"]
    text = (
        f"{record['model']['name']}: the median cosine of what the up map reads and what the "
        f"neuron writes goes from {one['early']:+.2f} in the first quarter of the layers to "
        f"{one['late']:+.2f} in the last (untrained {one['untrained']:+.2f})."
    )
    if "gemma" in record["model"]["family"]:
        text += (
            " Its MLPs write through one more norm, so that output norms, which are before it, "
            "are not what reaches the stream."
        )
    return text


def _weights_table(found: list[Record]) -> str:
    head = ["layer"]
    columns = []
    for record in found:
        frame = pd.DataFrame(record["table.depth_weights"])
        own = frame[frame["weights"] == "trained"]
        for name in BY_LAYER:
            head.append(f"{record['asked']['model']}: {STATISTICS[name]}")
            here = own[own["statistic"] == name].set_index("layer")["p50"]
            columns.append(here.to_dict())
    layers = sorted({layer for column in columns for layer in column})
    return table(
        head,
        (
            (
                str(layer),
                *(f"{column[layer]:.3f}" if layer in column else "-" for column in columns),
            )
            for layer in layers
        ),
    )


def _weights_figure(found: list[Record]) -> None:
    frames = [pd.DataFrame(record["table.depth_weights"]) for record in found]
    names = [name for name in STATISTICS if any((one["statistic"] == name).any() for one in frames)]
    figure, grid = plt.subplots(
        len(found), len(names), figsize=(2.3 * len(names), 2.1 * len(found)), squeeze=False
    )
    for row, (axes_of, frame) in enumerate(zip(grid, frames, strict=True)):
        for axes, name in zip(axes_of, names, strict=True):
            for weights, colour, line in (("trained", BLUE, "-"), ("untrained", GREY, "--")):
                here = frame[(frame["statistic"] == name) & (frame["weights"] == weights)]
                axes.plot(here["layer"], here["p50"], line, color=colour, lw=1.4)
                axes.fill_between(here["layer"], here["p20"], here["p80"], color=colour, alpha=0.18)
            axes.set_title(STATISTICS[name] if row == 0 else "", fontsize=8)
            axes.tick_params(labelsize=7)
        axes_of[0].set_ylabel(found[row]["model"]["name"], fontsize=8)
    for axes in grid[-1]:
        axes.set_xlabel("layer", fontsize=8)
    figure.tight_layout()
    _save(figure, "case_weights")


# Scaling


def _scaling(record: Record) -> list[str]:
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
        f"documents. {_minutes(record)}.",
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
        rows.append((words, *(_interval(of.loc[model], "f1") for model in models)))
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
        f"## {_title(name)}",
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
        f"{_interval(row, 'difference', signed=True)}, {_what_it_shows(row)}"
        for row in here.to_dict("records")
    ]
    return "Differences of these means, with searches of equal size:\n\n" + "\n".join(rows)


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
                axes.plot(one["neurons"], row["f1"], mark, color=colour, mfc=fill, ms=6)
            axes.plot([], [], mark, color=colour, label=words)
        axes.set_xscale("log")
        axes.set_xlabel("MLP neurons")
        axes.set_title(_title(name), fontsize=9, loc="left")
        axes.legend(frameon=False, fontsize=7, loc="lower right")
        axes.set_ylim(0, 1)
    sides[0].set_ylabel("mean F1 of the best neuron\n(hollow: random weights)")
    figure.tight_layout()
    _save(figure, "scaling")


# Shared


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _save(figure: Any, name: str) -> None:
    figure.savefig(FIGURES / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


def _interval(row: Any, name: str, *, signed: bool = False) -> str:
    """A value with its interval from the columns `NAME`, `NAME_low`, `NAME_high`."""
    ends = (row[name], row.get(f"{name}_low"), row.get(f"{name}_high"))
    sign = "+" if signed else ""
    if ends[0] is None or pd.isna(ends[0]):
        return "not defined"
    middle, low, high = ends
    if low is None or pd.isna(low):
        return f"{middle:{sign}.2f}"
    return f"{middle:{sign}.2f} ({low:{sign}.2f} to {high:{sign}.2f})"


def _shown(found: Mapping[str, Any]) -> str:
    """The same of an interval of a record."""
    return _interval({"v": found["estimate"], "v_low": found["low"], "v_high": found["high"]}, "v")


def _number(value: Any, digits: int = 2) -> str:
    return "not defined" if value is None or pd.isna(value) else f"{value:.{digits}f}"
