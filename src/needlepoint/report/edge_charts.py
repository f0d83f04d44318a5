"""What cutting the edges that a method puts first really does, beside what the method says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from needlepoint.report import theme
from needlepoint.report.display import Display, Words
from needlepoint.report.measured import LOGITS, Measured
from needlepoint.report.text import label, number


@dataclass(frozen=True)
class LeadingEdges(Display):
    """The exact effects of a method's leading edges, with its own estimates where it has any."""

    edges: pd.DataFrame
    """The rows of one method in the table `edges` of a circuit record."""
    name: str
    """The method, for people."""
    estimates: bool = False
    """Whether its scores estimate the effects and can be drawn on their axis."""
    measured: Measured = LOGITS
    """What the effects are changes of."""
    n: int = 15
    """How many edges are drawn at most."""

    @property
    def title(self) -> str:
        """What the picture is called."""
        return f"What the leading edges really do: {self.name}"

    @property
    def words(self) -> Words:
        """The explanation under the picture."""
        side = (
            "Left of zero the edge helps the model to the right answer. "
            if self.measured.directed
            else ""
        )
        beside = (
            "The hollow diamond is what the method estimated; far from the dot, the method was "
            "wrong about the size of the effect. "
            if self.estimates
            else ""
        )
        return Words(
            "Edges that the method puts first, from writer to reader. The dot is the measured "
            f"change of the {self.measured.metric} when only that edge is cut (path patching), the "
            "bar its interval over prompt pairs.",
            f"{side}An edge is confirmed (blue) if its bar does not reach zero; the others are "
            f"grey. {beside}Edges that nobody patched are missing here; the table has them.",
            "Edges are cut one at a time: two that stand in for one another can both look idle. "
            "Only edges that some method put forward were measured.",
        )

    def frame(self) -> pd.DataFrame:
        """`rank, edge, score, effect, effect_low, effect_high, confirmed`, best ranks first."""
        known = self.edges.dropna(subset=["effect"]).sort_values("rank").head(self.n)
        found = known.assign(edge=[edge_name(row) for row in known.to_dict("records")])
        columns = ["rank", "edge", "score", "effect", "effect_low", "effect_high", "confirmed"]
        return found[columns].reset_index(drop=True)

    def figure(self) -> Any:
        """A forest plot: one row for each edge."""
        rows = self.frame().to_dict("records")
        figure = theme.new_figure(height=110 + 27 * len(rows))
        figure.update_layout(showlegend=self.estimates, margin_t=30)
        figure.update_yaxes(autorange="reversed", showgrid=False)
        names = [label(row["edge"]) for row in rows]
        colours = [theme.BLUE if row["confirmed"] else theme.GREY for row in rows]
        for row, name, colour in zip(rows, names, colours, strict=True):
            figure.add_scatter(
                x=[row["effect_low"], row["effect_high"]],
                y=[name, name],
                mode="lines",
                line={"color": colour, "width": 2.5},
                hoverinfo="skip",
                showlegend=False,
            )
        if self.estimates:
            self._draw_estimates(figure, rows, names)
        figure.add_scatter(
            x=[row["effect"] for row in rows],
            y=names,
            mode="markers",
            marker={"size": 9, "color": colours},
            name="measured",
            hovertext=[self._hover(row) for row in rows],
            hoverinfo="text",
        )
        theme.reference_line(figure, 0.0, "", vertical=True)
        figure.update_xaxes(title_text=f"change of {self.measured.metric} ({self.measured.unit})")
        return figure

    def _draw_estimates(self, figure: Any, rows: list[dict[Any, Any]], names: list[str]) -> None:
        figure.add_scatter(
            x=[row["score"] for row in rows],
            y=names,
            mode="markers",
            marker={"size": 11, "symbol": "diamond-open", "color": theme.ORANGE},
            name="estimated by the method",
            hovertext=[f"estimate {number(row['score'], signed=True)}" for row in rows],
            hoverinfo="text",
        )

    def _hover(self, row: dict[Any, Any]) -> str:
        return (
            f"<b>{label(row['edge'])}</b><br>effect {self.measured.amount(row['effect'])} "
            f"({number(row['effect_low'], signed=True)} to "
            f"{number(row['effect_high'], signed=True)})<br>"
            f"{'confirmed' if row['confirmed'] else 'not told from zero'}"
        )

    def alt(self) -> str:
        """The edges in order with their effects."""
        listed = ", ".join(
            f"{row['edge']} {number(row['effect'])}" for row in self.frame().to_dict("records")
        )
        return f"Dot plot of the measured effects of the leading edges of {self.name}: {listed}."


def edge_name(row: dict[Any, Any]) -> str:
    """Writer and reader of a row of the table `edges`.

    Example:
        >>> edge_name({"writer": "embed", "reader": "L0.H1.q"})
        'embed \u2192 L0.H1.q'
    """
    return f"{row['writer']} \u2192 {row['reader']}"
