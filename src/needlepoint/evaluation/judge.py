"""How well each method finds the heads that matter: one row a method, trivial ones included."""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch
from torch import Tensor

from needlepoint.evaluation.circuits.curves import AreasJudged
from needlepoint.evaluation.circuits.effects import judge_effects
from needlepoint.evaluation.circuits.method_runs import MethodRun, Ran
from needlepoint.evaluation.truth import Truth

JUDGED = (
    "auc",
    "auc_low",
    "auc_high",
    "average_precision",
    "chance_precision",
    "precision_at_k",
    "f1",
    "repo_f1",
    "spearman",
)
"""Columns that are missing where no head matters, every head does, or nothing was ablated."""


def method_frame(
    ran: Ran, truth: Truth | None, areas: dict[str, AreasJudged] | None = None
) -> pd.DataFrame:
    """The table of methods: how well each finds the heads that matter causally, and its cost.

    Args:
        ran: The methods.
        truth: Effects of all heads; None if nothing was ablated.
        areas: CPR and CMD of some of them, on edges.

    Returns:
        One row for each method, by average precision; see the design notes for the columns.
    """
    rows = [_row(run, truth, (areas or {}).get(name)) for name, run in ran.runs.items()]
    frame = pd.DataFrame(rows)
    if not len(frame):
        return frame
    return frame.sort_values(
        "average_precision", ascending=False, kind="stable", ignore_index=True, na_position="last"
    )


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
