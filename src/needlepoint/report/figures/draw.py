"""A display drawn with matplotlib, in the size of a paper."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from needlepoint._core.records import jsonable
from needlepoint.report.display import Display
from needlepoint.report.figures.canvas import Canvas
from needlepoint.report.figures.lettering import folded
from needlepoint.report.figures.marks import draw_marks
from needlepoint.report.figures.notes import draw_shapes, draw_words
from needlepoint.report.figures.places import Places
from needlepoint.report.figures.style import PER_INCH, WIDTH, printed

LEGEND_LINE = 0.15
"""Inches of height for a line of the legend."""


def draw(display: Display, width: float = WIDTH) -> Figure:
    """The picture of a display, with what it draws on the page.

    The title is left out: a caption says it. Fonts and lines keep their size at every width.

    Args:
        display: One picture.
        width: In inches.
    """
    drawn = jsonable(display.figure().to_plotly_json())
    traces, layout = drawn["data"], drawn["layout"]
    with printed():
        height = max(1.5, float(layout.get("height", 360)) / PER_INCH)
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots()
        x, y = (Places.along(which, traces, layout) for which in ("x", "y"))
        canvas = Canvas(axes, x, y)
        draw_marks(canvas, traces)
        draw_shapes(canvas, layout.get("shapes") or [])
        x.settle(axes, "x", fold=24)
        y.settle(axes, "y", fold=int(6.5 * width))
        draw_words(canvas, layout.get("annotations") or [])
        if layout.get("showlegend"):
            _add_legend(figure, axes, width)
    return figure


def _add_legend(figure: Figure, axes: Any, width: float) -> None:
    """Names above the axes, in as many columns as their length lets stand side by side."""
    marks, names = axes.get_legend_handles_labels()
    unique = dict(zip(names, marks, strict=True))
    if not unique:
        return
    letters = int(width * 14)
    longest = max(len(name) for name in unique)
    columns = max(1, min(len(unique), letters // (longest + 6)))
    texts = [folded(name, letters) for name in unique]
    figure.legend(
        list(unique.values()),
        texts,
        loc="outside upper left",
        ncols=columns,
        frameon=False,
        borderaxespad=0.2,
        handlelength=1.8,
        columnspacing=1.4,
    )
    lines = sum(1 + text.count("\n") for text in texts[::columns])
    figure.set_figheight(figure.get_figheight() + LEGEND_LINE * max(lines - 1, 0))
