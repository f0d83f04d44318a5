"""A display: one picture, the numbers in it, and the plain words that go under it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import pandas as pd

from needlepoint.report.text import island, plain


@dataclass(frozen=True)
class Words:
    """What a reader who knows neither the method nor the paper needs under a picture."""

    shows: str
    """What it shows."""
    read: str
    """How to read it."""
    limits: str
    """What it cannot tell."""


class Display(ABC):
    """One picture made from records; it gives up its numbers as easily as it is drawn."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What the picture is called."""

    @property
    @abstractmethod
    def words(self) -> Words:
        """The explanation under the picture."""

    @abstractmethod
    def frame(self) -> pd.DataFrame:
        """Exactly the numbers that are drawn, one row for each mark."""

    @abstractmethod
    def figure(self) -> Any:
        """The picture, as a `plotly.graph_objects.Figure` in the light colours."""

    @abstractmethod
    def alt(self) -> str:
        """One or two sentences for those who cannot see the picture, with its main numbers."""

    def to_json(self) -> str:
        """Title, numbers and figure as one JSON object, safe to stand inside a page."""
        return island(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """What `to_json` writes, as plain Python values."""
        figure = self.figure().to_plotly_json()
        figure["layout"].pop("template", None)
        return {
            "title": self.title,
            "alt": self.alt(),
            "words": vars(self.words),
            "frame": frame_dict(self.frame()),
            "figure": rounded(plain(figure)),
        }


def rounded(value: Any, digits: int = 5) -> Any:
    """The same JSON value with numbers cut to what a picture can show.

    Example:
        >>> rounded({"x": [0.1234567, 12345678.9, 3]})
        {'x': [0.12346, 12346000.0, 3]}
    """
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, list):
        return [rounded(item, digits) for item in value]
    if isinstance(value, dict):
        return {key: rounded(item, digits) for key, item in value.items()}
    return value


def frame_dict(frame: pd.DataFrame) -> dict[str, Any]:
    """A table as its column names and its rows; missing values become `None`.

    Example:
        >>> frame_dict(pd.DataFrame({"head": [1], "effect": [float("nan")]}))
        {'columns': ['head', 'effect'], 'rows': [[1, None]]}
    """
    columns = [[_plain(value) for value in frame[name].tolist()] for name in frame.columns]
    rows = [list(row) for row in zip(*columns, strict=True)]
    return {"columns": [str(name) for name in frame.columns], "rows": rows}


def _plain(value: Any) -> Any:
    return None if value is pd.NA else plain(value)
