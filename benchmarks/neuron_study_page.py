"""docs/neurons.md and its figures, drawn from the records of the study of neurons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import numpy as np

from needlepoint._core.files import write_text

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "neurons.md"
FIGURES = ROOT / "docs" / "figures"
VERDICTS = (
    ("one neuron", "#1b6ca8", "white"),
    ("a few neurons", "#62a8d8", "black"),
    ("distributed", "#e0a030", "black"),
    ("weak", "#b8b8b8", "black"),
    ("explained by token identity", "#7a5195", "white"),
    ("not present", "#5a5a5a", "white"),
)
"""Verdicts from the most to the least local, in colours that are told apart without hue, each with
the colour of what is written on it."""
SCARCE = 50
"""Positives of a feature below which a verdict of nothing says little."""
STYLE = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "needlepoint",
    "svg.fonttype": "none",
}

Records = Sequence[Mapping[str, Any]]


def write_page(records: Records) -> None:
    """Write the page and its figures; nothing if there are no records."""
    if not records:
        return
    FIGURES.mkdir(exist_ok=True)
    with plt.rc_context(STYLE):
        _verdicts(records)
        _curves(records)
        _depth(records)
        _null(records)
    write_text(PAGE, "\n".join(_page(records)) + "\n")


def _plain(verdict: str) -> str:
    return verdict.partition(" (")[0]


def _title(record: Mapping[str, Any]) -> str:
    return str(record["name"]).replace("_", " ")


def _save(figure: Any, name: str) -> None:
    figure.savefig(FIGURES / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


def _verdicts(records: Records) -> None:
    """How many features of each collection have each verdict, with and without token identity."""
    height = 0.32 * len(records) + 0.9
    figure, sides = plt.subplots(1, 2, figsize=(9.2, height), sharey=True)
    titles = ("as far as neurons go", "verdict, beside token identity")
    for axes, key, title in zip(sides, ("carried_by", "verdict"), titles, strict=True):
        _bars(axes, records, key)
        axes.set_title(title, fontsize=9, loc="left")
    labels = [f"{_title(record)} ({len(record['features'])})" for record in records]
    sides[0].set_yticks(np.arange(len(records))[::-1], labels)
    handles, names = sides[1].get_legend_handles_labels()
    figure.legend(handles, names, ncols=6, loc="upper center", frameon=False, fontsize=8)
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.3 / height))
    _save(figure, "neuron_verdicts")


def _bars(axes: Any, records: Records, key: str) -> None:
    places, left = np.arange(len(records))[::-1], np.zeros(len(records))
    for verdict, colour, ink in VERDICTS:
        counts = [
            sum(_plain(one[key]) == verdict for one in record["features"]) for record in records
        ]
        shares = [count / len(r["features"]) for count, r in zip(counts, records, strict=True)]
        axes.barh(places, shares, left=left, color=colour, label=verdict, height=0.72)
        for place, share, start, count in zip(places, shares, left, counts, strict=True):
            if share > 0.04:
                middle = start + share / 2
                axes.text(middle, place, count, ha="center", va="center", color=ink)
        left += shares
    axes.set_xlabel("share of the features")
    axes.set_xlim(0, 1)


def _curves(records: Records) -> None:
    """Validation F1 of the best layer at each k: the median feature of each collection."""
    figure, axes = plt.subplots(figsize=(7.2, 4.2))
    colours = plt.get_cmap("tab20")(np.linspace(0, 1, len(records)))
    markers = "os^Dv<>Pp*Xh"
    for place, record in enumerate(records):
        ks = sorted({one["k"] for one in record["curve"]})
        middle = [
            median(one["f1_validation"] for one in record["curve"] if one["k"] == k) for k in ks
        ]
        axes.plot(
            ks,
            middle,
            color=colours[place],
            marker=markers[place % len(markers)],
            # Later lines are thinner, so that those below them are seen where they meet.
            markersize=7 - 4 * place / len(records),
            linewidth=3 - 2 * place / len(records),
            label=_title(record),
        )
    axes.set_xscale("log", base=2)
    shown = [k for k in ks if k & (k - 1) == 0 or k == ks[-1]]
    axes.set_xticks(shown, shown, fontsize=8)
    axes.set_xlabel("neurons read by the probe (k)")
    axes.set_ylabel("F1 on validation documents,\nbest layer, median feature")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    _save(figure, "neuron_curves")


def _depth(records: Records) -> None:
    """Validation F1 of the best neuron of each layer: the median feature of each collection."""
    table = np.array(
        [np.median(np.array(list(record["depth"].values())), axis=0) for record in records]
    )
    figure, axes = plt.subplots(figsize=(7.2, 0.32 * len(records) + 0.9))
    # Each row against its own range: where a collection lives, not how well it is told.
    low, high = table.min(1, keepdims=True), table.max(1, keepdims=True)
    image = axes.imshow((table - low) / (high - low), aspect="auto", cmap="cividis")
    for row, best in enumerate(table.argmax(1)):
        axes.text(
            min(max(best, 0.4), table.shape[1] - 1.4),
            row,
            f"{table[row, best]:.2f}",
            ha="center",
            va="center",
            fontsize=6.5,
            color="black",
            bbox={"facecolor": image.cmap(1.0), "linewidth": 0, "pad": 1},
        )
    axes.set_yticks(range(len(records)), [_title(record) for record in records])
    axes.set_xlabel("layer")
    bar = figure.colorbar(image, ax=axes, pad=0.01)
    bar.set_label("within the row: lowest to highest", fontsize=7)
    _save(figure, "neuron_depth")


def _null(records: Records) -> None:
    """F1 on test documents with the true labels, and by the same search with shuffled ones."""
    figure, axes = plt.subplots(figsize=(7.2, 2.8))
    bins = np.linspace(0, 1, 41)
    for key, label, colour in (
        ("null_f1", "shuffled labels", "#b8b8b8"),
        ("baseline_f1", "every row called positive", "#e0a030"),
        ("f1_one", "the neuron chosen", "#1b6ca8"),
    ):
        found = [_estimate(one[key]) for record in records for one in record["features"]]
        axes.hist(found, bins=bins, histtype="step", color=colour, label=label, linewidth=1.4)
    axes.set_xlabel("F1 on test documents")
    axes.set_ylabel("features")
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize=8)
    _save(figure, "neuron_null")


def _estimate(value: Any) -> float:
    return float(value["estimate"] if isinstance(value, Mapping) else value)


def _scarce(records: Records) -> str:
    """A caution about collections with so few rows that little can be shown on them."""
    found = [
        (_title(record), middle)
        for record in records
        if (middle := median(one["n_positive"] for one in record["features"])) < SCARCE
    ]
    if not found:
        return ""
    named = ", ".join(f"{title} {middle:g}" for title, middle in found)
    return (
        " *Not present* means that nothing was shown, and on few rows only large effects can be: "
        f"read it with care where features have few positives (medians: {named})."
    )


def _page(records: Records) -> list[str]:
    features = [one for record in records for one in record["features"]]
    counts = Counter(_plain(one["verdict"]) for one in features)
    found = ", ".join(f"{verdict} {counts[verdict]}" for verdict, *_ in VERDICTS if counts[verdict])
    minutes = sum(record["seconds"]["in all"] for record in records) / 60
    first = records[0]
    return [
        f"# The neurons of {first['model']} and {len(features)} features",
        "",
        "Made by `python benchmarks/neuron_study.py`; do not edit. Every neuron of every layer "
        f"({first['n_layers']} layers of {first['d_mlp']:,}) and sparse probes of each k were "
        "fitted on training documents; layer, neuron, k, penalty and cut were chosen on validation "
        "documents; the figures named test are on others, read once. Rows are as many as "
        "[features.md](features.md) says were read. Made in "
        f"{minutes:.0f} minutes by the clock on {_threads(first)} of "
        f"{first['machine']['processor']}, with the activations in the cache{_trouble(records)}.",
        "",
        f"Verdicts: {found}. A feature is explained by token identity if a probe that sees only "
        "which tokens there are does as well as the best probe of neurons; what the verdict would "
        "be without that rival is drawn on the left. [design.md](design.md) has the rules."
        f"{_scarce(records)}",
        "",
        "![Verdicts by collection](figures/neuron_verdicts.svg)",
        "",
        "## How many neurons it takes",
        "",
        "![F1 against k](figures/neuron_curves.svg)",
        "",
        "The best of all layers at each k, chosen on the validation documents that it is drawn "
        "for: optimistic, the more so the fewer they are. The tables below have test figures.",
        "",
        "## Where in depth",
        "",
        "![Depth](figures/neuron_depth.svg)",
        "",
        "The best neuron of each layer; the number is the highest median F1 of the row.",
        "",
        "## Against nothing",
        "",
        "![Null](figures/neuron_null.svg)",
        "",
        *_shuffled(records),
        *_sparse_null(records),
        *_certificates(records),
        *_columns(),
        *[line for record in records for line in _table(record)],
    ]


def _threads(record: Mapping[str, Any]) -> str:
    return "one thread" if record["threads"] == 1 else f"{record['threads']} threads"


def _trouble(records: Records) -> str:
    threads = {record["threads"] for record in records}
    return "" if len(threads) == 1 else " (not all on the same number of threads)"


def _shuffled(records: Records) -> list[str]:
    lines = [f"- {_title(record)}: {record['shuffled']['text']}" for record in records]
    return ["The same search on labels that documents have swapped:", "", *lines, ""]


def _certificates(records: Records) -> list[str]:
    """How often the best probe of each k and gamma was proved, and what it is worth on test."""
    rows = [
        {**one, "of": f"{record['name']} {one['feature']}"}
        for record in records
        for one in record["certificates"]
    ]
    if not rows:
        return []
    tested = [one for one in rows if one.get("f1") is not None]
    return [
        "## Certificates",
        "",
        "Optimal sparse probes over all neurons of the layer chosen for each feature. What is "
        "proved is of the training loss: no other k neurons of the layer have a lower one under "
        "that ridge. The smaller gamma is, the heavier the ridge and the easier the proof; the "
        "paper's is `1/sqrt(n)`. Nothing is proved of test F1, which is measured below.",
        "",
        *_proofs(rows),
        *([f"On test documents those of {_named(records, 'f1')}.", ""] if tested else []),
        *(_beside_sweep(tested) if tested else []),
        *(_chosen_certificates(records, tested) if tested else []),
    ]


def _named(records: Records, column: str) -> str:
    """The collections whose certificates have a column, or all."""
    having = [one for one in records if any(column in row for row in one["certificates"])]
    names = ", ".join(one["name"].replace("_", " ") for one in having)
    return "all collections" if len(having) == len(records) else f"{names} alone were measured"


def _proofs(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table of certificates by gamma and k."""
    lines = [
        "| gamma, of the paper's | k | probes | proved (gap under 1e-4) | median gap of the rest | "
        "not tried for lack of time | median seconds |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for ridge, k in sorted({(one.get("ridge", 1), one["k"]) for one in rows}):
        some = [one for one in rows if (one.get("ridge", 1), one["k"]) == (ridge, k)]
        tried = [one for one in some if one["gap"] is not None]
        rest = [one["gap"] for one in tried if one["status"] != "exact"]
        gap = f"{100 * median(rest):.2f} %" if rest else "none is left"
        seconds = f"{median(one['seconds'] for one in tried):.2f}" if tried else "none was tried"
        lines.append(
            f"| {ridge} | {k} | {len(some)} | {len(tried) - len(rest)} | {gap} | "
            f"{len(some) - len(tried)} | {seconds} |"
        )
    return [*lines, ""]


def _beside_sweep(tested: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each k the certified probe of the gamma that validation prefers, beside the sweep's."""
    lines = [
        "Beside the sweep's probe of the same k on the same layer; for each feature and k the "
        "gamma with the highest validation F1. *Better*, *worse*: the 95 % interval of the "
        "difference of test F1, documents resampled for both together, lies on one side of 0.",
        "",
        "| k | probes | median test F1, certified | sweep | mean difference | better | level | "
        "worse | no interval |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    best: dict[tuple[str, int], Mapping[str, Any]] = {}
    for one in sorted(tested, key=lambda one: one["ridge"]):
        if one["sweep_f1"] is None:
            continue
        kept = best.setdefault((one["of"], one["k"]), one)
        if _validation(one) > _validation(kept):
            best[one["of"], one["k"]] = one
    for k in sorted({k for _, k in best}):
        some = [one for (_, size), one in best.items() if size == k]
        lines.append(
            f"| {k} | {len(some)} | {median(one['f1'] for one in some):.2f} | "
            f"{median(one['sweep_f1'] for one in some):.2f} | {_compared(some)} |"
        )
    return [*lines, ""]


def _validation(one: Mapping[str, Any]) -> tuple[float, float]:
    return one["f1_validation"], one["auc_validation"]


def _compared(some: Sequence[Mapping[str, Any]]) -> str:
    """Mean difference, then how many are better, level, worse and without an interval."""
    known = [one for one in some if one["difference_low"] is not None]
    better = sum(one["difference_low"] > 0 for one in known)
    worse = sum(one["difference_high"] < 0 for one in known)
    mean = sum(one["difference"] for one in some) / len(some)
    level = len(known) - better - worse
    return f"{mean:+.3f} | {better} | {level} | {worse} | {len(some) - len(known)}"


def _chosen_certificates(records: Records, tested: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the probes that validation chose come to, and at which gamma."""
    chosen = [one for one in tested if one["chosen"]]
    ridges = Counter(one["ridge"] for one in chosen)
    at = ", ".join(f"{ridges[ridge]} at {ridge} times the paper's" for ridge in sorted(ridges))
    sparse = [
        row["f1"]
        for record in records
        if any("f1" in one for one in record["certificates"])
        for row in record["tests"]
        if row["probe"] == "sparse"
    ]
    largest = max(one["k"] for one in tested)
    proved = sum(one["status"] == "exact" for one in chosen)
    return [
        f"Gamma and k were chosen on validation documents by the rule for the sparse probe: {at}; "
        f"{proved} of the {len(chosen)} probes are proved. Their median test F1 is "
        f"{median(one['f1'] for one in chosen):.2f}, with k up to {largest}; that of the sparse "
        f"probes chosen from all layers, with k up to 256, is {median(sparse):.2f}. Where time ran "
        "out, another machine may find another probe.",
        "",
    ]


def _sparse_null(records: Records) -> list[str]:
    """For how many features luck could not have found the few neurons together."""
    features = [one for record in records for one in record["features"]]
    known = [one["p_sparse"] for one in features if one.get("p_sparse") is not None]
    if not known:
        return [
            "The p-values of the tables are of single neurons. Whether luck could have found the "
            "few neurons together was not asked (`--sparse-null`).",
            "",
        ]
    asked = [record for record in records if record["asked"].get("sparse_null", 0)]
    moves = max(record["asked"]["sparse_null"] for record in asked)
    names = ", ".join(record["name"].replace("_", " ") for record in asked)
    lowest = 1 / (1 + moves)
    never = sum(p <= lowest * (1 + 1e-4) for p in known)
    return [
        "The p-values of the tables are of single neurons. For the sparse probes the whole search "
        f"over layers, k, ridges and cuts was done again with labels moved {moves} times "
        f"({names}): p, which cannot be below {lowest:.3f} so, is the share of searches whose "
        f"best validation F1 comes up to that with the true labels. For {never} of {len(known)} "
        f"features none did; {sum(p > 0.1 for p in known)} have a p above .1.",
        "",
    ]


def _columns() -> list[str]:
    """What the columns of the tables mean, once for all of them."""
    return [
        "## The tables",
        "",
        "- *verdict*: beside all rivals; *as far as neurons go*: what it would be without that of "
        "the tokens.",
        "- *neuron*: the one chosen, layer and number counted from 0; a minus means that low "
        "activations say yes. *Test F1, one neuron* is its own, with the 95 % interval over "
        "documents.",
        "- *k* neurons are read by the sparse probe chosen, whose F1 is *test F1, sparse*; "
        "*dense* is a probe of all neurons of its layer.",
        "- The rivals: *token identity*, a probe that sees which tokens there are and no model; "
        "*all positive*, the F1 of saying yes to every row.",
        "- *q*: p over all neurons of all layers, corrected for the features of the collection; "
        "up to 0.05 counts.",
        "",
    ]


def _table(record: Mapping[str, Any]) -> list[str]:
    lines = [
        f"## {_title(record).capitalize()}",
        "",
        "| feature | verdict | as far as neurons go | neuron | test F1, one neuron | k | test F1, "
        "sparse | dense | token identity | all positive | q |",
        "|---|---|---|---|---|---:|---|---:|---:|---:|---:|",
    ]
    for one in record["features"]:
        name = str(one["feature"]).replace("|", "\\|")
        sign = "-" if one["sign"] < 0 else ""
        lines.append(
            f"| {name} | {one['verdict']} | {one['carried_by']} | {sign}{one['site']} | "
            f"{_shown(one['f1_one'])} | "
            f"{one['k_best']} | {_shown(one['f1_best'])} | {_number(one['f1_dense'])} | "
            f"{_number(one['token_f1'])} | {_number(one['baseline_f1'])} | "
            f"{_number(one['q_value'], 3)} |"
        )
    return [*lines, ""]


def _shown(value: Mapping[str, Any]) -> str:
    if value["low"] is None:
        return f"{value['estimate']:.2f}"
    return f"{value['estimate']:.2f} ({value['low']:.2f} to {value['high']:.2f})"


def _number(value: Any, digits: int = 2) -> str:
    if isinstance(value, Mapping):
        value = value["estimate"]
    return "not defined" if value is None else f"{value:.{digits}f}"
