"""Ticks of an axis whose steps multiply, with numbers that have room."""

from __future__ import annotations

from typing import Any

import pandas as pd


def few_ticks(values: pd.Series) -> dict[str, Any]:
    """A tick at each value, where there are few small ones; at round numbers among large ones.

    Returns:
        What an axis of plotly needs; nothing where its own ticks will do.

    Example:
        >>> few_ticks(pd.Series([1, 2, 64]))["ticktext"]
        ['1', '2', '64']
    """
    there = sorted(set(values.astype(float)))
    if not there:
        return {}
    if there[-1] > 1024:
        return _rounded_ticks(there)
    if len(there) > 20:
        return {}
    shown = [value for value in there if value in (1, 2, 3, 4, 6, 8) or value >= 12]
    return {"tickvals": shown, "ticktext": [f"{value:g}" for value in shown]}


def _rounded_ticks(there: list[float]) -> dict[str, Any]:
    """A tick at 1, 2 and 5 times each power of ten; at the values where these are close together.

    Example:
        >>> _rounded_ticks([9e3, 2e5])["ticktext"]
        ['10k', '20k', '50k', '100k', '200k']
        >>> _rounded_ticks([36864.0, 46080.0])["ticktext"]
        ['36.9k', '46.1k']
    """
    steps = [factor * 10.0**power for power in range(13) for factor in (1, 2, 5)]
    shown = [value for value in steps if there[0] <= value <= there[-1]]
    shown = shown if len(shown) > 1 else [there[0], there[-1]]
    return {"tickvals": shown, "ticktext": [_short(value) for value in shown]}


def _short(value: float) -> str:
    """A large number in thousands or millions."""
    if value < 1000:
        return f"{value:g}"
    return f"{value / 1e3:.3g}k" if value < 1e6 else f"{value / 1e6:.3g}M"
