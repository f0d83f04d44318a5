"""The picture of what circuits of heads leave of the behaviour, beside both kinds of chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from needlepoint.report import theme
from needlepoint.report.display import Display, Words
from needlepoint.report.faithfulness import apart, error_bars
from needlepoint.report.random_sets import RandomSets
from needlepoint.report.text import label, number

MATCHED = {"random": "random heads", "layers matched": "random heads of the same layers"}


@dataclass(frozen=True)
class Completeness(Display):
    """Completeness or faithfulness of the top heads, beside random ones of two kinds."""

    runs: pd.DataFrame
    """The table `completeness` of a circuit record, with `faithfulness_low` and `_high`."""
    measure: Literal["completeness", "faithfulness"] = "completeness"
    names: Mapping[str, str] = field(default_factory=dict)
    """What methods are called."""

    @property
    def title(self) -> str:
        """What the picture is called."""
        if self.measure == "completeness":
            return "How much of the behaviour is gone without the top heads"
        return "What the top heads carry alone, beside heads of the same layers"

    @property
    def words(self) -> Words:
        """The explanation under the picture."""
        shows = {
            "completeness": "Completeness: 1 less the share of the behaviour that is left when the "
            "top heads are replaced and every other head works normally.",
            "faithfulness": "Faithfulness: the share of the behaviour that is left when only the "
            "top heads work normally and every other head is replaced.",
        }
        return Words(
            shows[self.measure],
            "1 is the aim of both: the circuit does it all, and nothing else can. The grey marks "
            f"are random heads, {self._drawn}: as many as the circuit has, and as many in each "
            "layer as the circuit of the heads with the largest effects has there.",
            "To break a behaviour it can be enough to hit one head that it needs: many random "
            "circuits are complete without being faithful. Where heads stand in for one another a "
            "faithful circuit need not be complete.",
        )

    def _random(self, kind: str) -> RandomSets:
        runs = self.runs[self.runs["kind"] == kind]
        return RandomSets.of(runs.assign(kind="random", faithfulness=runs[self.measure]))

    @property
    def _drawn(self) -> str:
        """How many were drawn, and what a bar holds of them."""
        random = self._random("random")
        said = [f"{random.band_words} at every size"] if random.band else []
        said += [f"{random.bar_words} at {size}" for size in random.bars]
        return " and ".join(said) or "none of which were run"

    def frame(self) -> pd.DataFrame:
        """`size, kind, ranked_by`, the measure, `low, high, holds`; random ones are summed up."""
        ranked = self.runs[self.runs["kind"] == "ranked"].assign(holds="95 % interval over prompts")
        if self.measure == "faithfulness":
            ends = {end: ranked[f"faithfulness_{end}"] for end in ("low", "high")}
            ranked = ranked.assign(**ends)
        columns = ["size", "kind", "ranked_by", self.measure, "low", "high", "holds"]
        rows = [
            (size, kind, kind, middle, low, high, holds)
            for kind in MATCHED
            for size, (low, middle, high), holds in _spreads(self._random(kind))
        ]
        parts = [ranked[columns], pd.DataFrame(rows, columns=columns)]
        return pd.concat([part for part in parts if len(part)], ignore_index=True)

    def figure(self) -> Any:
        """A line for each ranking; random circuits as grey bars around their median."""
        frame = self.frame()
        figure = theme.new_figure(height=380)
        figure.update_layout(showlegend=True, margin_t=36)
        for dash, (kind, name) in zip(("dot", "dash"), MATCHED.items(), strict=True):
            _draw_random(figure, frame[frame["kind"] == kind], self.measure, name, dash)
        ranked = frame[frame["kind"] == "ranked"]
        for place, (by, one) in enumerate(ranked.groupby("ranked_by", sort=False)):
            self._draw_ranked(figure, one, str(by), theme.stroke(place))
        theme.reference_line(figure, 0.0, "", vertical=False)
        theme.reference_line(figure, 1.0, "the aim", vertical=False, at=0.0)
        sizes = sorted({int(size) for size in frame["size"]})
        shown = apart(sizes)
        figure.update_xaxes(
            title_text="number of heads in the circuit",
            type="log",
            showgrid=False,
            tickvals=shown,
            ticktext=[str(size) for size in shown],
            range=[math.log10(sizes[0]) - 0.06, math.log10(sizes[-1]) + 0.06],
        )
        figure.update_yaxes(title_text=self.measure)
        return figure

    def _draw_ranked(
        self, figure: Any, ranked: pd.DataFrame, name: str, stroke: dict[str, Any]
    ) -> None:
        bars = error_bars(ranked, self.measure, stroke["color"], thickness=1.2, width=3)
        figure.add_scatter(
            x=ranked["size"].tolist(),
            y=ranked[self.measure].tolist(),
            error_y=bars,
            mode="lines+markers",
            line={**stroke, "width": 2.5},
            marker={"size": 7, "color": stroke["color"]},
            name=f"top heads by {label(self.names.get(name, name))}",
            hovertemplate="top %{x} heads: %{y:.2f}<extra>%{fullData.name}</extra>",
        )

    def alt(self) -> str:
        """The measure at each size, for ranked and for random heads."""
        listed = [
            f"{row['ranked_by']} {row['size']} heads {number(row[self.measure])}"
            for row in self.frame().to_dict("records")
        ]
        return f"Line chart of {self.measure} by number of heads: {', '.join(listed)}."


def _spreads(random: RandomSets) -> list[tuple[int, tuple[float, float, float], str]]:
    """Size, points and what they hold, of the most draws there are at a size."""
    found = [(size, random.at(size)) for size in random.sizes]
    return [(size, one[0], one[2]) for size, one in found if one is not None]


def _draw_random(figure: Any, rows: pd.DataFrame, measure: str, name: str, dash: str) -> None:
    if rows.empty:
        return
    figure.add_scatter(
        x=rows["size"].tolist(),
        y=rows[measure].tolist(),
        error_y=error_bars(rows, measure, theme.GREY, thickness=2.0, width=4),
        mode="lines+markers",
        line={"color": theme.GREY, "width": 1.5, "dash": dash},
        marker={"size": 6, "color": theme.GREY},
        name=name,
        hovertemplate="%{x} heads: %{y:.2f} in the median<extra>%{fullData.name}</extra>",
    )
