"""The picture of how much of the behaviour a set of heads carries on its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from needlepoint.report import theme
from needlepoint.report.display import Display, Words
from needlepoint.report.text import number


@dataclass(frozen=True)
class Faithfulness(Display):
    """Faithfulness of the top heads against their number, beside random sets of equal size."""

    runs: pd.DataFrame
    """The table `faithfulness` of a circuit record."""

    chosen: int | None = None
    """Size of the circuit that the record reports, marked in the picture."""

    title = "How much of the behaviour the top heads carry alone"
    words = Words(
        "Faithfulness: the share of the model's preference for the right answer that is left when "
        "only the top heads work normally and every other head is fed the corrupt prompt.",
        "0 means that nothing is left, 1 that the chosen heads do it all. The blue line takes the "
        "heads from the top of the ranking; the grey band holds 95 % of random sets with equally "
        "many heads, the grey line their median. The further the blue line rises above the band, "
        "the less the result is owed to the mere number of heads.",
        "Values above 1 can occur: leaving out heads that work against the answer can strengthen "
        "it. A faithful set need not be the only one, nor the smallest.",
    )

    def frame(self) -> pd.DataFrame:
        """`size, kind, faithfulness, low, high, draws`: random rows are summed up by size."""
        ranked = self.runs[self.runs["kind"] == "ranked"].sort_values("size")
        ranked = ranked[["size", "kind", "faithfulness", "low", "high"]].assign(draws=1)
        drawn = self.runs[self.runs["kind"] == "random"].groupby("size")["faithfulness"]
        random = pd.DataFrame(
            {
                "kind": "random",
                "faithfulness": drawn.median(),
                "low": drawn.quantile(0.025),
                "high": drawn.quantile(0.975),
                "draws": drawn.count(),
            }
        ).reset_index()
        parts = [part for part in (ranked, random) if len(part)]
        return pd.concat(parts, ignore_index=True) if parts else ranked

    def figure(self) -> Any:
        """A line with error bars over a band."""
        frame = self.frame()
        figure = theme.new_figure(height=360)
        figure.update_layout(showlegend=True, margin_t=36)
        self._draw_random(figure, frame[frame["kind"] == "random"])
        self._draw_ranked(figure, frame[frame["kind"] == "ranked"])
        theme.reference_line(figure, 0.0, "", vertical=False)
        theme.reference_line(figure, 1.0, "the whole model", vertical=False, at=0.0)
        figure.update_xaxes(title_text="number of heads kept", showgrid=False, rangemode="tozero")
        figure.update_yaxes(title_text="faithfulness")
        return figure

    def _draw_random(self, figure: Any, random: pd.DataFrame) -> None:
        sizes = random["size"].tolist()
        figure.add_scatter(
            x=sizes + sizes[::-1],
            y=random["high"].tolist() + random["low"].tolist()[::-1],
            fill="toself",
            fillcolor=theme.BAND,
            mode="lines",
            line={"width": 0, "color": theme.BAND},
            hoverinfo="skip",
            name="95 % of random sets",
        )
        figure.add_scatter(
            x=sizes,
            y=random["faithfulness"].tolist(),
            mode="lines+markers",
            line={"color": theme.GREY, "width": 1.5},
            marker={"size": 5},
            name="median random set",
            hovertemplate="%{x} random heads: %{y:.2f}<extra></extra>",
        )

    def _draw_ranked(self, figure: Any, ranked: pd.DataFrame) -> None:
        middle = ranked["faithfulness"]
        chosen = ranked["size"] == self.chosen
        figure.add_scatter(
            x=ranked["size"].tolist(),
            y=middle.tolist(),
            error_y={
                "type": "data",
                "symmetric": False,
                "array": (ranked["high"] - middle).tolist(),
                "arrayminus": (middle - ranked["low"]).tolist(),
                "color": theme.BLUE,
                "thickness": 1.2,
                "width": 3,
            },
            mode="lines+markers",
            line={"color": theme.BLUE, "width": 2.5},
            marker={
                "size": [12 if is_chosen else 7 for is_chosen in chosen],
                "color": theme.BLUE,
                "line": {"color": theme.PAPER, "width": 1.5},
            },
            name="top heads (large dot: the reported circuit)" if chosen.any() else "top heads",
            hovertemplate="top %{x} heads: %{y:.2f}<extra></extra>",
        )

    def alt(self) -> str:
        """Faithfulness at each size, for top and for random heads."""
        frame = self.frame()
        listed = [
            f"{row['kind']} {row['size']} heads {number(row['faithfulness'])}"
            for row in frame.to_dict("records")
        ]
        return f"Line chart of faithfulness by number of heads: {', '.join(listed)}."
