"""F1 and AUC of values and a cut on test rows, with intervals, as columns of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint.evaluation.clustered import Resamples, f1_of
from needlepoint.evaluation.intervals import Interval, percentile_interval
from needlepoint.probing.scores import roc_auc


def scored(
    values: Float[Tensor, " example"],
    cut: float,
    truth: Bool[Tensor, " example"],
    resamples: Resamples | None,
    prefix: str = "",
) -> dict[str, float | None]:
    """Columns `f1` and `auc`, each with `_low` and `_high`; None where documents are too few.

    Args:
        values: High where the feature is thought to be.
        cut: What lies above is called positive.
        truth: Whether each row has the feature.
        resamples: Of the same rows.
        prefix: Put before the names of the columns.
    """
    called = values > cut
    auc = float(roc_auc(values[:, None], truth[:, None])[0])
    if resamples is None:
        found = {"f1": f1_of(called, truth), "auc": auc}
        ends = {f"{name}{end}": None for name in found for end in ("_low", "_high")}
        return {f"{prefix}{name}": value for name, value in {**found, **ends}.items()}
    ranked = percentile_interval(resamples.rank_scores(values)["auc"], auc)
    f1 = resamples.f1_interval(called)
    return {**columns(f"{prefix}f1", f1), **columns(f"{prefix}auc", ranked)}


def columns(name: str, found: Interval | None) -> dict[str, float | None]:
    """An interval as the columns `NAME`, `NAME_low`, `NAME_high`.

    Example:
        >>> columns("gap", Interval(0.1, 0.2, 0.3))
        {'gap': 0.2, 'gap_low': 0.1, 'gap_high': 0.3}
    """
    low, middle, high = (None, None, None) if found is None else found
    return {name: middle, f"{name}_low": low, f"{name}_high": high}


def interval(row: Mapping[Any, Any], name: str) -> dict[str, float | None]:
    """An interval of a record, from the columns that `columns` makes.

    Example:
        >>> interval({"gap": 0.2, "gap_low": 0.1, "gap_high": None}, "gap")
        {'low': 0.1, 'estimate': 0.2, 'high': None}
    """
    ends = {"low": f"{name}_low", "estimate": name, "high": f"{name}_high"}
    return {end: known(row.get(column)) for end, column in ends.items()}


def known(value: Any) -> float | None:
    """A number of a table, or None where it is missing."""
    return None if value is None or pd.isna(value) else float(value)


def said(found: Mapping[str, float | None]) -> str:
    """An interval of a record in words.

    Example:
        >>> said({"low": 0.5, "estimate": 0.625, "high": 0.75})
        '0.62 (0.50 to 0.75)'
    """
    text = f"{found['estimate']:.2f}"
    if found["low"] is None or found["high"] is None:
        return text
    return f"{text} ({found['low']:.2f} to {found['high']:.2f})"


def floats(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with every column of numbers or nothing as one that may be missing."""
    wanted = [
        name
        for name in frame.columns
        if frame[name].dtype == object
        and all(one is None or isinstance(one, float) for one in frame[name])
    ]
    return frame.astype(dict.fromkeys(wanted, "Float64"))
