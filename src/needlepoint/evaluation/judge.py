"""How well each head score finds the heads that matter: one row a method, trivial ones included."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint._core.progress import Bar
from needlepoint.circuits.head_data import HeadData
from needlepoint.circuits.scores import HEAD_SCORES
from needlepoint.evaluation.metrics import (
    average_precision,
    hanley_mcneil_interval,
    roc_auc,
    spearman,
)
from needlepoint.evaluation.truth import Truth


@dataclass(frozen=True)
class Scored:
    """The scores of all heads by each method, and how long each took."""

    scores: dict[str, Tensor]
    seconds: dict[str, float]


def score_heads(data: HeadData, methods: Sequence[str], *, seed: int, task: str) -> Scored:
    """Score every head by every method named, or by all that are registered.

    Raises:
        UnknownNameError: If a method is not registered; the message lists those that are.
    """
    names = list(methods) or list(HEAD_SCORES)
    parts = [HEAD_SCORES[name] for name in names]
    scores, seconds = {}, {}
    with Bar("scoring heads", total=len(parts)) as bar:
        for part in parts:
            start = time.perf_counter()
            scores[part.name] = part.score(data, part.generator(seed, task=task))
            seconds[part.name] = time.perf_counter() - start
            bar.advance()
    return Scored(scores, seconds)


def method_frame(scored: Scored, truth: Truth) -> pd.DataFrame:
    """The table of methods: how well each score finds the heads that matter causally.

    AUC and average precision are missing where no head matters, or every head does.
    """
    rows = []
    for name, scores in scored.scores.items():
        part = HEAD_SCORES[name]
        rows.append(
            {
                "method": name,
                "label": part.label,
                "description": part.description,
                **_agreement(scores, truth),
                "seconds": scored.seconds[name],
                "uses_labels": part.uses_labels,
                "control": part.control,
            }
        )
    frame = pd.DataFrame(rows)
    return frame.sort_values("average_precision", ascending=False, ignore_index=True)


def _agreement(scores: Tensor, truth: Truth) -> dict[str, float | None]:
    n_true = int(truth.matters.sum())
    n_false = len(truth.matters) - n_true
    found: dict[str, float | None] = {
        "auc": None,
        "auc_low": None,
        "auc_high": None,
        "average_precision": None,
        "chance_precision": n_true / len(truth.matters),
        "spearman": None,
    }
    if n_true and n_false:
        auc = roc_auc(scores, truth.matters)
        low, _, high = hanley_mcneil_interval(auc, n_true=n_true, n_false=n_false)
        found |= {"auc": auc, "auc_low": low, "auc_high": high}
        found["average_precision"] = average_precision(scores, truth.matters)
    if len(torch.unique(scores)) > 1:
        found["spearman"] = _spearman(scores, truth)
    return found


def _spearman(scores: Tensor, truth: Truth) -> float | None:
    try:
        return spearman(scores, truth.size)
    except DataError:
        return None
