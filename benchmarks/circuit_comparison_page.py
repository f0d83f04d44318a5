"""The pages on circuits: what the records of the comparison of circuit methods say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

from circuits_full_page import full_page
from head_circuits_page import FIGURE as HEADS_FIGURE
from head_circuits_page import draw, read_records, section
from known_circuits_page import by_method, known_page, known_section
from needlepoint._core.files import write_text
from needlepoint.circuits.search.acdc import THRESHOLD
from page_cells import (
    COSTS,
    LEVELS,
    NOT_DEFINED,
    NOT_MEASURED,
    NOT_RUN,
    PASSES,
    SECONDS,
    Row,
    interval_cell,
    memory_cell,
    number_cell,
    seconds_cell,
    table,
    titled,
)

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "benchmarks" / "records"
PAGE = ROOT / "docs" / "circuits.md"
FULL = ROOT / "docs" / "circuits_full.md"
KNOWN = ROOT / "docs" / "known_circuits.md"
FIGURE = "figures/circuit_methods.svg"
NO_MEAN = "not on all"
CPR_WORDS = (
    "CPR (faithfulness in the mean, the edges that help most first; more is better, and it can "
    "exceed 1) of the same:"
)
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def write_page() -> None:
    """Write what the records give: tables between the marks of the page, full tables, a figure."""
    (_, tasks), *_ = _models().items()
    _draw(_done(tasks))
    draw(read_records(), ROOT / "docs" / HEADS_FIGURE)
    for path, text in pages().items():
        write_text(path, text)


def pages() -> dict[Path, str]:
    """The text of each page, by where it is kept."""
    models, known = _models(), _known()
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    found = BEGIN + "\n\n" + "\n\n".join(_parts(models, known)) + "\n\n" + END
    names = {name: str(runs[0]["label"]) for name, runs in by_method(known).items()}
    return {
        PAGE: before + found + after,
        FULL: full_page(models, names, read_records()),
        KNOWN: known_page(known),
    }


def _parts(models: dict[str, list[dict[str, Any]]], known: dict[str, Any]) -> list[str]:
    (_, tasks), *others = models.items()
    parts = [_heads_table(tasks), f"![Average precision by method and task]({FIGURE})"]
    parts += [_heads_table(found, f"### In {name}") for name, found in others]
    parts += [_cost_table(_done(tasks)), _edge_tables(_done(tasks))]
    return [*parts, *section(read_records(), [one["task"] for one in tasks]), known_section(known)]


def _known() -> dict[str, Any]:
    path = RECORDS / "known_circuits.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


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
    rows = []
    for cells in _ranked(done):
        one = next(iter(cells.values()))
        shown = [_cell(cells.get(name)) for name in names]
        rows.append([titled(one), LEVELS[one["level"]], *shown, _mean_cell(cells, len(names))])
    head = ["method", "reads", *map(_plain, names), "mean"]
    words = f"{title}\n\n{_heads_words(done)}{_left_out(tasks)}"
    return f"{words}\n\n{table(head, rows, words=2)}"


def _heads_words(tasks: Sequence[dict[str, Any]]) -> str:
    truths = [(_plain(one["task"]), one["truth"]) for one in tasks]
    counts = ", ".join(f"{task} {true['n_heads']} on {true['pairs']}" for task, true in truths)
    of = tasks[0]["truth"]["of"]
    return (
        f"Average precision, with AUC in brackets, of finding the heads that matter among {of}: "
        "those whose resampling moves the metric by more than 2 % of the clean-minus-corrupt range "
        f"and three standard errors (heads that matter, and pairs they were ablated on: {counts}). "
        "Controls are in italics; there is no mean of a method that was not run on all. The "
        "intervals, and all other figures, are in [a table for each behaviour](circuits_full.md)."
        f"{_threshold_words(tasks)}"
    )


def _threshold_words(tasks: Sequence[dict[str, Any]]) -> str:
    """Where ACDC was run with another threshold than elsewhere."""
    others = [
        f"{_plain(task['task'])} {row['threshold']:g}"
        for task in tasks
        for row in task["methods"]
        if row.get("threshold", THRESHOLD) != THRESHOLD
    ]
    if not others:
        return ""
    return (
        f" ACDC keeps an edge for a loss of {THRESHOLD:g} nats, but for these behaviours, where it "
        f"would take too long: {', '.join(others)}."
    )


def _left_out(tasks: Sequence[dict[str, Any]]) -> str:
    """Which tasks the model was not asked, and why."""
    left = [f"{one['task']} ({one['not_done']})" for one in tasks if "not_done" in one]
    return f" Left out, since the model does not do it: {'; '.join(left)}" if left else ""


def _ranked(tasks: Sequence[dict[str, Any]]) -> list[dict[str, Row]]:
    """The rows of each method by task, best mean first, those that lack a task last."""
    found: dict[str, dict[str, Row]] = {}
    for record in tasks:
        for row in record["methods"]:
            found.setdefault(row["method"], {})[record["task"]] = row

    def order(cells: dict[str, Row]) -> tuple[bool, float]:
        return len(cells) < len(tasks), -mean(
            row["average_precision"] or 0 for row in cells.values()
        )

    return sorted(found.values(), key=order)


def _cell(row: Row | None) -> str:
    if row is None:
        return NOT_RUN
    if row["average_precision"] is None:
        return NOT_DEFINED
    return f"{row['average_precision']:.2f} ({row['auc']:.2f})"


def _mean_cell(cells: dict[str, Row], n_tasks: int) -> str:
    found = [row["average_precision"] for row in cells.values()]
    whole = len(found) == n_tasks and None not in found
    return f"{mean(found):.2f}" if whole else NO_MEAN


def _cost_table(tasks: Sequence[dict[str, Any]]) -> str:
    """What each method costs, as the median over tasks."""
    costs = []
    for cells in _ranked(tasks):
        rows = list(cells.values())
        shown = [seconds_cell(_median(rows, name)) for name in SECONDS]
        shown += [number_cell(_median(rows, name)) for name in PASSES]
        line = [titled(rows[0]), str(rows[0]["pairs"]), *shown, _memory(rows)]
        costs.append((_median(rows, "cpu_seconds"), line))
    words = f"## What it costs\n\n{_cost_words(tasks)}"
    return f"{words}\n\n{table(('method', 'pairs', *COSTS), (line for _, line in sorted(costs)))}"


def _memory(rows: Sequence[Row]) -> str:
    """Median peak of the tasks where it was measured as it should be."""
    seen = sorted(filter(_has_memory, rows), key=lambda row: int(row["peak_bytes"]))
    return memory_cell(seen[len(seen) // 2]) if seen else NOT_MEASURED


def _cost_words(tasks: Sequence[dict[str, Any]]) -> str:
    where = tasks[0]["machine"]
    return (
        f"Medians over tasks on {where['cores']} cores ({where['processor']}), "
        "1 or 2 threads, other work beside it. Passes are prompts through "
        "the whole network; those of scores that read activations are the passes that read them, "
        "whose time is shared by all of them and not in their seconds; training the codes of "
        "several scores is in those of the first alone. ACDC on induction and "
        "docstring, edge pruning but for IOI, and what has its memory here were "
        "measured after products went to oneDNN, which halves the time of a pass here; all others "
        f"before. Memory is what is held above the start{_memory_words(tasks)}."
    )


def _memory_words(tasks: Sequence[dict[str, Any]]) -> str:
    seen = [_plain(one["task"]) for one in tasks if any(map(_has_memory, one["methods"]))]
    missing = any(not _has_memory(row) for one in tasks for row in one["methods"])
    where = f" (on {', '.join(seen)})" if seen and missing else ""
    return where + (
        "; it is not shown of runs in which memory that earlier methods had freed, and that was "
        "used again, did not count"
        if missing
        else ""
    )


def _has_memory(row: Row) -> bool:
    return bool(row.get("given_back"))


def _median(rows: Sequence[Row], name: str) -> float:
    values = sorted(float(row[name]) for row in rows)
    return values[len(values) // 2]


def _edge_tables(tasks: Sequence[dict[str, Any]]) -> str:
    """CMD and CPR of the methods for edges, on each task, with their intervals."""
    parts = ["## Circuits of edges", _edge_words(tasks[0]), _area_table(tasks, "cmd")]
    return "\n\n".join([*parts, CPR_WORDS, _area_table(tasks, "cpr")])


def _area_table(tasks: Sequence[dict[str, Any]], name: str) -> str:
    rows = []
    for cells in _ranked(tasks):
        if any(row.get(name) is not None for row in cells.values()):
            shown = [_area(cells.get(one["task"]), name) for one in tasks]
            rows.append([titled(next(iter(cells.values()))), *shown])
    return table([name.upper(), *(_plain(one["task"]) for one in tasks)], rows)


def _area(row: Row | None, name: str) -> str:
    if row is None or row.get(name) is None:
        return NOT_RUN
    return interval_cell(row[name], row[f"{name}_low"], row[f"{name}_high"])


def _edge_words(record: dict[str, Any]) -> str:
    settings = record["settings"]
    shares = ", ".join(f"{share:g}" for share in settings["shares"])
    return (
        "CMD (distance from the whole model, 0 is best) of circuits of the "
        f"first edges at shares {shares}, all other edges resampled, on "
        f"{settings['fresh_pairs']} fresh pairs, with 95 % intervals over bootstrapped "
        "pairs, which of so few are themselves rough."
    )


def _draw(tasks: Sequence[dict[str, Any]]) -> None:
    """A dot for each method and task, methods by their mean."""
    names = [record["task"] for record in tasks]
    rows = _ranked(tasks)[::-1]
    labels = [next(iter(cells.values())) for cells in rows]
    with plt.rc_context({"svg.hashsalt": "needlepoint", "font.size": 8}):
        figure, axes = plt.subplots(figsize=(7, 0.22 * len(rows) + 1.2))
        markers = "osD^vP"
        for place, name in enumerate(names):
            xs = [cells[name]["average_precision"] if name in cells else None for cells in rows]
            ys = [at for at, x in enumerate(xs) if x is not None]
            axes.plot(
                [x for x in xs if x is not None],
                ys,
                markers[place % len(markers)],
                label=_plain(name),
                markersize=4,
                alpha=0.8,
            )
        names_of = [("* " if one["control"] else "") + one["label"] for one in labels]
        axes.set_yticks(range(len(rows)), names_of)
        axes.set_xlabel("average precision of finding the heads that matter (* control)")
        axes.set_xlim(0, 1.02)
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=7, loc="lower right", title="behaviour", title_fontsize=7)
        figure.tight_layout()
        figure.savefig(ROOT / "docs" / FIGURE, metadata={"Date": None})
        plt.close(figure)
