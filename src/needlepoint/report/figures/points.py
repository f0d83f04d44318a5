"""Points and lines with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.colors import Normalize

from needlepoint.report import theme
from needlepoint.report.figures.canvas import Canvas, add_colour_bar, name_of, numbers
from needlepoint.report.figures.style import DASHES, POINTS, colour_map, symbol


def scatter(canvas: Canvas, trace: Mapping[str, Any], depth: int) -> None:
    """Draw a trace of points, of lines, or of both; or the scale of colours that it stands for."""
    marker = trace.get("marker") or {}
    if marker.get("showscale"):
        add_colour_bar(canvas, marker, marker["cmin"], marker["cmax"], marker["colorbar"])
        return
    x, y = canvas.x.numbers(trace["x"]), canvas.y.numbers(trace["y"])
    if trace.get("fill") == "toself":
        _area(canvas, trace, x, y, depth)
        return
    mode = str(trace.get("mode", "lines"))
    _error_bars(canvas, trace, x, y, depth)
    if "lines" in mode:
        _line(canvas, trace, x, y, depth)
    if "markers" in mode:
        _points(canvas, trace, x, y, depth)


def _area(canvas: Canvas, trace: Mapping[str, Any], x: Any, y: Any, depth: int) -> None:
    canvas.axes.fill(
        x,
        y,
        facecolor=trace["fillcolor"],
        alpha=trace.get("opacity"),
        linewidth=0,
        label=name_of(trace),
        zorder=depth,
    )


def _line(canvas: Canvas, trace: Mapping[str, Any], x: Any, y: Any, depth: int) -> None:
    line = trace.get("line") or {}
    look: dict[str, Any] = {
        "color": line.get("color", theme.BLUE),
        "linestyle": DASHES[line.get("dash", "solid")],
        "linewidth": POINTS * float(line.get("width", 2)),
        "alpha": trace.get("opacity"),
    }
    canvas.axes.plot(x, y, zorder=depth, **look)
    if trace.get("showlegend") is not False and trace.get("name"):
        marker = trace.get("marker") or {} if "markers" in str(trace["mode"]) else None
        shape, is_open = symbol(str((marker or {}).get("symbol", "circle")))
        look |= {} if marker is None else {"marker": shape, "markersize": 3.5}
        look |= {"markerfacecolor": "white"} if is_open else {}
        canvas.axes.plot([], [], label=name_of(trace), **look)


def _points(canvas: Canvas, trace: Mapping[str, Any], x: Any, y: Any, depth: int) -> None:
    """Draw the points, those of each shape together, as matplotlib has one shape at a time."""
    marker = trace.get("marker") or {}
    shapes = np.broadcast_to(np.asarray(marker.get("symbol", "circle")), len(x))
    shown = trace.get("showlegend") is not False and "lines" not in str(trace["mode"])
    for shape in dict.fromkeys(shapes.tolist()):
        some = shapes == shape
        canvas.axes.scatter(
            x[some],
            y[some],
            s=np.square(POINTS * np.broadcast_to(marker.get("size", 8), len(x))[some]),
            alpha=_of_each(marker.get("opacity"), some),
            label=name_of(trace) if shown else None,
            zorder=depth + 0.4,
            **_look(marker, str(shape), some),
        )


def _look(marker: Mapping[str, Any], shape: str, some: Any) -> dict[str, Any]:
    """Shape, colours and edges of points; a shape of strokes has no inside."""
    drawn, is_open = symbol(shape)
    edge = marker.get("line") or {}
    colours = _of_each(_colours(marker), some)
    if drawn in "x|":
        strokes = POINTS * float(max(edge.get("width", 2), 1.6))
        return {"marker": drawn, "facecolors": colours, "linewidths": strokes}
    edges = colours if is_open else _of_each(edge.get("color", "none"), some)
    width = edge.get("width", 0 if isinstance(edges, str) and edges == "none" else 2)
    return {
        "marker": drawn,
        "facecolors": "none" if is_open else colours,
        "edgecolors": edges,
        "linewidths": POINTS * float(width),
    }


def _colours(marker: Mapping[str, Any]) -> Any:
    """Names of colours; numbers are looked up on the marker's own scale."""
    colours = marker.get("color", theme.BLUE)
    if marker.get("colorscale") is None:
        return colours
    scale = Normalize(marker["cmin"], marker["cmax"])
    return list(colour_map(marker["colorscale"])(scale(numbers(colours))))


def _of_each(values: Any, some: Any) -> Any:
    """The values of some points, if each has its own."""
    if not isinstance(values, list):
        return values
    return [value for value, wanted in zip(values, some, strict=True) if wanted]


def _error_bars(canvas: Canvas, trace: Mapping[str, Any], x: Any, y: Any, depth: int) -> None:
    for along in ("x", "y"):
        bars = trace.get(f"error_{along}")
        if not bars:
            continue
        plus, minus = (numbers(bars[end]) for end in ("array", "arrayminus"))
        both = np.clip(np.nan_to_num(np.stack([minus, plus])), 0.0, None)
        canvas.axes.errorbar(
            x,
            y,
            **{f"{along}err": both},
            fmt="none",
            ecolor=bars["color"],
            elinewidth=POINTS * float(bars.get("thickness", 2)),
            capsize=POINTS * float(bars.get("width") or 0),
            zorder=depth + 0.2,
        )
