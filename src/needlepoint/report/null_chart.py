"""The picture of chance: how large the best of all neurons gets when labels mean nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from needlepoint.report import theme
from needlepoint.report.display import Display, Words
from needlepoint.report.text import missing, number, p_value

BINS = 24


@dataclass(frozen=True)
class NullHistogram(Display):
    """The largest class difference over all neurons under moved labels, and the one observed."""

    null: pd.DataFrame
    """The table `null` of a probe record."""

    feature: Mapping[str, Any]
    """An entry of the list `features` of its summary."""

    words = Words(
        "How large the difference between the classes gets on the best of all neurons of all "
        "layers when labels are moved so that they mean nothing, over many moves; in standard "
        "deviations. The dashed line is the neuron found, with the true labels.",
        "A line far to the right of all bars cannot be luck in searching so many neurons. A line "
        "among them can: p is the share of moves that reach it, q takes the other features into "
        "account.",
        "It says that the neuron goes with the labels, not why, and not how well it tells them.",
    )

    @property
    def title(self) -> str:
        """What the picture is called."""
        return f"Could luck have found it? {self.feature['feature']}"

    def frame(self) -> pd.DataFrame:
        """`feature, scheme, draw, largest`."""
        return self._frame

    @cached_property
    def _frame(self) -> pd.DataFrame:
        chosen = self.null[self.null["feature"] == self.feature["feature"]]
        columns = ["feature", "scheme", "draw", "largest"]
        known = chosen[columns].dropna(subset=["largest"])
        return pd.DataFrame(known.to_dict("list"), columns=columns)

    def figure(self) -> Any:
        """A histogram with the observed value."""
        values = self.frame()["largest"].to_numpy(dtype=float)
        counts, edges = np.histogram(values, BINS)
        figure = theme.new_figure(height=220)
        figure.update_layout(bargap=0, margin_t=30)
        figure.add_bar(
            x=((edges[:-1] + edges[1:]) / 2).tolist(),
            width=np.diff(edges).tolist(),
            y=counts.tolist(),
            marker={"color": theme.GREY, "line": {"width": 0}},
            hovertemplate="%{y} moves near %{x:.2f}<extra></extra>",
        )
        observed: Any = self.feature.get("observed")
        if not missing(observed):
            theme.reference_line(figure, observed, "found", vertical=True)
            high = max(observed, float(edges[-1]))
            figure.update_xaxes(range=[0, 1.06 * high])
        figure.update_xaxes(title_text="largest difference (standard deviations)", showgrid=False)
        figure.update_yaxes(title_text="moves of the labels", nticks=5)
        return figure

    def alt(self) -> str:
        """The range of the null and the observed value."""
        values = self.frame()["largest"].astype(float)
        return (
            f"Histogram of the largest difference under {len(values)} moves of the labels: "
            f"{number(values.min())} to {number(values.max())}; found "
            f"{number(self.feature.get('observed'))}, p {p_value(self.feature.get('p_value'))}."
        )
