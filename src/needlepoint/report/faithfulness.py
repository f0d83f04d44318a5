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
        "Faithfulness: the share of the behaviour, in the metric of this study, that is left when "
        "only the top heads work normally and every other head is fed the corrupt prompt.",
        "0 means that nothing is left, 1 that the chosen heads do it all. Each line takes the "
        "heads from the top of one ranking; bars are intervals over prompts. The grey bar holds "
        "95 % of random sets with as many heads as the reported circuit, its dot is their median. "
        "The further a line lies above it, the less is owed to the mere number of heads.",
        "Values above 1 can occur: leaving out heads that work against the answer can strengthen "
        "it. A faithful set need not be the only one, nor the smallest.",
    )

    def frame(self) -> pd.DataFrame:
        """One row for each ranked circuit; random ones are summed up by size."""
        runs = self.runs if "ranked_by" in self.runs else self.runs.assign(ranked_by="")
        columns = ["size", "kind", "ranked_by", "faithfulness", "low", "high"]
        ranked = runs.loc[runs["kind"] == "ranked", columns].assign(draws=1)
        ranked = ranked.sort_values(["ranked_by", "size"], ignore_index=True)
        drawn = runs[runs["kind"] == "random"].groupby("size")["faithfulness"]
        random = pd.DataFrame(
            {
                "kind": "random",
                "ranked_by": "random",
                "faithfulness": drawn.median(),
                "low": drawn.quantile(0.025),
                "high": drawn.quantile(0.975),
                "draws": drawn.count(),
            }
        ).reset_index()
        parts = [part for part in (ranked, random) if len(part)]
        return pd.concat(parts, ignore_index=True) if parts else ranked

    def figure(self) -> Any:
        """A line with error bars for each ranking, and the spread of random sets."""
        frame = self.frame()
        figure = theme.new_figure(height=360)
        figure.update_layout(showlegend=True, margin_t=36)
        self._draw_random(figure, frame[frame["kind"] == "random"])
        ranked = frame[frame["kind"] == "ranked"]
        for number_, (name, line) in enumerate(ranked.groupby("ranked_by", sort=False)):
            self._draw_ranked(figure, line, str(name), theme.stroke(number_))
        theme.reference_line(figure, 0.0, "", vertical=False)
        theme.reference_line(figure, 1.0, "the whole model", vertical=False, at=0.0)
        figure.update_xaxes(title_text="number of heads kept", showgrid=False, rangemode="tozero")
        figure.update_yaxes(title_text="faithfulness")
        return figure

    def _draw_random(self, figure: Any, random: pd.DataFrame) -> None:
        middle = random["faithfulness"]
        figure.add_scatter(
            x=random["size"].tolist(),
            y=middle.tolist(),
            error_y=_bars(random, theme.GREY, thickness=7.0, width=0),
            mode="lines+markers",
            line={"color": theme.GREY, "width": 1.5},
            marker={"size": 8, "color": theme.PAPER, "line": {"color": theme.GREY, "width": 2}},
            name="random heads",
            hovertemplate="%{x} random heads: %{y:.2f}<extra></extra>",
        )

    def _draw_ranked(
        self, figure: Any, ranked: pd.DataFrame, name: str, stroke: dict[str, Any]
    ) -> None:
        own = name in ("causal effect", "")
        chosen = (ranked["size"] == self.chosen) & own
        label = f"top heads by {name.replace('_', ' ')}" if name else "top heads"
        figure.add_scatter(
            x=ranked["size"].tolist(),
            y=ranked["faithfulness"].tolist(),
            error_y=_bars(ranked, stroke["color"], thickness=1.2, width=3),
            mode="lines+markers",
            line={**stroke, "width": 2.5},
            marker={
                "size": [12 if is_chosen else 7 for is_chosen in chosen],
                "color": stroke["color"],
                "line": {"color": theme.PAPER, "width": 1.5},
            },
            name=f"{label} (large dot: the circuit)" if chosen.any() else label,
            hovertemplate=f"top %{{x}} heads by {name or 'rank'}: %{{y:.2f}}<extra></extra>",
        )

    def alt(self) -> str:
        """Faithfulness at each size, for top and for random heads."""
        frame = self.frame()
        listed = [
            f"{row['ranked_by'] or row['kind']} {row['size']} heads {number(row['faithfulness'])}"
            for row in frame.to_dict("records")
        ]
        return f"Line chart of faithfulness by number of heads: {', '.join(listed)}."


def _bars(frame: pd.DataFrame, colour: str, *, thickness: float, width: int) -> dict[str, Any]:
    """Error bars from `low` to `high` around `faithfulness`."""
    middle = frame["faithfulness"]
    return {
        "type": "data",
        "symmetric": False,
        "array": (frame["high"] - middle).tolist(),
        "arrayminus": (middle - frame["low"]).tolist(),
        "color": colour,
        "thickness": thickness,
        "width": width,
    }
