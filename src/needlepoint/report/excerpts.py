"""Texts that excite a neuron, each token shaded by the neuron's activation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from needlepoint.report import theme
from needlepoint.report.display import Display, Words
from needlepoint.report.text import label, missing, number


@dataclass(frozen=True)
class Token:
    """One token as a page shows it."""

    text: str
    activation: float | None
    shade: float
    """From 0 to 1: the size of the activation as a share of the largest one shown."""

    negative: bool

    @property
    def reading(self) -> str:
        """The activation as text."""
        return number(self.activation, 3)


@dataclass(frozen=True)
class Excerpt:
    """One text with its tokens."""

    document: str
    label: bool
    rank: int
    tokens: tuple[Token, ...]

    @property
    def strongest(self) -> str:
        """The strongest token in words, for those who cannot see the shading."""
        known = [token for token in self.tokens if token.activation is not None]
        if not known:
            return "no activation is defined"
        top = max(known, key=lambda token: token.shade)
        return f"strongest at {top.text!r}: {top.reading}"


@dataclass(frozen=True)
class Excerpts(Display):
    """The texts that one neuron responds to most, token by token."""

    excerpts: pd.DataFrame
    """The table `excerpts` of a probe record."""

    feature: str
    site: str

    words = Words(
        "The texts on which this neuron is most active. Each token is shaded by the activation at "
        "that token; point at a token for the number.",
        "Look for what the shaded tokens have in common. Blue is positive, orange negative; the "
        "stronger the shade, the larger the value, on one scale for all texts of this neuron.",
        "These are extremes picked from many texts. What a neuron does on ordinary text may be "
        "different, and a pattern seen here is a guess until it is tested.",
    )

    @property
    def title(self) -> str:
        """What the picture is called."""
        return f"Texts that excite {self.site}"

    def rows(self) -> list[Excerpt]:
        """The excerpts in order, with tokens ready to be shaded."""
        return self._rows

    @cached_property
    def _rows(self) -> list[Excerpt]:
        chosen = self._chosen()
        most = self.largest()
        return [
            Excerpt(
                document=str(row["document"]),
                label=bool(row["label"]),
                rank=int(row["rank"]),
                tokens=tuple(
                    _token(text, value, most)
                    for text, value in zip(row["tokens"], row["activations"], strict=True)
                ),
            )
            for row in chosen.to_dict("records")
        ]

    def largest(self) -> float:
        """The largest absolute activation shown: the strongest shade."""
        values = [abs(value) for value in self._values]
        return max(values, default=0.0)

    def has_negative(self) -> bool:
        """Whether the shading needs two colours."""
        return any(value < 0 for value in self._values)

    @cached_property
    def _values(self) -> list[float]:
        lists = self._chosen()["activations"]
        return [float(value) for values in lists for value in values if not missing(float(value))]

    def _chosen(self) -> pd.DataFrame:
        mask = (self.excerpts["feature"] == self.feature) & (self.excerpts["site"] == self.site)
        return self.excerpts[mask].sort_values("rank")

    def frame(self) -> pd.DataFrame:
        """`feature, site, rank, document, label, position, token, activation`, a row a token."""
        about = (self.feature, self.site)
        rows = [
            (*about, text.rank, text.document, text.label, place, token.text, token.activation)
            for text in self.rows()
            for place, token in enumerate(text.tokens)
        ]
        columns = ["feature", "site", "rank", "document", "label", "position", "token"]
        return pd.DataFrame(rows, columns=[*columns, "activation"])

    def figure(self) -> Any:
        """The same as strips of a heat map, for use outside the page."""
        texts = self.rows()
        figure = theme.new_figure(height=110 + 26 * len(texts))
        most = self.largest() or 1.0
        signed = self.has_negative()
        figure.add_heatmap(
            z=[[token.activation for token in text.tokens] for text in texts],
            y=[f"{text.rank}. {label(text.document)}" for text in texts],
            hovertext=[
                [f"{label(token.text)}<br>{token.reading}" for token in text.tokens]
                for text in texts
            ],
            hoverinfo="text",
            colorscale=theme.REVERSED if signed else theme.SEQUENTIAL,
            zmin=-most if signed else 0,
            zmax=most,
            ygap=2,
            colorbar=theme.colour_bar("activation"),
        )
        figure.update_yaxes(autorange="reversed", showgrid=False)
        figure.update_xaxes(title_text="token", showgrid=False)
        return figure

    def alt(self) -> str:
        """How many texts, and the strongest token of each."""
        texts = self.rows()
        listed = "; ".join(f"{text.document} {text.strongest}" for text in texts)
        return f"{len(texts)} texts shaded by the activation of {self.site}: {listed}."


def _token(text: Any, value: Any, most: float) -> Token:
    value = None if missing(value) or missing(float(value)) else float(value)
    shade = 0.0 if value is None or most == 0 else min(abs(value) / most, 1.0)
    return Token(str(text), value, shade, negative=value is not None and value < 0)
