"""Colours that all pictures share, safe for colour-blind readers, on light and on dark paper.

Figures are made in the light colours. `DARK` says what each becomes on dark paper; the page's
script swaps them, so that one figure serves both.
"""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from plotly.colors import sample_colorscale

INK = "#1c2127"
MUTED = "#5a6472"
GRID = "#e4e6e8"
PAPER = "#fffffe"
BLUE = "#1f6aa5"
ORANGE = "#c8640f"
GREY = "#8b94a0"
BAND = "#d3d8de"
LINES = (BLUE, ORANGE)
"""Colours of the lines of one figure, in order."""
SERIES = (BLUE, ORANGE, "#2a8a57", "#8a4fa8", "#b3305c", "#0f8496", "#7d6a12")
"""Colours where there can be more lines than two."""
DASHES = ("solid", "dash", "dot")
"""Strokes of the lines, one for each time that the colours begin again."""
ON_STRONG = "#fffffd"

DARK = {
    INK: "#e8eaed",
    MUTED: "#a3adb8",
    GRID: "#2e353d",
    PAPER: "#181c21",
    BLUE: "#6cb2eb",
    ORANGE: "#f2a65a",
    GREY: "#7f8994",
    BAND: "#3a424b",
    ON_STRONG: "#0c0f12",
    "#2a8a57": "#63c592",
    "#8a4fa8": "#c79be0",
    "#b3305c": "#f084a6",
    "#0f8496": "#57c6d6",
    "#7d6a12": "#d3bd55",
    # the diverging scale, from helping through nothing to hurting
    "#0a4a86": "#8cc8ff",
    "#3d84bd": "#3f8fd2",
    "#a9cfe6": "#234d70",
    "#f7f7f6": "#23282e",
    "#f7c6a5": "#6b4420",
    "#d9783a": "#d98032",
    "#9c3a05": "#ffb877",
    # the sequential scale, from none to most
    "#fafbe8": "#1f2932",
    "#d5ebc8": "#24486b",
    "#93d2bb": "#2a6c93",
    "#48afc2": "#2c9a9d",
    "#2b79b3": "#6bc3a3",
    "#263f93": "#c0e497",
    "#0b1e58": "#fdfbc4",
}

DIVERGING: list[tuple[float, str]] = [
    (0.0, "#0a4a86"),
    (0.2, "#3d84bd"),
    (0.4, "#a9cfe6"),
    (0.5, "#f7f7f6"),
    (0.6, "#f7c6a5"),
    (0.8, "#d9783a"),
    (1.0, "#9c3a05"),
]
REVERSED: list[tuple[float, str]] = [(1.0 - place, colour) for place, colour in reversed(DIVERGING)]
"""For activations: blue is positive."""
SEQUENTIAL: list[tuple[float, str]] = [
    (0.0, "#fafbe8"),
    (0.15, "#d5ebc8"),
    (0.35, "#93d2bb"),
    (0.5, "#48afc2"),
    (0.65, "#2b79b3"),
    (0.82, "#263f93"),
    (1.0, "#0b1e58"),
]
"""For scores: rises evenly in darkness, so that it also reads in grey."""

FONT = (
    'ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", '
    '"Noto Sans", "Liberation Sans", Arial, sans-serif'
)


def stroke(place: int) -> dict[str, Any]:
    """Colour and dashes of one of many lines.

    Example:
        >>> stroke(0)["dash"], stroke(len(SERIES))["dash"]
        ('solid', 'dash')
    """
    turn, colour = divmod(place, len(SERIES))
    return {"color": SERIES[colour], "dash": DASHES[turn % len(DASHES)]}


def depth_colours(n_layers: int) -> tuple[list[str], dict[str, str]]:
    """One colour for each layer, early ones dark, and what each becomes on dark paper.

    Both come from viridis, cut where it would vanish into the paper.

    Example:
        >>> colours, dark = depth_colours(3)
        >>> len(colours), sorted(dark) == sorted(colours)
        (3, True)
    """
    places = [layer / max(n_layers - 1, 1) for layer in range(n_layers)]
    light = _viridis([0.85 * place for place in places])
    dark = _viridis([0.3 + 0.7 * place for place in places])
    return light, dict(zip(light, dark, strict=True))


def _viridis(places: list[float]) -> list[str]:
    return [_hex(colour) for colour in sample_colorscale("Viridis", places)]


def _hex(colour: str) -> str:
    parts = [int(float(part)) for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
    return "#" + "".join(f"{part:02x}" for part in parts)


def new_figure(height: int, *, dark: dict[str, str] | None = None) -> Any:
    """An empty plotly figure in the page's style; not yet any trace.

    Args:
        height: In pixels; the width follows the page.
        dark: What further colours, beyond `DARK`, become on dark paper.
    """
    axis = {
        "gridcolor": GRID,
        "linecolor": GREY,
        "zeroline": False,
        "automargin": True,
        "fixedrange": True,
        "title": {"standoff": 10, "font": {"size": 12.5, "color": MUTED}},
        "tickfont": {"size": 11.5, "color": MUTED},
    }
    layout = {
        "height": height,
        "margin": {"l": 12, "r": 12, "t": 10, "b": 12},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 12.5, "color": INK},
        "hoverlabel": {
            "bgcolor": PAPER,
            "bordercolor": GREY,
            "font": {"family": FONT, "color": INK, "size": 12.5},
            "align": "left",
        },
        "dragmode": False,
        "showlegend": False,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "xaxis": axis,
        "yaxis": axis,
        "meta": {"dark": dark or {}},
        "template": {},
    }
    return go.Figure(layout=layout)


def colour_bar(title: str) -> dict[str, Any]:
    """The legend of a heat map: thin, with the unit above it."""
    return {
        "title": {"text": title, "side": "top", "font": {"size": 11.5, "color": MUTED}},
        "thickness": 11,
        "len": 0.9,
        "outlinewidth": 0,
        "tickfont": {"size": 11, "color": MUTED},
        "xpad": 6,
    }


def reference_line(
    figure: Any, value: float, text: str, *, vertical: bool, at: float = 1.0
) -> None:
    """Draw a dashed line with its name: chance, nothing, all.

    Args:
        figure: The figure to draw into.
        value: Where the line stands, on the axis that it crosses.
        text: Its name.
        vertical: Whether it crosses the horizontal axis.
        at: Where a horizontal line's name ends, from 0 (left) to 1 (right).
    """
    line = {"color": MUTED, "width": 1.2, "dash": "dash"}
    note = {"text": text, "showarrow": False, "font": {"size": 11, "color": MUTED}}
    if vertical:
        figure.add_shape(type="line", x0=value, x1=value, y0=0, y1=1, yref="paper", line=line)
        figure.add_annotation(x=value, y=1, yref="paper", yanchor="bottom", **note)
    else:
        figure.add_shape(type="line", y0=value, y1=value, x0=0, x1=1, xref="paper", line=line)
        figure.add_annotation(
            y=value, x=at, xref="paper", xanchor="right" if at else "left", yanchor="bottom", **note
        )
