"""The page docs/circuits_full.md: every figure of every method on every behaviour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from head_circuits_page import full_tables
from needlepoint.evaluation.circuits.precision_difference import average_precision_difference
from page_cells import (
    COSTS,
    LEVELS,
    MEASURED,
    MEASURES,
    NO_EDGES,
    NOT_MEASURED,
    NOT_RUN,
    Row,
    area_cell,
    cost_cells,
    interval_cell,
    precision_cell,
    share_cell,
    table,
    titled,
)

FIRST = ("method", "reads", "AUC", "AP")
ABOVE = "above the best control"
OTHERS = ("F1, precision at k", "paper's F1", "Spearman", "CMD", "CPR")
BEST = "the best control"
NEVER_RUN = "Not run, as too slow or newer than this record"
WORDS = f"""\
# Circuits: every figure

Written by `python benchmarks/circuit_comparison.py --page`; do not edit it by hand. The
[page on circuits](circuits.md) sums it up and says what it means.

Methods are in the order of their average precision (AP), controls in italics. True are the heads
that matter: those whose resampling moves the metric by more than 2 % of the clean-minus-corrupt
range and three standard errors.

{MEASURES}\
- **Above the best control**: AP less that of the best of the controls, with a 95 % interval over
  units that are drawn anew for both. The control is the best on this very truth, which is fair to
  it. Only where runs kept what heads were ranked by; *not measured*: this one did not.
- **Spearman**: rank correlation of the score with the effect of each head.
- **CMD** and **CPR** of circuits of edges, with 95 % intervals over bootstrapped pairs. *No edges*:
  the method scores heads or nodes only. *Not run*: circuits of edges were not run for this method.
{MEASURED}\
  *Not measured*: from a run in which memory that the process had freed before, and that was used
  again, did not count.
"""


def full_page(
    models: Mapping[str, Sequence[dict[str, Any]]],
    methods: Mapping[str, str],
    heads: Sequence[dict[str, Any]] = (),
) -> str:
    """The page, from the records of each model and from how all methods are called.

    Args:
        models: Records of the comparison, by model.
        methods: Labels of all methods, by name.
        heads: Records of circuits of heads, of the first model.
    """
    parts, circuits = [WORDS], {record["task"]: full_tables(record) for record in heads}
    for name, tasks in models.items():
        parts += [f"## {name}\n"]
        for record in tasks:
            parts.append(_task(record, methods))
            if record["task"] in circuits:  # of the first model only
                parts.append(circuits.pop(record["task"]) + "\n")
    return "\n".join(parts)


def _task(record: dict[str, Any], methods: Mapping[str, str]) -> str:
    title = f"### {record['model']['name']}: {record['task'].replace('_', ' ')}\n\n"
    if "not_done" in record:
        return f"{title}Left out, since the model does not do it: {record['not_done']}\n"
    rows = sorted(record["methods"], key=lambda row: -(row["average_precision"] or 0))
    above, n_true = _above(record), record["truth"]["n_heads"]
    head = (*FIRST, *([ABOVE] if above else []), *OTHERS)
    judged = table(head, (_judged(row, n_true, above) for row in rows), words=2)
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


def _above(record: dict[str, Any]) -> dict[str, str]:
    """Of methods whose scores were kept, by how much they are better than the best control.

    Nothing if those of that control were not kept.
    """
    controls = [row for row in record["methods"] if row["control"]]
    known = [row for row in controls if row["average_precision"] is not None]
    if not known or "heads" not in record["truth"]:
        return {}
    control = max(known, key=lambda row: float(row["average_precision"]))
    if not control.get("strength"):
        return {}
    best = control["method"]
    scores = {
        row["method"]: torch.tensor([*map(float, row["strength"].split())])
        for row in record["methods"]
        if row.get("strength")
    }
    truth = torch.zeros(record["truth"]["of"], dtype=torch.bool)
    truth[[*map(int, record["truth"]["heads"].split())]] = True
    found = {best: BEST}
    for name in scores.keys() - {best}:
        draws = torch.Generator().manual_seed(0)
        low, middle, high = average_precision_difference(
            scores[name], scores[best], truth, generator=draws
        ).difference
        found[name] = interval_cell(middle, low, high)
    return found


def _judged(row: Row, n_true: int, above: Mapping[str, str]) -> list[str]:
    return [
        titled(row),
        LEVELS[row["level"]],
        area_cell(row["auc"], row["auc_low"], row["auc_high"]),
        precision_cell(row["average_precision"], n_true),
        *([above.get(row["method"], NOT_MEASURED)] if above else []),
        *(share_cell(row[name]) for name in ("f1", "repo_f1", "spearman")),
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
