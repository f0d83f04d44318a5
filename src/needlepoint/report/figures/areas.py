"""Bars, boxes and maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from needlepoint.report import theme
from needlepoint.report.figures.canvas import Canvas, add_colour_bar, name_of, numbers
from needlepoint.report.figures.lettering import words
from needlepoint.report.figures.style import POINTS, colour_map


def bar(canvas: Canvas, trace: Mapping[str, Any], depth: int) -> None:
    """Draw bars, upright or lying, with the words at their ends."""
    along = trace.get("orientation") == "h"
    x, y = canvas.x.numbers(trace["x"]), canvas.y.numbers(trace["y"])
    marker = trace.get("marker") or {}
    thick = trace.get("width")
    settings: dict[str, Any] = {
        "color": marker.get("color", theme.BLUE),
        "alpha": trace.get("opacity"),
        "linewidth": 0,
        "label": name_of(trace),
        "zorder": depth,
    }
    size = numbers(thick) if isinstance(thick, list) else float(thick or 0.65)
    if along:
        canvas.axes.barh(y, x, height=size, **settings)
        _bar_texts(canvas, trace, x, y)
    else:
        canvas.axes.bar(x, y, width=size, **settings)


def _bar_texts(canvas: Canvas, trace: Mapping[str, Any], x: Any, y: Any) -> None:
    for text, end, place in zip(trace.get("text") or [], x, y, strict=False):
        canvas.axes.annotate(
            words(text),
            (end, place),
            xytext=(2.5 if end >= 0 else -2.5, 0),
            textcoords="offset points",
            ha="left" if end >= 0 else "right",
            va="center",
            fontsize=6,
            color=theme.INK,
        )


def box(canvas: Canvas, trace: Mapping[str, Any], depth: int) -> None:
    """Draw lying boxes from their percentiles."""
    ends = {"whislo": "lowerfence", "q1": "q1", "med": "median", "q3": "q3", "whishi": "upperfence"}
    columns = {name: numbers(trace[key]) for name, key in ends.items()}
    stats = [
        {name: column[place] for name, column in columns.items()}
        for place in range(len(trace["y"]))
    ]
    if not stats:
        return
    line = {"color": trace["line"]["color"], "linewidth": POINTS * 1.6}
    canvas.axes.bxp(
        stats,
        positions=canvas.y.numbers(trace["y"]),
        orientation="horizontal",
        widths=0.55,
        showfliers=False,
        patch_artist=True,
        manage_ticks=False,
        boxprops={
            "edgecolor": line["color"],
            "linewidth": line["linewidth"],
            "facecolor": trace["fillcolor"],
        },
        whiskerprops=line,
        capprops=line,
        medianprops=line,
        zorder=depth,
    )


def heat_map(canvas: Canvas, trace: Mapping[str, Any], depth: int) -> None:
    """Draw a map of cells; those without a value show the hatches behind them."""
    values = np.array([numbers(row) for row in trace["z"]], dtype=float)
    x = canvas.x.numbers(trace.get("x") or list(range(values.shape[1])))
    y = canvas.y.numbers(trace.get("y") or list(range(values.shape[0])))
    low, high = trace.get("zmin"), trace.get("zmax")
    canvas.axes.set_facecolor(theme.PAPER)
    canvas.axes.patch.set_hatch("////")
    canvas.axes.pcolormesh(
        _edges(x),
        _edges(y),
        np.ma.masked_invalid(values),
        cmap=colour_map(trace["colorscale"]),
        vmin=low,
        vmax=high,
        edgecolors="white",
        linewidth=0.4,
        zorder=depth,
    )
    add_colour_bar(canvas, trace, low, high, trace["colorbar"])


def _edges(places: Any) -> Any:
    """Borders of cells around their middles, which are one apart or further."""
    if len(places) < 2:
        return np.array([places[0] - 0.5, places[0] + 0.5]) if len(places) else np.array([0.0])
    between = (places[:-1] + places[1:]) / 2
    first, last = places[0] - (between[0] - places[0]), places[-1] + (places[-1] - between[-1])
    return np.concatenate([[first], between, [last]])
