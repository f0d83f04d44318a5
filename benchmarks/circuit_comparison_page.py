"""The page docs/circuits.md: what the records of the comparison of circuit methods say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

from needlepoint._core.files import write_text

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "benchmarks" / "records"
PAGE = ROOT / "docs" / "circuits.md"
FIGURE = "figures/circuit_methods.svg"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
LEVELS = {"heads": "activations", "nodes": "nodes", "edges": "edges"}

Rows = list[dict[str, Any]]


def write_page() -> None:
    """Put the tables that the records give between the marks of the page, and draw the figure."""
    models = _models()
    parts = []
    if models:
        (_, tasks), *others = models.items()
        _draw(_done(tasks))
        parts += [_heads_table(tasks), f"![Average precision by method and task]({FIGURE})"]
        parts += [_heads_table(found, f"### In {name}") for name, found in others]
        parts += [_cost_table(_done(tasks)), _edge_table(_done(tasks))]
    known = RECORDS / "known_circuits.json"
    if known.exists():
        parts.append(_known_table(json.loads(known.read_text(encoding="utf-8"))))
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    write_text(PAGE, before + BEGIN + "\n\n" + "\n\n".join(parts) + "\n\n" + END + after)


def _models() -> dict[str, list[dict[str, Any]]]:
    """The records of each model, first of the one whose records bear no model's name."""
    paths = sorted(RECORDS.glob("circuit_comparison.*.json"))
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(paths, key=lambda path: path.stem.count(".")):
        record = json.loads(path.read_text(encoding="utf-8"))
        found.setdefault(str(record["model"]["name"]), []).append(record)
    return found


def _plain(task: str) -> str:
    """The name of a task as words, which a narrow column can break."""
    return task.replace("_", " ")


def _done(tasks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record for record in tasks if "not_done" not in record]


def _heads_table(tasks: Sequence[dict[str, Any]], title: str = "## Which heads matter") -> str:
    """Average precision and AUC of each method on each task, best mean first."""
    done = _done(tasks)
    names = [record["task"] for record in done]
    head = "| method | reads | " + " | ".join(map(_plain, names)) + " | mean |"
    lines = [title, "", _heads_words(done) + _left_out(tasks), "", head]
    lines.append("|---|---|" + "---:|" * (len(names) + 1))
    table = _by_method(done)
    for label, control, level, cells in _ranked(table, names):
        shown = [_cell(cells.get(name)) for name in names]
        found = [cells[name]["average_precision"] for name in names if name in cells]
        whole = f"{mean(found):.2f}" if len(found) == len(names) else ""
        title = f"*{label}*" if control else label
        lines.append(f"| {title} | {LEVELS[level]} | " + " | ".join([*shown, whole]) + " |")
    return "\n".join(lines)


def _heads_words(tasks: Sequence[dict[str, Any]]) -> str:
    truths = [(_plain(one["task"]), one["truth"]) for one in tasks]
    counts = ", ".join(f"{task} {true['n_heads']} on {true['pairs']}" for task, true in truths)
    of = tasks[0]["truth"]["of"]
    return (
        f"Average precision, with AUC in brackets, of finding the heads that matter among {of}: "
        "those whose resampling moves the metric by more than 2 % of the clean-minus-corrupt range "
        f"and three standard errors (heads that matter, and pairs they were ablated on: {counts}). "
        "Controls are in italics."
    )


def _left_out(tasks: Sequence[dict[str, Any]]) -> str:
    """Which tasks the model was not asked, and why."""
    left = [f"{one['task']} ({one['not_done']})" for one in tasks if "not_done" in one]
    return f" Left out, since the model does not do it: {'; '.join(left)}" if left else ""


def _by_method(tasks: Sequence[dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    table: dict[str, dict[str, dict[str, Any]]] = {}
    for record in tasks:
        for row in record["methods"]:
            table.setdefault(row["method"], {})[record["task"]] = row
    return table


def _ranked(
    table: dict[str, dict[str, dict[str, Any]]], names: Sequence[str]
) -> list[tuple[str, bool, str, dict[str, dict[str, Any]]]]:
    def order(cells: dict[str, dict[str, Any]]) -> tuple[bool, float]:
        found = [row["average_precision"] or 0 for row in cells.values()]
        return len(cells) < len(names), -mean(found)

    rows = [(str(next(iter(cells.values()))["label"]), cells) for cells in table.values() if cells]
    rows.sort(key=lambda row: order(row[1]))
    return [
        (label, bool(one["control"]), str(one["level"]), cells)
        for label, cells in rows
        for one in [next(iter(cells.values()))]
    ]


def _cell(row: dict[str, Any] | None) -> str:
    if row is None or row["average_precision"] is None:
        return ""
    return f"{row['average_precision']:.2f} ({row['auc']:.2f})"


def _cost_table(tasks: Sequence[dict[str, Any]]) -> str:
    """What each method costs, as the median over tasks."""
    lines = ["## What it costs", "", _cost_words(tasks[0]), ""]
    lines += ["| method | pairs | processor s | forward | backward | peak MB |"]
    lines.append("|---|---:|---:|---:|---:|---:|")
    table = _by_method(tasks)
    costs = []
    for cells in table.values():
        rows = list(cells.values())
        one = rows[0]
        costs.append(
            (
                _median(rows, "cpu_seconds"),
                f"| {one['label']} | {one['pairs']} | {_median(rows, 'cpu_seconds'):.1f} | "
                f"{_median(rows, 'forward_passes'):.0f} | {_median(rows, 'backward_passes'):.0f} | "
                f"{_median(rows, 'peak_bytes') / 1e6:.0f} |",
            )
        )
    return "\n".join([*lines, *(line for _, line in sorted(costs))])


def _cost_words(record: dict[str, Any]) -> str:
    where = record["machine"]
    return (
        f"Medians over tasks on {where['cores']} cores ({where['processor']}), "
        "1 or 2 threads, other work beside it. Passes are prompts through "
        "the whole network; those of scores that read activations are the passes that read them, "
        "whose time is shared by all of them and not in their seconds. ACDC on induction and edge "
        "pruning, but for IOI, were measured after products went to oneDNN, which halves the time "
        "of a pass here; all others before."
    )


def _median(rows: Rows, name: str) -> float:
    values = sorted(float(row[name]) for row in rows)
    return values[len(values) // 2]


def _edge_table(tasks: Sequence[dict[str, Any]]) -> str:
    """CPR and CMD of the methods for edges, on each task."""
    names = [record["task"] for record in tasks]
    lines = ["## Circuits of edges", "", _edge_words(tasks[0]), ""]
    lines += ["| method | " + " | ".join(map(_plain, names)) + " |", "|---|" + "---:|" * len(names)]
    for label, control, level, cells in _ranked(_by_method(tasks), names):
        if level != "edges" or all(row.get("cmd") is None for row in cells.values()):
            continue
        shown = [_areas(cells.get(name)) for name in names]
        lines.append(f"| {f'*{label}*' if control else label} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def _edge_words(record: dict[str, Any]) -> str:
    settings = record["settings"]
    shares = ", ".join(f"{share:g}" for share in settings["shares"])
    return (
        "CMD (distance from the whole model, 0 is best), with CPR in brackets, of circuits of the "
        f"first edges at shares {shares}, all other edges resampled, on "
        f"{settings['fresh_pairs']} fresh pairs: few, so small differences mean little."
    )


def _areas(row: dict[str, Any] | None) -> str:
    if row is None or row.get("cmd") is None:
        return ""
    return f"{row['cmd']:.2f} ({row['cpr']:.2f})"


def _known_table(record: dict[str, Any]) -> str:
    """Average precision on circuits that are known exactly: edges, and heads."""
    models = record["models"]
    table: dict[str, tuple[dict[str, Any], list[float], list[float]]] = {}
    for one in models:
        for row in one["methods"]:
            _, edges, heads = table.setdefault(row["method"], (row, [], []))
            for found, kept in ((row["edges"], edges), (row["heads"], heads)):
                if found and found["average_precision"] is not None:
                    kept.append(found["average_precision"])
    lines = ["## Circuits that are known exactly", "", _known_words(record), ""]
    lines += ["| method | edges: mean AP | exact on | heads: mean AP | exact on |"]
    lines.append("|---|---:|---:|---:|---:|")
    rows = sorted(table.values(), key=lambda row: (-_mean(row[1]), -_mean(row[2])))
    for one, edges, heads in rows:
        label = f"*{one['label']}*" if one["control"] else one["label"]
        lines.append(f"| {label} | {_share(edges)} | {_share(heads)} |")
    return "\n".join(lines)


def _known_words(record: dict[str, Any]) -> str:
    models = record["models"]
    heads = sum(1 for one in models if one["methods"][0]["heads"]["average_precision"] is not None)
    return (
        f"{len(models)} models, planted by hand or compiled by Tracr, "
        f"{record['settings']['pairs']} pairs each. True are the edges that resampling can see on "
        f"these pairs, one at a time. Heads can be judged on {heads} of them, where some matter "
        "and some do not. Exact: every true one ranked above every other."
    )


def _mean(values: Sequence[float]) -> float:
    return mean(values) if values else -1.0


def _share(values: Sequence[float]) -> str:
    if not values:
        return " | "
    exact = sum(value > 1 - 1e-9 for value in values)
    return f"{mean(values):.2f} | {exact} of {len(values)}"


def _draw(tasks: Sequence[dict[str, Any]]) -> None:
    """A dot for each method and task, methods by their mean."""
    names = [record["task"] for record in tasks]
    rows = _ranked(_by_method(tasks), names)[::-1]
    with plt.rc_context({"svg.hashsalt": "needlepoint", "font.size": 8}):
        figure, axes = plt.subplots(figsize=(7, 0.22 * len(rows) + 1.2))
        markers = "osD^vP"
        for place, name in enumerate(names):
            xs = [row[3][name]["average_precision"] if name in row[3] else None for row in rows]
            ys = [at for at, x in enumerate(xs) if x is not None]
            axes.plot(
                [x for x in xs if x is not None],
                ys,
                markers[place % len(markers)],
                label=_plain(name),
                markersize=4,
                alpha=0.8,
            )
        axes.set_yticks(range(len(rows)), [("* " if row[1] else "") + row[0] for row in rows])
        axes.set_xlabel("average precision of finding the heads that matter (* control)")
        axes.set_xlim(0, 1.02)
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=7, loc="lower right", title="behaviour", title_fontsize=7)
        figure.tight_layout()
        figure.savefig(ROOT / "docs" / FIGURE, metadata={"Date": None})
        plt.close(figure)
