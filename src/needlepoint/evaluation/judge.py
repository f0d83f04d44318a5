"""How well each method finds the heads that matter: one row a method, trivial ones included."""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch
from torch import Tensor

from needlepoint._core.seeds import seed_for
from needlepoint.evaluation.circuits.curves import AreasJudged
from needlepoint.evaluation.circuits.effects import judge_effects
from needlepoint.evaluation.circuits.method_runs import MethodRun, Ran
from needlepoint.evaluation.circuits.precision_difference import average_precision_difference
from needlepoint.evaluation.metrics import average_precision
from needlepoint.evaluation.truth import Truth

ABOVE = ("above_control", "above_control_low", "above_control_high")
"""Columns of the average precision less that of the best control, with the interval of that."""
JUDGED = (
    "auc",
    "auc_low",
    "auc_high",
    "average_precision",
    "average_precision_low",
    "average_precision_high",
    "chance_precision",
    "precision_at_k",
    "f1",
    "repo_f1",
    "spearman",
)
"""Columns that are missing where no head matters, every head does, or nothing was ablated."""


def method_frame(
    ran: Ran, truth: Truth | None, areas: dict[str, AreasJudged] | None = None, *, seed: int = 0
) -> pd.DataFrame:
    """The table of methods: how well each finds the heads that matter causally, and its cost.

    Args:
        ran: The methods.
        truth: Effects of all heads; None if nothing was ablated.
        areas: CPR and CMD of some of them, on edges.
        seed: Of the draws behind differences of average precision.

    Returns:
        One row for each method, by average precision; see the design notes for the columns.
    """
    rows = [_row(run, truth, (areas or {}).get(name)) for name, run in ran.runs.items()]
    frame = pd.DataFrame(rows)
    if not len(frame):
        return frame
    frame[list(ABOVE)] = above_control(ran, truth, seed)
    return frame.sort_values(
        "average_precision", ascending=False, kind="stable", ignore_index=True, na_position="last"
    )


def above_control(ran: Ran, truth: Truth | None, seed: int = 0) -> pd.DataFrame:
    """By how much each method is better than the best control, which is the best on this truth.

    All are compared on the same draws.

    Returns:
        Columns as `ABOVE`, a row for each method in its order; missing of that control itself, and
        everywhere if there is no control, or fewer than two heads matter or do not.
    """
    frame = pd.DataFrame(index=range(len(ran.runs)), columns=list(ABOVE), dtype=float)
    n_true = 0 if truth is None else int(truth.matters.sum())
    controls = [run.strength for run in ran.runs.values() if run.control]
    if truth is None or not controls or not 2 <= n_true <= len(truth.matters) - 2:
        return frame
    matters = truth.matters
    best = max(controls, key=lambda strength: average_precision(strength, matters))
    for row, run in enumerate(ran.runs.values()):
        if run.strength is not best:
            draws = torch.Generator().manual_seed(seed_for(seed, use="precision difference"))
            found = average_precision_difference(run.strength, best, matters, generator=draws)
            frame.loc[row] = [
                found.difference.estimate,
                found.difference.low,
                found.difference.high,
            ]
    return frame


def _row(run: MethodRun, truth: Truth | None, areas: AreasJudged | None) -> dict[str, Any]:
    cost = run.cost
    row: dict[str, Any] = {
        "method": run.name,
        "label": run.label,
        "description": run.description,
        "level": run.level,
        **_agreement(run.strength, truth),
        "seconds": cost.seconds,
        "forward_passes": cost.forward_passes,
        "backward_passes": cost.backward_passes,
        "peak_bytes": cost.peak_bytes,
        "uses_labels": run.uses_labels,
        "control": run.control,
        "signed": None if run.found is None else run.found.signed,
    }
    for name in ("cpr", "cmd"):
        found = None if areas is None else getattr(areas, name)
        row[name] = None if found is None else found.estimate
        row[f"{name}_low"] = None if found is None else found.low
        row[f"{name}_high"] = None if found is None else found.high
    return row


def _agreement(strength: Tensor, truth: Truth | None) -> dict[str, float | None]:
    if truth is None:
        return dict.fromkeys(JUDGED)
    effects = truth.effects.estimate.to(torch.float64)
    found = judge_effects(strength, effects, truth.matters)
    return {**found.ranking.columns(), "spearman": found.spearman}
