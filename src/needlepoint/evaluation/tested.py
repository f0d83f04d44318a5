"""One probe on the test part: its scores, their intervals, and the table they stand in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint.evaluation.clustered import Resamples
from needlepoint.evaluation.intervals import Interval, percentile_interval
from needlepoint.probing.scores import average_precision, confusion, roc_auc

EVEN = 0.5
"""Share of positives at which F1 is restated unless another is asked for."""
INTERVALS = ("f1", "mcc", "balanced_accuracy", "auc", "average_precision")
_CALLS = ("f1", "precision", "recall", "mcc", "balanced_accuracy")
_NOT_BY_K = (
    "probe",
    *(f"{name}_{end}" for name in ("auc", "average_precision") for end in ("low", "high")),
)
"""Columns that sparse probes of every k are not given: resampling a ranking takes long."""
_SITES = 256
"""A probe that reads more neurons than this is not spelled out in the table."""


@dataclass(frozen=True)
class Scores:
    """Scores of calls, and of the ranking behind them; None where one has no value."""

    f1: float
    precision: float | None
    """None if nothing was called positive."""
    recall: float
    mcc: float | None
    """None if all calls were the same."""
    balanced_accuracy: float
    f1_at_prevalence: float
    """F1 that these error rates give at the stated share of positives."""
    auc: float | None = None
    """None for calls without scores behind them."""
    average_precision: float | None = None


@dataclass(frozen=True, eq=False)
class Tested:
    """One probe of one feature on the test part."""

    probe: str
    layer: int | None
    neurons: tuple[int, ...]
    scores: Scores
    """At the cut that was chosen on validation rows."""
    intervals: Mapping[str, Interval]
    """Of the scores that have one, and of `f1_zero`, F1 at the paper's cut; none where documents
    are too few."""
    f1_validation: float | None
    auc_validation: float | None = None
    at_zero: Scores | None = None
    """At log-odds of 0 under balanced weights, as the paper cuts; None where a probe has none."""
    k: int | None = None
    """Numbers that the probe reads of a layer; None if it reads no layer."""
    called: Bool[Tensor, " example"] = field(
        default_factory=lambda: torch.zeros(0, dtype=torch.bool), repr=False
    )
    """What it calls positive on the test rows."""

    @property
    def f1(self) -> Interval | None:
        """F1 with its interval; None where documents are too few."""
        return self.intervals.get("f1")

    @property
    def f1_point(self) -> float:
        """F1 alone, which always exists."""
        return self.scores.f1


def scores_of(
    called: Bool[Tensor, " example"],
    truth: Bool[Tensor, " example"],
    scores: Float[Tensor, " example"] | None = None,
    *,
    prevalence: float = EVEN,
) -> Scores:
    """Scores of calls, and of the numbers behind them if there are any.

    Example:
        >>> truth = torch.tensor([True, True, False])
        >>> found = scores_of(torch.tensor([True, False, False]), truth)
        >>> round(found.f1, 3), found.precision, found.recall, found.auc
        (0.667, 1.0, 0.5, None)
    """
    labels = truth[:, None]
    counts = confusion(called[:, None], labels)
    ranked = None if scores is None else scores[:, None].double()
    return Scores(
        f1=float(counts.f1[0]),
        precision=_known(counts.precision),
        recall=float(counts.recall[0]),
        mcc=_known(counts.mcc),
        balanced_accuracy=float(counts.balanced_accuracy[0]),
        f1_at_prevalence=float(counts.f1_at_prevalence(prevalence)[0]),
        auc=None if ranked is None else float(roc_auc(ranked, labels)[0]),
        average_precision=None if ranked is None else float(average_precision(ranked, labels)[0]),
    )


def score_intervals(
    found: Scores,
    resamples: Resamples | None,
    called: Bool[Tensor, " example"],
    scores: Float[Tensor, " example"] | None,
) -> dict[str, Interval]:
    """Intervals of the scores in `INTERVALS`, documents resampled whole.

    A score that has no value, on the rows or on any resample, has no interval.
    """
    if resamples is None:
        return {}
    spread = resamples.call_scores(called)
    if scores is not None:
        spread |= resamples.rank_scores(scores.double())
    known = {name: getattr(found, name) for name in spread}
    return {
        name: percentile_interval(values, known[name])
        for name, values in spread.items()
        if known[name] is not None and not bool(values.isnan().any())
    }


def tests_frame(tested: Sequence[tuple[str, Tested]]) -> pd.DataFrame:
    """The table of test results: one row for each feature and probe."""
    frame = pd.DataFrame([_row(feature, one) for feature, one in tested])
    whole = {"layer": "Int64", "k": "Int64"}
    names = [name for name in frame.columns if name not in ("feature", "probe", "sites", *whole)]
    return frame.astype(whole | dict.fromkeys(names, "float64"))


def by_k_frame(tested: Sequence[tuple[str, Tested]]) -> pd.DataFrame:
    """The table of probes of growing size: that of test results, without intervals of rankings."""
    return tests_frame(tested).drop(columns=list(_NOT_BY_K))


def _row(feature: str, one: Tested) -> dict[str, object]:
    row: dict[str, object] = {
        "feature": feature,
        "probe": one.probe,
        "layer": one.layer,
        "k": len(one.neurons) if one.k is None and one.neurons else one.k,
        "sites": "" if len(one.neurons) > _SITES else _sites(one),
    }
    for name in ("f1", "precision", "recall", *INTERVALS[1:]):
        row[name] = getattr(one.scores, name)
        if name in INTERVALS:
            row |= _ends(one, name)
    row["f1_at_prevalence"] = one.scores.f1_at_prevalence
    row["f1_validation"] = one.f1_validation
    for name in _CALLS:
        row[f"{name}_zero"] = None if one.at_zero is None else getattr(one.at_zero, name)
        if name == "f1":
            row |= _ends(one, "f1_zero")
    return row


def _ends(one: Tested, name: str) -> dict[str, object]:
    interval = one.intervals.get(name)
    low, high = (None, None) if interval is None else (interval.low, interval.high)
    return {f"{name}_low": low, f"{name}_high": high}


def _known(value: Tensor) -> float | None:
    number = float(value[0])
    return None if math.isnan(number) else number


def _sites(one: Tested) -> str:
    return " ".join(f"L{one.layer}.N{neuron}" for neuron in one.neurons)
