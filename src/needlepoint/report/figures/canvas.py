"""Where marks are drawn, and what all kinds of marks share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from needlepoint.report.figures.lettering import words
from needlepoint.report.figures.places import Places
from needlepoint.report.figures.style import colour_map


@dataclass(frozen=True)
class Canvas:
    """Where marks are drawn: matplotlib's axes, and what their numbers and names stand for."""

    axes: Axes
    x: Places
    y: Places


def add_colour_bar(canvas: Canvas, of: Mapping[str, Any], low: Any, high: Any, bar: Any) -> None:
    """Draw the legend of a scale of colours, with its unit above it."""
    scale = ScalarMappable(Normalize(low, high), colour_map(of["colorscale"]))
    figure = canvas.axes.get_figure(root=True)
    assert figure is not None
    drawn = figure.colorbar(scale, ax=canvas.axes, fraction=0.04, pad=0.02, aspect=28)
    drawn.outline.set_visible(False)
    drawn.ax.set_title(words((bar.get("title") or {}).get("text", "")), fontsize=6.5, pad=4)


def numbers(values: Any) -> Any:
    """An array of numbers; NaN for what is undefined."""
    return np.array([np.nan if value is None else float(value) for value in values])


def name_of(trace: Mapping[str, Any]) -> str | None:
    """What a trace is called in the legend."""
    return words(trace["name"]) if trace.get("name") else None
