"""One axis of a picture: where names stand, what is ticked, which way it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import (
    EngFormatter,
    MaxNLocator,
    MultipleLocator,
    NullFormatter,
    PercentFormatter,
)

from needlepoint.report.figures.lettering import folded, words

CROWDED = 60
"""Letters that stand side by side under a picture; more are turned upright."""


@dataclass(frozen=True)
class Places:
    """What the values along one axis stand for: numbers, or names in an order."""

    names: tuple[str, ...]
    """Names from the first place on; none for an axis of numbers."""
    options: Mapping[str, Any]
    """The axis of the plotly layout."""

    @classmethod
    def along(
        cls,
        which: Literal["x", "y"],
        traces: Sequence[Mapping[str, Any]],
        layout: Mapping[str, Any],
    ) -> Places:
        """One axis of a plotly figure; its names are those that its traces give."""
        options = layout.get(f"{which}axis") or {}
        found: list[str] = [str(name) for name in options.get("categoryarray") or []]
        for trace in traces:
            values = trace.get(which)
            values = [] if values is None else values
            if options.get("type") == "category" or any(isinstance(one, str) for one in values):
                found += [str(value) for value in values]
        return cls(tuple(dict.fromkeys(found)), options)

    def numbers(self, values: Any) -> Any:
        """Where values stand; NaN for what is undefined."""
        if self.names:
            return np.array([float(self.names.index(str(value))) for value in values])
        return np.array([np.nan if value is None else float(value) for value in values])

    def number(self, value: Any) -> float:
        """Where one value stands."""
        found = self.numbers([value])
        return float(found[0])

    @property
    def logarithmic(self) -> bool:
        """Whether steps multiply."""
        return self.options.get("type") == "log"

    def settle(self, axes: Axes, which: Literal["x", "y"], fold: int) -> None:
        """Give matplotlib's axis the same scale, range, ticks and title.

        Args:
            axes: What it belongs to; all marks are drawn.
            which: `x` or `y`.
            fold: Letters in a line of a tick's name.
        """
        axis, options = getattr(axes, f"{which}axis"), self.options
        limit = getattr(axes, f"set_{which}lim")
        if self.logarithmic:
            getattr(axes, f"set_{which}scale")("log")
        title = (options.get("title") or {}).get("text")
        if title:
            axis.set_label_text(words(title))
        self._tick(axis, which, fold)
        if options.get("showgrid") is not False:
            axis.grid(True)
        if options.get("range"):
            limit(*(10.0**end if self.logarithmic else end for end in options["range"]))
        elif self.names:
            limit(-0.5, len(self.names) - 0.5)
        elif options.get("rangemode") == "tozero":
            limit(left=0) if which == "x" else limit(bottom=0)
        if options.get("autorange") == "reversed":
            getattr(axes, f"invert_{which}axis")()

    def _tick(self, axis: Any, which: str, fold: int) -> None:
        options = self.options
        if options.get("showticklabels") is False or options.get("visible") is False:
            axis.set_ticks([])
        elif self.names:
            axis.set_ticks(range(len(self.names)), [folded(name, fold) for name in self.names])
            crowded = which == "x" and sum(map(len, self.names)) > CROWDED
            axis.set_tick_params(length=0, labelrotation=90 if crowded else 0)
        elif options.get("tickvals") is not None:
            ticks = options["tickvals"]
            names = options.get("ticktext") or [f"{tick:g}" for tick in ticks]
            axis.set_ticks(ticks, [folded(name, fold) for name in names])
            axis.set_minor_formatter(NullFormatter())
        elif str(options.get("tickformat", "")).endswith("%"):
            axis.set_major_formatter(PercentFormatter(1.0, decimals=None))
        elif self.logarithmic:
            axis.set_major_formatter(EngFormatter(sep=""))
            axis.set_minor_formatter(NullFormatter())
        elif options.get("dtick"):
            axis.set_major_locator(MultipleLocator(float(options["dtick"])))
        elif options.get("nticks"):
            axis.set_major_locator(MaxNLocator(int(options["nticks"])))
