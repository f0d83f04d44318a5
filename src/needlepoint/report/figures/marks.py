"""The marks of a picture drawn with matplotlib: points, lines, bars, boxes and maps.

A display says once, as a plotly figure, which marks stand where. They are drawn from there, so
that page and paper cannot differ in what they show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from needlepoint.report.figures.areas import bar, box, heat_map
from needlepoint.report.figures.canvas import Canvas
from needlepoint.report.figures.points import scatter


def draw_marks(canvas: Canvas, traces: Sequence[Mapping[str, Any]]) -> None:
    """Draw all traces of a plotly figure, in their order.

    Raises:
        TypeError: If a trace is of a kind that is not known here.
    """
    for place, trace in enumerate(traces):
        kind = str(trace["type"])
        if kind not in _KINDS:
            raise TypeError(f"no way is known to draw {kind!r} in a figure for print")
        _KINDS[kind](canvas, trace, 2 + place)


_KINDS: dict[str, Callable[[Canvas, Mapping[str, Any], int], None]] = {
    "scatter": scatter,
    "bar": bar,
    "box": box,
    "heatmap": heat_map,
}
