"""Pictures of single neurons: how they respond to the two classes, and what they are used for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from needlepoint.report import theme
from needlepoint.report.display import Display, Words
from needlepoint.report.text import label, missing, number, p_value

_CLASSES = ((False, "without the feature", theme.GREY), (True, "with the feature", theme.BLUE))
_WHO = (("found", theme.BLUE), ("random", theme.GREY))


@dataclass(frozen=True)
class ActivationHistogram(Display):
    """How strongly one neuron responds to texts with and without the feature."""

    histograms: pd.DataFrame
    """The table `histograms` of a probe record."""

    feature: str
    site: str
    threshold: float | None = None
    """Where the one-neuron probe cuts, if known."""

    words = Words(
        "How often the neuron takes each value, for texts with the feature and for texts without "
        "it, as shares of each class.",
        "The less the two shapes overlap, the better this neuron alone tells the feature. The "
        "dashed line is where the one-neuron probe cuts.",
        "Separated shapes show that the neuron goes with the feature in these texts, not why.",
    )

    @property
    def title(self) -> str:
        """What the picture is called."""
        return f"Activation of {self.site}"

    def frame(self) -> pd.DataFrame:
        """`feature, site, label, bin_left, bin_right, count, share`."""
        return self._frame

    @cached_property
    def _frame(self) -> pd.DataFrame:
        chosen = self.histograms[
            (self.histograms["feature"] == self.feature) & (self.histograms["site"] == self.site)
        ]
        chosen = chosen.dropna(subset=["bin_left", "bin_right"]).reset_index(drop=True)
        totals = chosen.groupby("label")["count"].transform("sum")
        share = chosen["count"] / totals.where(totals > 0)
        columns = ["feature", "site", "label", "bin_left", "bin_right", "count"]
        return chosen[columns].assign(share=share)

    def figure(self) -> Any:
        """Two overlaid histograms."""
        frame = self.frame()
        figure = theme.new_figure(height=250)
        figure.update_layout(barmode="overlay", showlegend=True, bargap=0, margin_t=30)
        for value, name, colour in _CLASSES:
            part = frame[frame["label"].astype(bool) == value]
            figure.add_bar(
                x=((part["bin_left"] + part["bin_right"]) / 2).tolist(),
                width=(part["bin_right"] - part["bin_left"]).tolist(),
                y=part["share"].tolist(),
                customdata=part["count"].tolist(),
                name=name,
                opacity=0.62,
                marker={"color": colour, "line": {"width": 0}},
                hovertemplate=f"%{{y:.1%}} of texts {name} (%{{customdata}})<extra></extra>",
            )
        if self.threshold is not None and not missing(self.threshold):
            theme.reference_line(figure, self.threshold, "cut", vertical=True)
        figure.update_xaxes(title_text="activation", showgrid=False)
        figure.update_yaxes(title_text="share of texts", tickformat=".0%", nticks=5)
        return figure

    def alt(self) -> str:
        """The mean activation of each class, from the bins."""
        frame = self.frame()
        frame["middle"] = (frame["bin_left"] + frame["bin_right"]) / 2
        parts = []
        for value, name, _ in _CLASSES:
            part = frame[frame["label"].astype(bool) == value]
            mean = (part["middle"] * part["share"]).sum(min_count=1)
            parts.append(f"about {number(float(mean))} {name}")
        return f"Histogram of the activation of {self.site}: mean {' and '.join(parts)}."


@dataclass(frozen=True)
class AblationChart(Display):
    """How much worse the model predicts text when neurons are switched off."""

    ablation: pd.DataFrame
    """The table `ablation` of a probe record."""

    feature: str

    words = Words(
        "The rise of the model's prediction loss (nats per token) when the neurons found are "
        "switched off: set to zero, or held at their mean.",
        "If the model uses them for the feature, the loss rises on texts with the feature "
        "more than on texts without it, and more than for random neurons of the same layer (grey). "
        "Bars are intervals.",
        "No rise does not prove that the neurons are unused: others may take over. A rise shows "
        "use, not that the use is this feature and nothing else.",
    )

    @property
    def title(self) -> str:
        """What the picture is called."""
        return f"What switching the neurons off does: {self.feature}"

    def frame(self) -> pd.DataFrame:
        """`feature, sites, mode, texts, neurons, loss_increase, low, high, n_random, p_value`."""
        return self._frame

    @cached_property
    def _frame(self) -> pd.DataFrame:
        columns = ["feature", "sites", "mode", "texts", "neurons", "loss_increase", "low", "high"]
        columns += ["n_random", "p_value"]
        chosen = self.ablation[self.ablation["feature"] == self.feature]
        order = ["texts", "mode", "neurons"]
        ranked = chosen.sort_values(order, ascending=[False, False, True])
        return ranked[columns].reset_index(drop=True)

    def figure(self) -> Any:
        """A forest plot: texts by kind of ablation, found and random neurons side by side."""
        frame = self.frame()
        rows = [_row_name(row) for row in frame.to_dict("records")]
        order = list(dict.fromkeys(rows))
        figure = theme.new_figure(height=110 + 42 * len(order))
        figure.update_layout(showlegend=True, margin_t=34)
        for (who, colour), shift in zip(_WHO, (-0.14, 0.14), strict=True):
            mask = frame["neurons"] == who
            part = frame[mask]
            places = [
                order.index(row) + shift
                for row, kept in zip(rows, mask.tolist(), strict=True)
                if kept
            ]
            figure.add_scatter(**_ablation_trace(part, places, who, colour))
        line = {"color": theme.MUTED, "width": 1}
        figure.add_shape(type="line", x0=0, x1=0, y0=0, y1=1, yref="paper", line=line)
        figure.update_yaxes(
            tickvals=list(range(len(order))),
            ticktext=[label(row) for row in order],
            range=[len(order) - 0.5, -0.5],
            showgrid=False,
        )
        figure.update_xaxes(title_text="rise of the loss (nats per token)")
        return figure

    def alt(self) -> str:
        """Every effect in words."""
        listed = [
            f"{row['neurons']} neurons, {row['mode']} ablation, {row['texts']} texts: "
            f"{number(row['loss_increase'], 3)}"
            for row in self.frame().to_dict("records")
        ]
        return f"Dot plot of the rise of the loss. {'; '.join(listed)}."


def _row_name(row: dict[Any, Any]) -> str:
    texts = {"positive": "with the feature", "negative": "without it"}
    return f"{texts.get(row['texts'], row['texts'])}, {row['mode']}"


def _ablation_trace(
    part: pd.DataFrame, places: list[float], who: str, colour: str
) -> dict[str, Any]:
    middle = part["loss_increase"].astype(float)
    return {
        "x": middle.tolist(),
        "y": places,
        "mode": "markers",
        "name": f"{who} neurons",
        "marker": {"color": colour, "size": 9},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": (part["high"].astype(float) - middle).tolist(),
            "arrayminus": (middle - part["low"].astype(float)).tolist(),
            "color": colour,
            "thickness": 2,
            "width": 0,
        },
        "hovertext": [
            f"<b>{who} neurons</b>, {label(row['mode'])} ablation, {label(row['texts'])} texts<br>"
            f"{number(row['loss_increase'], 4, signed=True)} nats per token "
            f"({number(row['low'], 4)} to {number(row['high'], 4)})"
            + ("" if missing(row["p_value"]) else f"<br>p {p_value(row['p_value'])}")
            for row in part.to_dict("records")
        ],
        "hoverinfo": "text",
    }
