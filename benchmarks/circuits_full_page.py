"""The page docs/circuits_full.md: every figure of every method on every behaviour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from page_cells import (
    COSTS,
    LEVELS,
    MEASURED,
    MEASURES,
    NO_EDGES,
    NOT_RUN,
    Row,
    area_cell,
    cost_cells,
    interval_cell,
    share_cell,
    table,
    titled,
)

JUDGED = ("method", "reads", "AUC", "AP", "F1, precision at k", "paper's F1", "Spearman")
JUDGED += ("CMD", "CPR")
NEVER_RUN = "Not run, as too slow or newer than this record"
WORDS = f"""\
# Circuits: every figure

Written by `python benchmarks/circuit_comparison.py --page`; do not edit it by hand. The
[page on circuits](circuits.md) sums it up and says what it means.

Methods are in the order of their average precision (AP), controls in italics. True are the heads
that matter: those whose resampling moves the metric by more than 2 % of the clean-minus-corrupt
range and three standard errors.

{MEASURES}\
- **Spearman**: rank correlation of the score with the effect of each head.
- **CMD** and **CPR** of circuits of edges, with 95 % intervals over bootstrapped pairs. *No edges*:
  the method scores heads or nodes only. *Not run*: circuits of edges were not run for this method.
{MEASURED}\
  *Not measured*: from a run in which memory that the process had freed before, and that was used
  again, did not count.
"""


def full_page(models: Mapping[str, Sequence[dict[str, Any]]], methods: Mapping[str, str]) -> str:
    """The page, from the records of each model and from how all methods are called."""
    parts = [WORDS]
    for name, tasks in models.items():
        parts += [f"## {name}\n", *(_task(record, methods) for record in tasks)]
    return "\n".join(parts)


def _task(record: dict[str, Any], methods: Mapping[str, str]) -> str:
    title = f"### {record['model']['name']}: {record['task'].replace('_', ' ')}\n\n"
    if "not_done" in record:
        return f"{title}Left out, since the model does not do it: {record['not_done']}\n"
    rows = sorted(record["methods"], key=lambda row: -(row["average_precision"] or 0))
    judged = table(JUDGED, (_judged(row) for row in rows), words=2)
    cost = table(("method", "pairs", *COSTS), (_cost(row) for row in rows))
    parts = [title + _truth(record), judged, _not_run(record, methods), "Cost:", cost]
    return "\n\n".join(parts) + "\n"


def _truth(record: dict[str, Any]) -> str:
    truth, machine = record["truth"], record["machine"]
    pairs = record["settings"]["fresh_pairs"]
    run = any(row["cmd"] is not None for row in record["methods"])
    circuits = f"Circuits of edges: on {pairs} other pairs." if run else "No circuits were run."
    return (
        f"{truth['n_heads']} of {truth['of']} heads matter, ablated on {truth['pairs']} pairs; a "
        f"random order has an AP of about {truth['n_heads'] / truth['of']:.2f}. {circuits} "
        f"Machine: {machine['processor']}, {machine['cores']} cores."
    )


def _judged(row: Row) -> list[str]:
    return [
        titled(row),
        LEVELS[row["level"]],
        area_cell(row["auc"], row["auc_low"], row["auc_high"]),
        *(share_cell(row[name]) for name in ("average_precision", "f1", "repo_f1", "spearman")),
        _distance_cell(row, "cmd"),
        _distance_cell(row, "cpr"),
    ]


def _cost(row: Row) -> list[str]:
    return [titled(row), str(row["pairs"]), *cost_cells(row)]


def _distance_cell(row: Row, name: str) -> str:
    if row[name] is None:
        return NOT_RUN if row["level"] == "edges" else NO_EDGES
    return interval_cell(row[name], row[f"{name}_low"], row[f"{name}_high"])


def _not_run(record: dict[str, Any], methods: Mapping[str, str]) -> str:
    """Which methods have no row, and why."""
    rows = {row["method"] for row in record["methods"]}
    left = {name: label for name, label in methods.items() if name not in rows}
    refused = [f"{left[name]} ({why})" for name, why in record["skipped"].items() if name in left]
    others = [label for name, label in left.items() if name not in record["skipped"]]
    parts = [f"Refused: {'; '.join(refused)}."] if refused else []
    parts += [f"{NEVER_RUN}: {', '.join(others)}."] if others else []
    return " ".join(parts) or "All methods were run."
