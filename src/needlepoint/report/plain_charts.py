"""Charts that any study can use: dots with intervals, lines with bands, boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from needlepoint.report import theme
from needlepoint.report.display import Display, Words
from needlepoint.report.text import label, missing, number
from needlepoint.report.ticks import few_ticks

STYLES: tuple[tuple[str, str, str], ...] = (
    (theme.BLUE, "solid", "circle"),
    (theme.ORANGE, "solid", "diamond"),
    (theme.INK, "dot", "square"),
    (theme.GREY, "dash", "x"),
    (theme.BLUE, "dash", "circle-open"),
    (theme.ORANGE, "dash", "diamond-open"),
    (theme.INK, "dash", "square-open"),
    (theme.GREY, "dot", "triangle-up"),
)
"""Colour, dash and mark of the series of one chart, in order."""
LEFT = ("label", "series", "estimate", "low", "high")


@dataclass(frozen=True)
class Axis:
    """The axis of the numbers."""

    title: str
    range: tuple[float, float] | None = None
    reference: float | None = None
    """Where a dashed line stands, such as 0 or chance."""
    reference_name: str = ""
    digits: int = 2


@dataclass(frozen=True)
class DotChart(Display):
    """Estimates with intervals, one row for each label, one mark for each series."""

    data: pd.DataFrame
    """`label, series, estimate, low, high`."""
    heading: str
    explanation: Words
    axis: Axis

    @property
    def title(self) -> str:
        """What the picture is called."""
        return self.heading

    @property
    def words(self) -> Words:
        """The explanation under the picture."""
        return self.explanation

    def frame(self) -> pd.DataFrame:
        """The numbers that are drawn."""
        return self.data[list(LEFT)].reset_index(drop=True)

    def figure(self) -> Any:
        """Dots with bars, rows from top to bottom."""
        data = self.frame().dropna(subset=["estimate"])
        labels = list(dict.fromkeys(data["label"]))
        series = list(dict.fromkeys(data["series"]))
        figure = theme.new_figure(height=110 + (18 + 10 * len(series)) * max(len(labels), 1))
        figure.update_layout(showlegend=len(series) > 1, margin_t=44 if len(series) > 1 else 24)
        for place, name in enumerate(series):
            part = data[data["series"] == name]
            colour, _, symbol = STYLES[place % len(STYLES)]
            offset = (place - (len(series) - 1) / 2) * 0.6 / max(len(series), 1)
            at = [labels.index(one) + offset for one in part["label"]]
            figure.add_scatter(
                x=part["estimate"].astype(float).tolist(),
                y=at,
                mode="markers",
                name=label(name),
                marker={"color": colour, "symbol": symbol, "size": 9},
                error_x=_bars(part, colour),
                hovertext=[f"{label(one)}, {label(name)}" for one in part["label"]],
                hovertemplate=f"%{{hovertext}}: %{{x:.{self.axis.digits}f}}<extra></extra>",
            )
        figure.update_yaxes(
            tickvals=list(range(len(labels))),
            ticktext=[label(one) for one in labels],
            range=[len(labels) - 0.4, -0.6],
            showgrid=False,
        )
        figure.update_xaxes(title_text=self.axis.title)
        if self.axis.range is not None:
            figure.update_xaxes(range=list(self.axis.range))
        if self.axis.reference is not None:
            theme.reference_line(
                figure, self.axis.reference, self.axis.reference_name, vertical=True
            )
        return figure

    def alt(self) -> str:
        """The estimates of the first series."""
        data = self.frame().dropna(subset=["estimate"])
        if data.empty:
            return f"{self.heading}: nothing is defined."
        first = data[data["series"] == data["series"].iloc[0]]
        rows = zip(first["label"], first["estimate"], strict=True)
        listed = ", ".join(f"{one} {number(value, self.axis.digits)}" for one, value in rows)
        return f"Dot plot, {self.heading}. {first['series'].iloc[0]}: {listed}."


@dataclass(frozen=True)
class LineChart(Display):
    """Lines over a number, with bands where intervals are known."""

    data: pd.DataFrame
    """`series, x, y, low, high`, and `name` where points have names."""
    heading: str
    explanation: Words
    axis: Axis
    x_title: str
    logarithmic: bool = False
    marks: bool = True

    @property
    def title(self) -> str:
        """What the picture is called."""
        return self.heading

    @property
    def words(self) -> Words:
        """The explanation under the picture."""
        return self.explanation

    def frame(self) -> pd.DataFrame:
        """The numbers that are drawn."""
        names = ["series", "x", "y", "low", "high"]
        names += ["name"] if "name" in self.data else []
        return self.data[names].reset_index(drop=True)

    def figure(self) -> Any:
        """One line for each series."""
        data = self.frame().dropna(subset=["y"])
        figure = theme.new_figure(height=400)
        series = list(dict.fromkeys(data["series"]))
        figure.update_layout(showlegend=len(series) > 1, margin_t=64 if len(series) > 1 else 20)
        for place, name in enumerate(series):
            part = data[data["series"] == name].sort_values("x")
            colour, dash, symbol = STYLES[place % len(STYLES)]
            points = part["name"] if "name" in part else part["x"]
            figure.add_scatter(
                x=part["x"].astype(float).tolist(),
                y=part["y"].astype(float).tolist(),
                mode="lines+markers" if self.marks else "lines",
                name=label(name),
                line={"color": colour, "dash": dash, "width": 2.4},
                marker={"color": colour, "symbol": symbol, "size": 8},
                error_y=_bars(part, colour, "y"),
                hovertext=[f"{label(one)}, {label(name)}" for one in points],
                hovertemplate=f"%{{hovertext}}: %{{y:.{self.axis.digits}f}}<extra></extra>",
            )
        figure.update_xaxes(title_text=self.x_title)
        if self.logarithmic:
            figure.update_xaxes(type="log", **few_ticks(data["x"]))
        figure.update_yaxes(title_text=self.axis.title)
        if self.axis.range is not None:
            figure.update_yaxes(range=list(self.axis.range))
        if self.axis.reference is not None:
            theme.reference_line(
                figure, self.axis.reference, self.axis.reference_name, vertical=False
            )
        return figure

    def alt(self) -> str:
        """Where each line begins and ends."""
        data = self.frame().dropna(subset=["y"])
        if data.empty:
            return f"{self.heading}: nothing is defined."
        ends = []
        for name, part in data.sort_values("x").groupby("series", sort=False):
            values = part["y"].astype(float).tolist()
            first, last = (number(one, self.axis.digits) for one in (values[0], values[-1]))
            ends.append(f"{name} from {first} to {last}")
        return f"Line chart, {self.heading}: {'; '.join(ends)}."


@dataclass(frozen=True)
class BoxChart(Display):
    """Boxes from percentiles, one for each label."""

    data: pd.DataFrame
    """`label, p0_5, p25, p50, p75, p99_5`, and `strong`: whether the box stands out."""
    heading: str
    explanation: Words
    axis: Axis

    @property
    def title(self) -> str:
        """What the picture is called."""
        return self.heading

    @property
    def words(self) -> Words:
        """The explanation under the picture."""
        return self.explanation

    def frame(self) -> pd.DataFrame:
        """The numbers that are drawn."""
        return self.data.reset_index(drop=True)

    def figure(self) -> Any:
        """Boxes from left to right along the numbers."""
        data = self.frame()
        figure = theme.new_figure(height=120 + 30 * max(len(data), 1))
        figure.update_layout(margin_t=30)
        for strong, colour in ((True, theme.BLUE), (False, theme.GREY)):
            part = data[data["strong"].astype(bool) == strong]
            figure.add_box(
                y=[label(one) for one in part["label"]],
                lowerfence=part["p0_5"].tolist(),
                q1=part["p25"].tolist(),
                median=part["p50"].tolist(),
                q3=part["p75"].tolist(),
                upperfence=part["p99_5"].tolist(),
                orientation="h",
                marker={"color": colour},
                line={"color": colour, "width": 1.6},
                fillcolor=theme.BAND,
                hoverinfo="x+y",
            )
        order = [label(one) for one in data["label"]]
        figure.update_yaxes(categoryorder="array", categoryarray=order, autorange="reversed")
        figure.update_xaxes(title_text=self.axis.title)
        if self.axis.reference is not None:
            theme.reference_line(
                figure, self.axis.reference, self.axis.reference_name, vertical=True
            )
        return figure

    def alt(self) -> str:
        """The medians."""
        rows = zip(self.data["label"], self.data["p50"], strict=True)
        listed = ", ".join(f"{one} {number(value, self.axis.digits)}" for one, value in rows)
        return f"Box plot, {self.heading}. Medians: {listed}."


def dots(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Rows for a `DotChart`; what has no interval has none drawn."""
    return pd.DataFrame(rows, columns=list(LEFT))


def _bars(part: pd.DataFrame, colour: str, along: str = "x") -> dict[str, Any]:
    middle = part["estimate" if along == "x" else "y"].astype(float)

    def length(end: str) -> list[float]:
        ends = zip(part[end], middle, strict=True)
        return [0.0 if missing(one) else abs(float(one) - value) for one, value in ends]

    return {
        "type": "data",
        "symmetric": False,
        "array": length("high"),
        "arrayminus": length("low"),
        "color": colour,
        "thickness": 1.6,
        "width": 0,
    }
