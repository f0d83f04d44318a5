"""Pictures that compare methods which score heads, against the causal truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from needlepoint.report import theme
from needlepoint.report.display import Display, Words
from needlepoint.report.text import label, missing, number


@dataclass(frozen=True)
class MethodTable(Display):
    """How well each method's scores pick out the heads that matter: area under the curve."""

    methods: pd.DataFrame
    """The table `methods` of a circuit record."""

    title = "How well each method finds the heads that matter (AUC)"
    words = Words(
        "For each method, the probability that a head which matters causally gets a higher score "
        "than one which does not. The dot is the estimate, the bar its interval.",
        "1 is perfect, 0.5 is guessing. Filled dots are methods; hollow dots are controls, which "
        "should not do well. Where bars overlap, the order may be chance.",
        "The truth here is the effect of replacing one head at a time. A method that finds heads "
        "which matter only together gets no credit for it.",
    )

    def frame(self) -> pd.DataFrame:
        """`method, label, auc, auc_low, auc_high, control`, best first, undefined last."""
        columns = ["method", "label", "auc", "auc_low", "auc_high", "control"]
        return sorted_methods(self.methods, "auc")[columns]

    def figure(self) -> Any:
        """A forest plot with the line of guessing at 0.5."""
        rows = self.frame().dropna(subset=["auc"]).to_dict("records")
        figure = _chart(len(rows))
        names = [label(row["label"]) for row in rows]
        for row, name in zip(rows, names, strict=True):
            figure.add_scatter(
                x=[row["auc_low"], row["auc_high"]],
                y=[name, name],
                mode="lines",
                line={"color": _colour(row), "width": 2.5},
                hoverinfo="skip",
            )
        figure.add_scatter(
            x=[row["auc"] for row in rows],
            y=names,
            mode="markers",
            marker=_markers(rows),
            hovertext=[
                f"<b>{name}</b><br>AUC {number(row['auc'])} ({number(row['auc_low'])} to "
                f"{number(row['auc_high'])})"
                for row, name in zip(rows, names, strict=True)
            ],
            hoverinfo="text",
        )
        theme.reference_line(figure, 0.5, "guessing", vertical=True)
        figure.update_xaxes(title_text="AUC", range=_reach(rows, "auc_low", 0.4))
        return figure

    def alt(self) -> str:
        """The methods in order with their areas."""
        return f"Dot plot of AUC by method, best first: {_listed(self.frame(), 'auc')}."


@dataclass(frozen=True)
class PrecisionChart(Display):
    """Average precision of each method beside the chance level."""

    methods: pd.DataFrame
    """The table `methods` of a circuit record."""

    title = "How clean the top of each ranking is (average precision)"
    words = Words(
        "Average precision: going down a method's ranking, how large a share of the heads met so "
        "far really matter, averaged over the heads that do.",
        "1 means that all heads that matter come first. The dashed line is what a random order "
        "gets: the share of all heads that matter. Grey bars are controls.",
        "With few heads that matter, one head moved by one place changes the number noticeably; "
        "read it beside the AUC.",
    )

    def frame(self) -> pd.DataFrame:
        """`method, label, average_precision, chance_precision, control`, in the order of AUC."""
        columns = ["method", "label", "average_precision", "chance_precision", "control"]
        return sorted_methods(self.methods, "auc")[columns]

    def figure(self) -> Any:
        """Horizontal bars with a dashed line at chance."""
        rows = self.frame().dropna(subset=["average_precision"]).to_dict("records")
        figure = _chart(len(rows))
        figure.add_bar(
            x=[row["average_precision"] for row in rows],
            y=[label(row["label"]) for row in rows],
            orientation="h",
            width=0.55,
            marker={"color": [_colour(row) for row in rows]},
            hovertext=[
                f"<b>{label(row['label'])}</b><br>{number(row['average_precision'], 3)}"
                for row in rows
            ],
            hoverinfo="text",
            textposition="none",
        )
        chance = [row["chance_precision"] for row in rows if not missing(row["chance_precision"])]
        if chance:
            theme.reference_line(figure, chance[0], f"chance {number(chance[0])}", vertical=True)
        figure.update_xaxes(title_text="average precision", range=[0, 1.02])
        return figure

    def alt(self) -> str:
        """The methods in order with their average precisions."""
        listed = _listed(self.frame(), "average_precision")
        return f"Bar chart of average precision by method: {listed}."


def sorted_methods(methods: pd.DataFrame, by: str) -> pd.DataFrame:
    """The methods from best to worst by one column; those without a value come last."""
    return methods.sort_values(by, ascending=False, na_position="last").reset_index(drop=True)


def _chart(n: int) -> Any:
    figure = theme.new_figure(height=95 + 30 * n)
    figure.update_layout(margin_t=24)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def _colour(row: dict[Any, Any]) -> str:
    return theme.GREY if row["control"] else theme.BLUE


def _markers(rows: list[dict[Any, Any]]) -> dict[str, Any]:
    return {
        "size": 10,
        "color": [theme.PAPER if row["control"] else theme.BLUE for row in rows],
        "line": {"color": [_colour(row) for row in rows], "width": 2},
    }


def _reach(rows: list[dict[Any, Any]], column: str, low: float) -> list[float]:
    found = [row[column] for row in rows if not missing(row[column])]
    return [min([low, *(value - 0.03 for value in found)]), 1.02]


def _listed(frame: pd.DataFrame, column: str) -> str:
    rows = frame.to_dict("records")
    return ", ".join(f"{row['label']} {number(row[column])}" for row in rows)
