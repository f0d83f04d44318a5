"""What stands in a picture beside its marks: reference lines, boxes, words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from needlepoint.report.figures.canvas import Canvas
from needlepoint.report.figures.lettering import words
from needlepoint.report.figures.style import DASHES, POINTS

_TOP = 30
"""Drawn above all marks."""
_HALO = withStroke(linewidth=1.6, foreground="white")
"""Keeps the name of a line readable where marks lie under it."""


def draw_shapes(canvas: Canvas, shapes: Sequence[Mapping[str, Any]]) -> None:
    """Draw the lines and boxes of a plotly layout.

    Raises:
        TypeError: If a shape is neither a line nor a rectangle.
    """
    for shape in shapes:
        if shape["type"] == "line":
            _line(canvas, shape)
        elif shape["type"] == "rect":
            _box(canvas, shape)
        else:
            raise TypeError(f"no way is known to draw a {shape['type']!r} in a figure for print")


def draw_words(canvas: Canvas, notes: Sequence[Mapping[str, Any]]) -> None:
    """Write the annotations of a plotly layout that have words."""
    for note in notes:
        if not note.get("text"):
            continue
        font = note.get("font") or {}
        x, y, transform = _where(canvas, note)
        above = note.get("yanchor") == "bottom"
        canvas.axes.annotate(
            words(note["text"]),
            (x, y),
            xycoords=transform,
            xytext=(0, 1.5 if above else 0),
            textcoords="offset points",
            ha={"left": "left", "right": "right"}.get(str(note.get("xanchor")), "center"),
            va="bottom" if above else "center",
            fontsize=0.52 * float(font.get("size", 11)),
            color=font.get("color"),
            zorder=_TOP,
            annotation_clip=False,
            path_effects=[_HALO] if _is_share(note, "x") else [],
        )


def _line(canvas: Canvas, shape: Mapping[str, Any]) -> None:
    line = shape.get("line") or {}
    look: dict[str, Any] = {
        "color": line.get("color"),
        "linewidth": POINTS * float(line.get("width", 1)),
        "linestyle": DASHES[line.get("dash", "solid")],
        "zorder": 1.5,
    }
    if _is_share(shape, "x"):
        canvas.axes.axhline(canvas.y.number(shape["y0"]), **look)
    elif _is_share(shape, "y"):
        canvas.axes.axvline(canvas.x.number(shape["x0"]), **look)
    else:
        x, y = canvas.x.numbers([shape["x0"], shape["x1"]]), [shape["y0"], shape["y1"]]
        canvas.axes.plot(x, canvas.y.numbers(y), **look)


def _box(canvas: Canvas, shape: Mapping[str, Any]) -> None:
    line = shape.get("line") or {}
    corner = (shape["x0"], shape["y0"])
    size = (shape["x1"] - shape["x0"], shape["y1"] - shape["y0"])
    canvas.axes.add_patch(
        Rectangle(
            corner,
            *size,
            fill=False,
            edgecolor=line.get("color"),
            linewidth=POINTS * float(line.get("width", 1)),
            zorder=_TOP,
        )
    )


def _where(canvas: Canvas, note: Mapping[str, Any]) -> tuple[float, float, Any]:
    axes: Axes = canvas.axes
    x_share, y_share = _is_share(note, "x"), _is_share(note, "y")
    x = float(note["x"]) if x_share else canvas.x.number(note["x"])
    y = float(note["y"]) if y_share else canvas.y.number(note["y"])
    if x_share and y_share:
        return x, y, axes.transAxes
    if x_share:
        return x, y, axes.get_yaxis_transform()
    return x, y, axes.get_xaxis_transform() if y_share else axes.transData


def _is_share(one: Mapping[str, Any], along: str) -> bool:
    """Whether a place is a share of the width or height, and no number on the axis."""
    return str(one.get(f"{along}ref", along)).endswith(("paper", "domain"))
