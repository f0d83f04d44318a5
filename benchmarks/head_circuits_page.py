"""What the pages on circuits say of circuits of heads: a figure, a table, and every figure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

from page_cells import NOT_RUN, Row, interval_cell, table, titled

RECORDS = Path(__file__).parent / "records"
FIGURE = "figures/head_circuits.svg"
MEASURES = ("faithfulness", "completeness")
MARKS = {"size": "s", "layer": "l"}
COLOURS = ("#111111", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195")
ROUNDED = 1e-4
"""How far a p-value in a record can be from what it was before rounding."""
FULL_HEAD = ("method", "heads", *MEASURES, "p by size", "p by layer")
BAND_HEAD = ("heads", *MEASURES)


def read_records() -> list[dict[str, Any]]:
    """The records of the default model, by task."""
    paths = sorted(RECORDS.glob("head_circuits.*.json"))
    return [
        json.loads(path.read_text(encoding="utf-8")) for path in paths if path.stem.count(".") == 1
    ]


def section(records: Sequence[dict[str, Any]], tasks: Sequence[str]) -> list[str]:
    """The parts of the page: the figure, and a table at one size; none without records.

    Args:
        records: Of circuits of heads.
        tasks: All that the comparison has, of which some may have no such record.
    """
    if not records:
        return []
    settings = records[0]["settings"]
    words = (
        "## Circuits of heads\n\n"
        f"The first heads of each ranking run alone (faithfulness), and the model without them "
        "(completeness: 1 less what is left). Heads outside, or inside, are resampled, every MLP "
        f"computes; {_pairs(records)} fresh pairs, which are few. Exact effects rank heads by the "
        f"truth itself. Grey: where 95 % of {settings['n_random']} random circuits of as many "
        f"heads lie. {_left_out(records, tasks)}"
    )
    figure = f"![Faithfulness and completeness of circuits of heads]({FIGURE})"
    return [words, figure, _at_words(settings), _at_table(records)]


def _left_out(records: Sequence[dict[str, Any]], tasks: Sequence[str]) -> str:
    """Which methods and behaviours there are no circuits of."""
    words = "These are a few quick rankings, not those of every method above"
    left = [task for task in tasks if task not in {record["task"] for record in records}]
    behaviours = ", ".join(task.replace("_", " ") for task in left)
    return f"{words}; not run: {behaviours}." if left else f"{words}."


def _pairs(records: Sequence[dict[str, Any]]) -> str:
    found = sorted({int(one["settings"]["pairs"]) for one in records})
    return " or ".join(map(str, found))


def _at_words(settings: Mapping[str, Any]) -> str:
    return (
        f"Circuits of {settings['at']:.0%} of the heads, faithfulness / completeness. *s* behind a "
        f"figure: nearer to 1 than all {settings['n_random']} random circuits of its size (p = "
        f"{1 / (1 + settings['n_random']):.3f}, one measure and task at a time); *l*: than all "
        "with as many heads in each layer. The third figure is how many of the heads that were "
        "taken out of the circuit one by one change it by more than 95 % of random heads from "
        "outside do that were put in (no other head gone: a head with a stand-in looks idle)."
    )


def _at_table(records: Sequence[dict[str, Any]]) -> str:
    rows: dict[str, dict[str, Row]] = {}
    for record in records:
        for row in record["methods"]:
            rows.setdefault(row["method"], {})[record["task"]] = row
    tasks = [record["task"] for record in records]
    settings = records[0]["settings"]
    lines = [
        [
            titled(next(iter(cells.values()))),
            *(_at_cell(cells.get(task), settings) for task in tasks),
        ]
        for cells in rows.values()
    ]
    lines.append(
        ["*Random, median*", *(_random_cell(record, settings["at"]) for record in records)]
    )
    return table(("method", *(task.replace("_", " ") for task in tasks)), lines)


def _at_cell(row: Row | None, settings: Mapping[str, Any]) -> str:
    if row is None:
        return NOT_RUN
    found, needed = point(row, settings["at"]), row["minimality"]
    n = settings["n_random"]
    cells = [f"{found[name]:.2f}{_marks(found, name, n)}" for name in MEASURES]
    return " / ".join([*cells, f"{needed['needed']} of {needed['tried']}"])


def point(row: Row, share: float) -> dict[str, Any]:
    """The circuits of one share of the heads."""
    return next(one for one in row["curve"] if one["share"] == share)


def _marks(found: Mapping[str, Any], name: str, n_random: int) -> str:
    """Which kinds of random circuits are all farther from 1 than this one."""
    least = 1 / (1 + n_random) + ROUNDED
    beaten = [mark for match, mark in MARKS.items() if found[f"{match}_{name}_p"] <= least]
    return f" *{''.join(beaten)}*" if beaten else ""


def _random_cell(record: dict[str, Any], at: float) -> str:
    found = point(record["methods"][0], at)
    return " / ".join(_plain(found[f"size_{name}_median"]) for name in MEASURES)


def full_tables(record: dict[str, Any]) -> str:
    """Every size of every method on one task."""
    settings = record["settings"]
    rows = []
    for row in record["methods"]:
        for found in row["curve"]:
            values = [
                interval_cell(found[name], found[f"{name}_low"], found[f"{name}_high"])
                for name in MEASURES
            ]
            p = [_p_cell(found, match) for match in MARKS]
            rows.append([titled(row), f"{found['size']:.0f}", *values, *p])
    bands = table(BAND_HEAD, (_band(found) for found in record["methods"][0]["curve"]))
    words = (
        f"#### Circuits of heads: {record['task'].replace('_', ' ')}\n\n"
        f"On {settings['pairs']} other pairs, with 95 % intervals over them; p "
        f"of faithfulness / completeness against {settings['n_random']} random circuits."
    )
    return "\n\n".join([words, table(FULL_HEAD, rows), "Random circuits of as many heads:", bands])


def _p_cell(found: Mapping[str, Any], match: str) -> str:
    values = [found[f"{match}_{name}_p"] for name in MEASURES]
    return NOT_RUN if None in values else " / ".join(f"{value:.3f}" for value in values)


def _band(found: Mapping[str, Any]) -> list[str]:
    spans = [
        interval_cell(*(found[f"size_{name}_{end}"] for end in ("median", "low", "high")))
        for name in MEASURES
    ]
    return [f"{found['size']:.0f}", *spans]


def draw(records: Sequence[dict[str, Any]], path: Path) -> None:
    """Small multiples: a column for each task, faithfulness above completeness."""
    if not records:
        return
    names = list(dict.fromkeys(row["method"] for one in records for row in one["methods"]))
    with plt.rc_context({"svg.hashsalt": "needlepoint", "font.size": 8}):
        figure, axes = plt.subplots(
            2, len(records), figsize=(9.5, 4.4), sharex=True, sharey="row", squeeze=False
        )
        for column, record in enumerate(records):
            for row, name in enumerate(MEASURES):
                _panel(axes[row, column], record, name, names)
            axes[0, column].set_title(record["task"].replace("_", " "), fontsize=8)
            axes[1, column].set_xlabel("% of heads")
        for row, name in enumerate(MEASURES):
            axes[row, 0].set_ylabel(name)
        lines = {line.get_label(): line for axis in axes[0] for line in axis.get_lines()}
        shown = {label: line for label, line in lines.items() if not label.startswith("_")}
        figure.legend(shown.values(), shown.keys(), loc="lower center", ncols=5, fontsize=7)
        figure.tight_layout(rect=(0, 0.1, 1, 1))
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


def _panel(axis: Any, record: dict[str, Any], name: str, names: Sequence[str]) -> None:
    first = record["methods"][0]["curve"]
    shares = [100 * one["share"] for one in first]
    low, high = ([one[f"size_{name}_{end}"] for one in first] for end in ("low", "high"))
    axis.fill_between(shares, low, high, color="#c9cdd3", linewidth=0)
    for row in record["methods"]:
        place = names.index(row["method"])
        axis.plot(
            shares,
            [one[name] for one in row["curve"]],
            color=COLOURS[place % len(COLOURS)],
            linestyle="--" if row["control"] else "-",
            linewidth=1.2,
            marker="o",
            markersize=2.5,
            label=("* " if row["control"] else "") + row["label"],
        )
    axis.axhline(1, color="#666666", linewidth=0.6)
    axis.axhline(0, color="#666666", linewidth=0.6)
    axis.set_xscale("log")
    axis.set_ylim(-0.7, 2)
    axis.set_xticks(shares, [f"{share:g}" for share in shares])
    axis.minorticks_off()
    axis.spines[["top", "right"]].set_visible(False)


def _plain(value: float) -> str:
    """Two digits, without the sign of a zero."""
    return f"{round(value, 2) + 0.0:.2f}"
