"""How well the packaged model does every built-in task, as the page docs/tasks.md.

    python benchmarks/task_table.py --page docs/tasks.md --out benchmarks/records/task_table.json

Each task is asked with its default corruption. The page is written from the record, so that
`--from benchmarks/records/task_table.json` writes it again without a model.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from needlepoint._core.files import write_text
from needlepoint._core.provenance import machine, now, versions
from needlepoint.evaluation.check_tasks import TaskFigures, UnmadeTask, check_tasks
from needlepoint.models.load import load_model
from needlepoint.tasks import TASKS, KnownCircuit, Task

COMMAND = "python benchmarks/task_table.py --page docs/tasks.md"
HEADINGS = (
    "task",
    "pairs",
    "tokens",
    "chance",
    "right, clean",
    "right, corrupt",
    "metric, clean",
    "metric, corrupt",
    "fit",
)


def measure(n_pairs: int) -> dict[str, Any]:
    """The figures of every task on the packaged model."""
    model = load_model("smollm2")
    start, rows = time.perf_counter(), []
    for found in check_tasks(model, n_pairs=n_pairs):
        rows.append(row(found) | {"seconds": round(time.perf_counter() - start, 1)})
        start = time.perf_counter()
        print(f"{rows[-1]['task']}: {rows[-1]['reason']}", flush=True)
    card = {key: model.card()[key] for key in ("name", "dtype", "first_token", "sha256")}
    return {
        "benchmark": "how well the packaged model does every task",
        "date": now(),
        "machine": machine(),
        "versions": versions(),
        "model": card,
        "seed": 0,
        "tasks": rows,
    }


def row(found: TaskFigures | UnmadeTask) -> dict[str, Any]:
    """One task in the record."""
    kept: dict[str, Any] = {"task": found.task, "fit": found.fit, "reason": found.reason}
    if isinstance(found, UnmadeTask):
        return kept
    return kept | {
        "corruption": found.corruption,
        "n_pairs": found.n_pairs,
        "lengths": found.lengths,
        "n_answers": found.n_answers,
        **found.behaviour.summary(),
    }


def page(record: dict[str, Any]) -> str:
    """The record as Markdown, with what each task is."""
    model = record["model"]
    lines = [
        "# Built-in tasks",
        "",
        f"Written by `{COMMAND}` on {record['date'][:10]}; do not edit it by hand.",
        "",
        f"Measured on {model['name']} ({model['dtype']}, first token `{model['first_token']}`), "
        "seed 0, each task with its first corruption. *Right* is the share of prompts on which "
        "the best right token lies above the best wrong one, *chance* what that would be if the "
        "listed tokens came in any order alike. The metric is a difference of logits, or of "
        "probabilities (P), with its 95% interval from resampling pairs. *Fit* says whether a "
        "circuit can be looked for: the model does the task, the corruption takes it away, there "
        "are enough pairs, and every answer is one token. `needlepoint tasks check` measures the "
        "same on any model, and `needlepoint tasks show NAME` prints prompts.",
        "",
        _line(HEADINGS),
        _line(["---", *["---:"] * (len(HEADINGS) - 2), "---"]),
        *[_line(_cells(one)) for one in record["tasks"]],
    ]
    for one in record["tasks"]:
        lines += ["", *_section(TASKS[one["task"]], one)]
    return "\n".join(lines) + "\n"


def _cells(one: dict[str, Any]) -> list[str]:
    if "metric" not in one:
        return [one["task"], *["-"] * (len(HEADINGS) - 2), "not made"]
    low, high = one["lengths"]
    key = one["metric"].replace(" ", "_")
    mark = "" if one["unit"] == "logits" else "P "
    return [
        one["task"],
        str(one["n_pairs"]),
        str(low) if low == high else f"{low} to {high}",
        f"{one['chance']:.2f}",
        _interval(one["accuracy_clean"], "", ""),
        _interval(one["accuracy_corrupt"], "", ""),
        _interval(one[f"{key}_clean"], mark, "+"),
        _interval(one[f"{key}_corrupt"], mark, "+"),
        "yes" if one["fit"] else "no",
    ]


def _interval(value: dict[str, float], mark: str, sign: str) -> str:
    low, middle, high = (f"{value[at]:{sign}.2f}" for at in ("low", "estimate", "high"))
    return f"{mark}{middle} ({low} to {high})"


def _section(task: Task, one: dict[str, Any]) -> list[str]:
    lines = [f"## {task.name}: {task.title[0].lower()}{task.title[1:]}", "", task.description, ""]
    lines.append(f"- Fit for circuit search: {'yes' if one['fit'] else 'no'}. {one['reason']}")
    for place, (name, words) in enumerate(task.corruptions.items()):
        lines.append(f"- Corruption `{name}`{' (used here)' if place == 0 else ''}: {words}.")
    lines.append(f"- Source: {task.source}.")
    known = [f"- Known circuit: {_circuit(circuit)}" for circuit in task.circuits]
    return lines + (known or ["- Known circuit: none is listed."])


def _circuit(circuit: KnownCircuit) -> str:
    n_mlps = len(circuit.mlps)
    mlps = f" and {n_mlps} MLP{'' if n_mlps == 1 else 's'}" if n_mlps else ""
    disputes = "".join(f" Disputed: {dispute}" for dispute in circuit.disputes)
    found = f"{len(circuit.heads)} heads{mlps} of {circuit.model}; {circuit.source.rstrip('.')}."
    return found + disputes


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure, keep the record, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=150)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--from", dest="kept", type=Path, help="a record, instead of measuring")
    args = parser.parse_args()
    record = json.loads(args.kept.read_text()) if args.kept else measure(args.pairs)
    if args.out:
        write_text(args.out, json.dumps(record, indent=1) + "\n")
    if args.page:
        write_text(args.page, page(record))


if __name__ == "__main__":
    main()
