"""What the page of case studies says of compound words, with its figures."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from page_cells import table
from study_cells import (
    BLUE,
    LIGHT,
    ORANGE,
    Record,
    Records,
    chance,
    interval,
    minutes,
    number,
    save,
)

UNTRAINED = "superposition.untrained"
MONOSEMANTIC = 0.8
"""Average precision from which on a neuron is said to be on for hardly anything else."""


def superposition(records: Records) -> list[str]:
    """The section on compound words; empty without a record."""
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
        f"{minutes(record)}",
    ]
    if left_out:
        sentences.append("Left out: " + "; ".join(one["word"] for one in left_out))
    return ". ".join(sentences) + "."


def _span(values: Any) -> str:
    low, high = int(values.min()), int(values.max())
    return f"{low}" if low == high else f"{low} to {high}"


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
        f"calls of sum and neuron document by document, the sum is ahead for {ahead['sum']}."
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
                interval(row, "f1"),
                str(row["neuron"]),
                interval(row, "neuron_f1"),
                interval(row, "gap", signed=True),
                chance(row["q_value"]),
                interval(row, "summand_f1"),
                number(row["random_f1"]),
                number(row["last_token_f1"]),
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
                interval(row, "ap"),
                interval(row, "neuron_ap"),
                interval(row, "ap_gap", signed=True),
                chance(row["ap_q"]),
                number(row["median_pairs"], 0),
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
            interval(row, "f1"),
            interval(trained.loc[row["word"]], "f1"),
            interval(row, "neuron_f1"),
            interval(trained.loc[row["word"]], "neuron_f1"),
            number(row["ap"]),
            number(trained.loc[row["word"], "ap"]),
            number(row["last_token_f1"]),
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
    save(figure, "case_compounds")


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
    save(figure, "case_bases")
