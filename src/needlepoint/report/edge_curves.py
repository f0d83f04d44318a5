"""The picture of how much of the behaviour circuits of edges keep, from few edges to all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from needlepoint.report import theme
from needlepoint.report.display import Display, Words
from needlepoint.report.text import label, number

LARGEST, HELPFUL = "largest first", "helpful first"
FRAME = (-1.5, 2.5)
"""Faithfulness beyond this is not drawn: one wild circuit would flatten all the others."""

AXES = {
    "faithfulness": ("everything cut", "the whole model", "kept"),
    "completeness": ("the whole model", "everything cut", "cut"),
}
"""What 0 and 1 are, and what is done with the edges of a circuit."""
COMPLETENESS = Words(
    "Completeness: 1 less the share of the behaviour that is left when the edges of a circuit are "
    "cut and all others kept, on prompts that took no part. The edges with the largest scores come "
    "first, whatever their sign. The horizontal axis is the share of edges in the circuit.",
    "1 means that nothing is left without these edges. Bars are intervals over prompt pairs; grey "
    "lines are controls.",
    "To break a behaviour it is enough to cut what it cannot do without, so a circuit can be "
    "complete and far from faithful.",
)


@dataclass(frozen=True)
class EdgeCurves(Display):
    """Faithfulness against the share of edges kept, one line for each method."""

    curves: pd.DataFrame
    """The table `curves` of a circuit record, or `edge_completeness`."""
    order: str = LARGEST
    """Which edges come first: `largest first` or `helpful first`."""
    names: dict[str, str] = field(default_factory=dict)
    """What methods are called, in the order in which they are drawn."""
    controls: frozenset[str] = frozenset()
    """Methods that are there to be beaten, drawn in grey."""
    measure: Literal["faithfulness", "completeness"] = "faithfulness"
    """Of which of them the table is."""

    @property
    def title(self) -> str:
        """What the picture is called."""
        if self.measure == "completeness":
            return f"How much of the behaviour is gone without circuits of edges ({self.order})"
        return f"How much of the behaviour circuits of edges keep ({self.order})"

    @property
    def words(self) -> Words:
        """The explanation under the picture."""
        if self.measure == "completeness":
            return COMPLETENESS
        taken = (
            "the edges with the largest scores first, whatever their sign"
            if self.order == LARGEST
            else "the edges first that the method says help"
        )
        area = (
            "CMD is the area between a line and 1"
            if self.order == LARGEST
            else "CPR is the area under a line"
        )
        return Words(
            "Faithfulness of the circuits that each method builds, on prompts that took no part: "
            f"{taken}. All other edges are cut. The horizontal axis is the share of edges kept, "
            "each step to the right ten times as many.",
            "1 is the whole model, 0 the model with everything cut. The further left a line rises "
            f"to 1, the smaller the circuit that does the work. {area}, with shares on an even "
            "axis. Bars are intervals over prompt pairs; grey lines are controls.",
            "Below and above the frame there can be points, which are among the numbers: few edges "
            "can do worse than none, and a circuit without hindering parts better than the model.",
        )

    def frame(self) -> pd.DataFrame:
        """`method, label, share, size, n_edges`, the measure, `low, high`, in order of names."""
        rows = self.curves[self.curves["order"] == self.order]
        known = [name for name in self.names if name in set(rows["method"])]
        order = [*known, *dict.fromkeys(name for name in rows["method"] if name not in known)]
        parts = [rows[rows["method"] == name].sort_values("share") for name in order]
        found = pd.concat(parts) if parts else rows
        found = found.assign(label=[self.names.get(name, name) for name in found["method"]])
        columns = ["method", "label", "share", "size", "n_edges", self.measure, "low", "high"]
        return found[columns].reset_index(drop=True)

    def figure(self) -> Any:
        """A line with error bars for each method, on a logarithmic axis of shares."""
        figure = theme.new_figure(height=400)
        figure.update_layout(showlegend=True, margin_t=44)
        place = 0
        for method, line in self.frame().groupby("method", sort=False):
            if method in self.controls:
                self._draw(figure, line, {"color": theme.GREY, "dash": "dot"})
            else:
                self._draw(figure, line, theme.stroke(place))
                place += 1
        nothing, whole, edges = AXES[self.measure]
        theme.reference_line(figure, 0.0, nothing, vertical=False)
        theme.reference_line(figure, 1.0, whole, vertical=False, at=0.0)
        figure.update_xaxes(title_text=f"share of edges {edges}", type="log", showgrid=False)
        ticks = [0.001, 0.01, 0.1, 1.0]
        figure.update_xaxes(tickvals=ticks, ticktext=["0.1 %", "1 %", "10 %", "all"])
        figure.update_yaxes(title_text=self.measure, range=self._range())
        return figure

    def _range(self) -> list[float]:
        values = self.frame()[self.measure].dropna()
        low, high = min([0.0, *values.tolist()]), max([1.0, *values.tolist()])
        return [max(low - 0.12, FRAME[0]), min(high + 0.12, FRAME[1])]

    def _draw(self, figure: Any, line: pd.DataFrame, stroke: dict[str, Any]) -> None:
        middle = line[self.measure]
        figure.add_scatter(
            x=line["share"].tolist(),
            y=middle.tolist(),
            error_y={
                "type": "data",
                "symmetric": False,
                "array": (line["high"] - middle).tolist(),
                "arrayminus": (middle - line["low"]).tolist(),
                "color": stroke["color"],
                "thickness": 1.0,
                "width": 2,
            },
            mode="lines+markers",
            line={**stroke, "width": 2.2},
            marker={"size": 6, "color": stroke["color"]},
            name=label(line["label"].iloc[0]),
            hovertext=[self._hover(row) for row in line.to_dict("records")],
            hoverinfo="text",
        )

    def alt(self) -> str:
        """For each method, the smallest share that keeps nine tenths of the behaviour."""
        found = []
        for _, line in self.frame().groupby("method", sort=False):
            enough = line[line[self.measure] >= 0.9]
            words = f"{number(100 * enough['share'].min(), 1)} %" if len(enough) else "at no size"
            found.append(f"{line['label'].iloc[0]} {words}")
        return (
            f"Line chart of {self.measure} by share of edges in the circuit. Smallest share with "
            f"0.9: {', '.join(found)}."
        )

    def _hover(self, row: dict[Any, Any]) -> str:
        return (
            f"<b>{label(row['label'])}</b><br>{number(100 * row['share'], 1)} % of edges "
            f"({number(int(row['size']))}; {number(int(row['n_edges']))} on a way through)<br>"
            f"{self.measure} {number(row[self.measure])} ({number(row['low'])} to "
            f"{number(row['high'])})"
        )
