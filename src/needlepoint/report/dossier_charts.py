"""Pictures of one neuron's dossier: response, precision by strength, n-grams, logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from needlepoint.report import theme
from needlepoint.report.display import Display, Words
from needlepoint.report.text import label, missing, number

_CLASSES = ((False, "without the feature", theme.GREY), (True, "with the feature", theme.BLUE))
GRAMS = 18
"""N-grams that are drawn."""


@dataclass(frozen=True)
class Response(Display):
    """How the activations of one neuron are spread, by class where there are labels."""

    histograms: pd.DataFrame
    """Rows of the table `histograms` of one neuron and one unit."""

    site: str
    unit: str
    cut: float | None
    """From where on the neuron fires."""

    @property
    def words(self) -> Words:
        """The explanation under the picture."""
        what = "token" if self.unit == "token" else "row, as the collection makes them of tokens"
        return Words(
            f"How often the neuron takes each value, one value for each {what}; shares are of "
            "each class where labels are known, and their scale is logarithmic.",
            "The dashed line is where the neuron starts to fire: halfway from its median to the "
            "mean of its ten strongest activations. What lies beyond it is what the rest of "
            "this section looks at.",
            "A long tail says that something excites the neuron, not what it is.",
        )

    @property
    def title(self) -> str:
        """What the picture is called."""
        return f"Activations of {self.site}, by {self.unit}"

    def frame(self) -> pd.DataFrame:
        """`label, bin_left, bin_right, count, share`; the label is missing without a feature."""
        chosen = self.histograms[["label", "bin_left", "bin_right", "count"]].reset_index(drop=True)
        totals = chosen.groupby("label", dropna=False)["count"].transform("sum")
        return chosen.assign(share=chosen["count"] / totals.where(totals > 0))

    def _classes(self) -> list[tuple[str, str, pd.DataFrame]]:
        frame = self.frame()
        if frame["label"].isna().all():
            return [("tokens", theme.BLUE, frame)]
        return [
            (name, colour, frame[frame["label"].astype("boolean").fillna(False) == value])
            for value, name, colour in _CLASSES
        ]

    def figure(self) -> Any:
        """One histogram, or two over one another."""
        figure = theme.new_figure(height=250)
        classes = self._classes()
        figure.update_layout(barmode="overlay", showlegend=len(classes) > 1, bargap=0, margin_t=30)
        for name, colour, part in classes:
            figure.add_bar(
                x=((part["bin_left"] + part["bin_right"]) / 2).tolist(),
                width=(part["bin_right"] - part["bin_left"]).tolist(),
                y=part["share"].tolist(),
                customdata=part["count"].tolist(),
                name=name,
                opacity=0.62,
                marker={"color": colour, "line": {"width": 0}},
                hovertemplate=f"%{{y:.2%}} of {name} (%{{customdata}})<extra></extra>",
            )
        if not missing(self.cut):
            theme.reference_line(figure, float(self.cut or 0.0), "fires", vertical=True)
        figure.update_xaxes(title_text="activation", showgrid=False)
        figure.update_yaxes(title_text="share", type="log", tickformat=".1~%", dtick=1)
        return figure

    def alt(self) -> str:
        """The mean of each class, from the bins."""
        parts = []
        for name, _, part in self._classes():
            middle = (part["bin_left"] + part["bin_right"]) / 2
            mean = float((middle * part["share"]).sum(min_count=1))
            parts.append(f"about {number(mean)} for {name}")
        return f"Histogram of the activation of {self.site}: mean {' and '.join(parts)}."


@dataclass(frozen=True)
class Strata(Display):
    """How often the feature is there at each strength, or how strong each tenth of tokens is."""

    strata: pd.DataFrame
    """Rows of the table `strata` of one neuron."""

    site: str
    prevalence: float | None = None
    """Share of all labelled tokens that have the feature."""

    @property
    def labelled(self) -> bool:
        """Whether there are labels."""
        return bool(self.strata["precision"].notna().any())

    @property
    def words(self) -> Words:
        """The explanation under the picture."""
        if not self.labelled:
            return Words(
                "Tokens in ten equal parts by activation, weakest first, and the strongest "
                "hundredth: the mean activation of each.",
                "A neuron that waits for something rare is flat and then rises at the end; one "
                "that hums along rises evenly.",
                "Without labels nothing is said on what the strongest tokens have in common.",
            )
        return Words(
            "Labelled tokens of test documents in ten equal parts by activation, weakest first, "
            "and the strongest hundredth: the share of each that has the feature.",
            "A neuron that stands for the feature and nothing else is at 1 on the right. Far "
            "below 1 on the right, it fires on other things too; high on the left, it misses some. "
            "The dashed line is the share among all of these tokens. Bars are intervals.",
            "Shares are of these texts. Where the feature is rarer, as in text at large, so is "
            "it among the tokens that excite the neuron.",
        )

    @property
    def title(self) -> str:
        """What the picture is called."""
        if self.labelled:
            return f"How often {self.strata['feature'].iloc[0]} is there, by activation"
        return "Mean activation by tenth of tokens"

    def frame(self) -> pd.DataFrame:
        """The rows as they are recorded."""
        return self.strata.reset_index(drop=True)

    def figure(self) -> Any:
        """A row of points with intervals."""
        frame = self.frame()
        figure = theme.new_figure(height=250)
        figure.update_layout(margin_t=24)
        column = "precision" if self.labelled else "mean"
        middle = frame[column].astype(float)
        error = None
        if self.labelled:
            error = {
                "type": "data",
                "symmetric": False,
                "array": (frame["precision_high"] - middle).tolist(),
                "arrayminus": (middle - frame["precision_low"]).tolist(),
                "color": theme.BLUE,
                "thickness": 2,
                "width": 0,
            }
            if self.prevalence is not None:
                theme.reference_line(figure, self.prevalence, "all tokens", vertical=False, at=0)
        names = [str(name).replace("decile ", "") for name in frame["stratum"]]
        figure.add_scatter(
            x=names,
            y=middle.tolist(),
            mode="markers",
            marker={"color": theme.BLUE, "size": 9},
            error_y=error,
            customdata=frame[["low", "high", "tokens", "documents"]].values.tolist(),
            hovertemplate="%{y:.3f}<br>activation %{customdata[0]:.3f} to %{customdata[1]:.3f}<br>"
            "%{customdata[2]} tokens of %{customdata[3]} documents<extra></extra>",
        )
        figure.update_xaxes(title_text="tenth of tokens by activation", type="category")
        if self.labelled:
            figure.update_yaxes(range=[-0.03, 1.06], title_text="share with the feature", nticks=6)
        else:
            figure.update_yaxes(title_text="mean activation", nticks=5)
        return figure

    def alt(self) -> str:
        """The value of each stratum."""
        column = "precision" if self.labelled else "mean"
        listed = "; ".join(
            f"{row['stratum']} {number(row[column])}" for row in self.frame().to_dict("records")
        )
        return f"{self.title}: {listed}."


@dataclass(frozen=True)
class DrivingGrams(Display):
    """The n-grams that drive one neuron, each beside its last token taken anywhere."""

    ngrams: pd.DataFrame
    """Rows of the table `ngrams` of one neuron."""

    site: str
    cut: float | None

    words = Words(
        "The n-grams that make the neuron fire wherever they occur in these texts, seen twice or "
        "more: the token that fires after the bar, the tokens it needs before it. Blue is the mean "
        "activation at the n-gram, grey that at its last token whatever comes before.",
        "Where blue is far from grey, the tokens before matter. Where the wordings have nothing in "
        "common, the neuron stands for several things. Bars are intervals over documents, for "
        "n-grams in two documents or more.",
        "N-grams that occur once are left out, and so is all that depends on more than the last "
        "four tokens.",
    )

    @property
    def title(self) -> str:
        """What the picture is called."""
        return f"N-grams that drive {self.site}"

    def frame(self) -> pd.DataFrame:
        """`before, token, mean, low, high, token_mean, count, documents, group`, by strength."""
        chosen = self.ngrams[self.ngrams["drives"].astype(bool)]
        middle = 0.0 if missing(self.cut) else float(self.cut or 0.0)
        order = (chosen["mean"] - middle).abs().sort_values(ascending=False).index
        columns = ["before", "token", "mean", "low", "high", "token_mean", "count", "documents"]
        return chosen.loc[order, [*columns, "group"]].head(GRAMS).reset_index(drop=True)

    def figure(self) -> Any:
        """A row of points for each n-gram."""
        frame = self.frame()
        names = [gram_label(row) for row in frame.to_dict("records")]
        figure = theme.new_figure(height=90 + 24 * len(frame))
        figure.update_layout(showlegend=True, margin_t=34)
        places = list(range(len(frame)))
        figure.add_scatter(
            x=frame["token_mean"].tolist(),
            y=places,
            mode="markers",
            name="last token anywhere",
            marker={"color": theme.GREY, "size": 8},
            hovertemplate="%{x:.3f} at the last token anywhere<extra></extra>",
        )
        middle = frame["mean"].astype(float)
        figure.add_scatter(
            x=middle.tolist(),
            y=places,
            mode="markers",
            name="n-gram",
            marker={"color": theme.BLUE, "size": 9},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": (frame["high"] - middle).tolist(),
                "arrayminus": (middle - frame["low"]).tolist(),
                "color": theme.BLUE,
                "thickness": 2,
                "width": 0,
            },
            customdata=frame[["count", "documents"]].values.tolist(),
            hovertemplate="%{x:.3f} in the mean of %{customdata[0]} times in %{customdata[1]} "
            "documents<extra></extra>",
        )
        figure.update_yaxes(
            tickvals=places, ticktext=names, range=[len(frame) - 0.5, -0.5], showgrid=False
        )
        figure.update_xaxes(title_text="mean activation")
        return figure

    def alt(self) -> str:
        """Each n-gram with its mean."""
        listed = "; ".join(
            f"{gram_label(row)} {number(row['mean'])}" for row in self.frame().to_dict("records")
        )
        return f"Dot plot of the n-grams that drive {self.site}: {listed}."


@dataclass(frozen=True)
class LogitEffect(Display):
    """The tokens that one neuron makes likelier and less likely, directly."""

    logits: pd.DataFrame
    """Rows of the table `logits` of one neuron."""

    site: str

    words = Words(
        "The tokens whose logits the neuron raises and lowers most when it fires, by its weights "
        "alone: in standard deviations over the neurons of its layer.",
        "Look for what the tokens of one side have in common. The largest of tens of thousands of "
        "chance values is about 4, so a list that stays near 4 and has no theme says nothing.",
        "What later layers make of the neuron is left out, which for early layers is most of it.",
    )

    @property
    def title(self) -> str:
        """What the picture is called."""
        return f"Direct effect of {self.site} on the next token"

    def frame(self) -> pd.DataFrame:
        """`side, rank, token, token_id, effect, z`."""
        return self.logits[["side", "rank", "token", "token_id", "effect", "z"]].reset_index(
            drop=True
        )

    def figure(self) -> Any:
        """Two lists of bars."""
        frame = self.frame()
        n = int(frame["rank"].max()) + 1 if len(frame) else 1
        figure = theme.new_figure(height=70 + 21 * n)
        figure.update_layout(showlegend=True, margin_t=34)
        for side, colour in (("promoted", theme.BLUE), ("suppressed", theme.ORANGE)):
            part = frame[frame["side"] == side]
            inside = [label(repr(token)[1:-1]) for token in part["token"]]
            figure.add_bar(
                x=part["z"].tolist(),
                y=part["rank"].tolist(),
                orientation="h",
                name=side,
                marker={"color": colour, "line": {"width": 0}},
                text=inside,
                textposition="outside",
                cliponaxis=False,
                customdata=part[["effect"]].values.tolist(),
                hovertemplate="%{text}: z %{x:.2f}, effect %{customdata[0]:.3f}<extra></extra>",
            )
        most = float(frame["z"].abs().max() or 1.0) * 1.75
        figure.update_layout(barmode="overlay", bargap=0.35)
        figure.update_yaxes(autorange="reversed", showticklabels=False, showgrid=False)
        figure.update_xaxes(title_text="standard deviations", range=[-most, most], nticks=7)
        return figure

    def alt(self) -> str:
        """The tokens of both sides."""
        frame = self.frame()
        sides = [
            f"{side}: {', '.join(map(repr, frame[frame['side'] == side]['token']))}"
            for side in ("promoted", "suppressed")
        ]
        return f"Bars of the direct effect of {self.site} on tokens. {'; '.join(sides)}."


def gram_label(row: dict[Any, Any]) -> str:
    """An n-gram with a bar before the token that fires, ready for plotly."""
    before = str(row["before"])
    shown = before if len(before) <= 24 else f"\u2026{before[-24:]}"
    return f"{label(shown)}|{label(row['token'])}"
