"""The picture of how much of the behaviour a set of heads carries on its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from needlepoint.report import theme
from needlepoint.report.display import Display, Words
from needlepoint.report.random_sets import RandomSets
from needlepoint.report.text import label as text_label
from needlepoint.report.text import number


@dataclass(frozen=True)
class Faithfulness(Display):
    """Faithfulness of the top heads against their number, beside random sets of equal size."""

    runs: pd.DataFrame
    """The table `faithfulness` of a circuit record."""

    chosen: int | None = None
    """Size of the circuit that the record reports, marked in the picture."""

    names: Mapping[str, str] = field(default_factory=dict)
    """What methods are called."""

    title = "How much of the behaviour the top heads carry alone"

    @property
    def words(self) -> Words:
        """The explanation under the picture."""
        return Words(
            "Faithfulness: the share of the behaviour, in the metric of this study, that is left "
            "when only the top heads work normally and every other head is replaced (by its value "
            "on the corrupt prompt, if nothing else was asked for).",
            "0 means that nothing is left, 1 that the chosen heads do it all. Each line takes the "
            f"heads from the top of one ranking; bars are intervals over prompts. {self._drawn} "
            "The further a line lies above them, the less is owed to the mere number of heads.",
            "Values above 1 can occur: leaving out heads that work against the answer can "
            "strengthen it. A faithful set need not be the only one, nor the smallest.",
        )

    @property
    def random(self) -> RandomSets:
        """What random sets of heads keep."""
        return RandomSets.of(self.runs)

    @property
    def _drawn(self) -> str:
        """What is grey in the picture, with the number of draws."""
        random = self.random
        said = []
        if random.band:
            said.append(
                f"The grey band holds what random sets of so many heads keep ({random.band_words} "
                "random orders of the heads, each cut at every size), its line is their median."
            )
        if random.bars:
            sizes = " and ".join(str(size) for size in random.bars)
            said.append(
                f"The grey bar at {sizes} heads holds {random.bar_words} random sets of that size, "
                "its dot is their median."
            )
        return " ".join(said) or "No random sets were run."

    def frame(self) -> pd.DataFrame:
        """One row for each ranked circuit; random ones are summed up by size.

        `low` to `high` is what `holds` says; of `draws` random sets there are two rows at the size
        of the circuit, where more were drawn than the few that were followed over all sizes.
        """
        runs = self.runs if "ranked_by" in self.runs else self.runs.assign(ranked_by="")
        columns = ["size", "kind", "ranked_by", "faithfulness", "low", "high"]
        ranked = runs.loc[runs["kind"] == "ranked", columns]
        ranked = ranked.sort_values(["ranked_by", "size"], ignore_index=True)
        ranked = ranked.assign(draws=1, holds="95 % interval over prompts")
        parts = [part for part in (ranked, self._random_frame()) if len(part)]
        return pd.concat(parts, ignore_index=True) if parts else ranked

    def _random_frame(self) -> pd.DataFrame:
        random = self.random
        kinds = [(random.band, random.n_orders, random.band_words)]
        kinds += [(random.bars, random.n_drawn, random.bar_words)]
        return pd.DataFrame(
            [
                {"size": size, "kind": "random", "ranked_by": "random", "faithfulness": middle}
                | {"low": low, "high": high, "draws": n, "holds": holds}
                for spreads, n, holds in kinds
                for size, (low, middle, high) in sorted(spreads.items())
            ]
        )

    def figure(self) -> Any:
        """A line with error bars for each ranking, and the spread of random sets."""
        frame = self.frame()
        figure = theme.new_figure(height=380)
        figure.update_layout(showlegend=True, margin_t=36)
        self._draw_band(figure)
        self._draw_bars(figure)
        ranked = frame[frame["kind"] == "ranked"]
        for number_, (name, line) in enumerate(ranked.groupby("ranked_by", sort=False)):
            self._draw_ranked(figure, line, str(name), theme.stroke(number_))
        theme.reference_line(figure, 0.0, "", vertical=False)
        theme.reference_line(figure, 1.0, "the whole model", vertical=False, at=0.0)
        sizes = sorted({int(size) for size in frame["size"]})
        figure.update_xaxes(
            title_text="number of heads kept",
            type="log",
            showgrid=False,
            tickvals=apart(sizes),
            ticktext=[str(size) for size in apart(sizes)],
            range=[math.log10(sizes[0]) - 0.06, math.log10(sizes[-1]) + 0.06],
        )
        figure.update_yaxes(title_text="faithfulness")
        return figure

    def _draw_band(self, figure: Any) -> None:
        """The area of random sets over all sizes, and its median."""
        random = self.random
        if not random.band:
            return
        sizes = sorted(random.band)
        low, middle, high = zip(*(random.band[size] for size in sizes), strict=True)
        figure.add_scatter(
            x=[*sizes, *reversed(sizes)],
            y=[*high, *reversed(low)],
            mode="lines",
            fill="toself",
            fillcolor=theme.BAND,
            line={"color": theme.BAND, "width": 0},
            opacity=0.7,
            name=f"random heads: {random.band_words}",
            hoverinfo="skip",
        )
        figure.add_scatter(
            x=sizes,
            y=list(middle),
            mode="lines",
            line={"color": theme.GREY, "width": 1.5},
            name="their median",
            showlegend=False,
            hovertemplate="%{x} random heads: %{y:.2f} in the median<extra></extra>",
        )

    def _draw_bars(self, figure: Any) -> None:
        """Where more random sets were drawn: where most of them lie."""
        random = self.random
        if not random.bars:
            return
        low, middle, high = zip(*random.bars.values(), strict=True)
        bars = pd.DataFrame({"faithfulness": middle, "low": low, "high": high})
        figure.add_scatter(
            x=list(random.bars),
            y=list(middle),
            error_y=error_bars(bars, "faithfulness", theme.GREY, thickness=5.0, width=0),
            mode="markers",
            marker={"size": 8, "color": theme.PAPER, "line": {"color": theme.GREY, "width": 2}},
            name=f"random heads: {random.bar_words}",
            hovertemplate="%{x} random heads: %{y:.2f} in the median<extra></extra>",
        )

    def _draw_ranked(
        self, figure: Any, ranked: pd.DataFrame, name: str, stroke: dict[str, Any]
    ) -> None:
        own = name in ("causal effect", "")
        chosen = (ranked["size"] == self.chosen) & own
        label = f"top heads by {text_label(self.names.get(name, name))}" if name else "top heads"
        figure.add_scatter(
            x=ranked["size"].tolist(),
            y=ranked["faithfulness"].tolist(),
            error_y=error_bars(ranked, "faithfulness", stroke["color"], thickness=1.2, width=3),
            mode="lines+markers",
            line={**stroke, "width": 2.5},
            marker={
                "size": [12 if is_chosen else 7 for is_chosen in chosen],
                "color": stroke["color"],
                "line": {"color": theme.PAPER, "width": 1.5},
            },
            name=f"{label} (large dot: the circuit)" if chosen.any() else label,
            hovertemplate="top %{x} heads: %{y:.2f}<extra>%{fullData.name}</extra>",
        )

    def alt(self) -> str:
        """Faithfulness at each size, for top and for random heads."""
        frame = self.frame()
        listed = [
            f"{row['ranked_by'] or row['kind']} {row['size']} heads {number(row['faithfulness'])}"
            for row in frame.to_dict("records")
        ]
        return f"Line chart of faithfulness by number of heads: {', '.join(listed)}."


def apart(sizes: list[int]) -> list[int]:
    """Sizes with room for their numbers on an axis whose steps multiply, from the last one down.

    Example:
        >>> apart([1, 5, 10, 18, 20, 40])
        [1, 5, 10, 20, 40]
    """
    kept: list[int] = []
    for size in reversed(sizes):
        if not kept or kept[-1] >= 1.25 * size:
            kept.append(size)
    return kept[::-1]


def error_bars(
    frame: pd.DataFrame, column: str, colour: str, *, thickness: float, width: int
) -> dict[str, Any]:
    """Error bars from `low` to `high` around a column."""
    middle = frame[column]
    return {
        "type": "data",
        "symmetric": False,
        "array": (frame["high"] - middle).tolist(),
        "arrayminus": (middle - frame["low"]).tolist(),
        "color": colour,
        "thickness": thickness,
        "width": width,
    }
