"""How figures for papers look: one font in print sizes, thin lines, the page's light colours."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from matplotlib import rc_context
from matplotlib.colors import Colormap, LinearSegmentedColormap

from needlepoint.report import theme
from needlepoint.report.figures.lettering import FONT

WIDTH = 5.5
"""Inches: the text of a page in one column; 3.25 is one column of two."""
PER_INCH = 150.0
"""Pixels of the page's picture to an inch of height."""
POINTS = 0.62
"""Points for a pixel of a mark or line of the page."""

_SETTINGS: Any = {
    "font.family": [FONT],
    "font.size": 7.5,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "axes.edgecolor": theme.GREY,
    "axes.labelcolor": theme.INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": theme.MUTED,
    "ytick.color": theme.MUTED,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "grid.color": theme.GRID,
    "grid.linewidth": 0.5,
    "hatch.color": theme.GREY,
    "hatch.linewidth": 0.4,
    "text.parse_math": False,
    "pdf.fonttype": 42,  # whole outlines: letters stay letters, as journals ask
    "svg.hashsalt": "needlepoint",  # so that the same numbers give the same file
    "savefig.dpi": 300,
}

SYMBOLS = {
    "circle": "o",
    "diamond": "D",
    "square": "s",
    "x": "x",
    "x-thin": "x",
    "line-ns": "|",
    "triangle-up": "^",
}
DASHES = {"solid": "-", "dash": (0, (4, 2)), "dot": (0, (1, 1.4))}


def printed() -> AbstractContextManager[None]:
    """Draw and save within it; the settings of the caller's own figures stay as they are."""
    return rc_context(_SETTINGS)


def symbol(name: str) -> tuple[str, bool]:
    """The marker of matplotlib for one of plotly's, and whether it is hollow.

    Example:
        >>> symbol("diamond-open"), symbol("line-ns-open")
        (('D', True), ('|', True))
    """
    return SYMBOLS[name.removesuffix("-open")], name.endswith("-open")


def colour_map(scale: list[list[Any]]) -> Colormap:
    """The same colours as on the page; what is undefined stays transparent."""
    stops = [(float(place), str(colour)) for place, colour in scale]
    return LinearSegmentedColormap.from_list("page", stops).with_extremes(bad=(0, 0, 0, 0))
