"""The picture of one feature through the layers: how well the best neuron of each tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from needlepoint.report import theme
from needlepoint.report.display import Display, Words
from needlepoint.report.text import label, missing, number

_LEVELS = {
    "token_f1": "token identity",
    "embedding_f1": "embedding layer",
    "null_f1": "shuffled labels",
    "baseline_f1": "everything positive",
}


@dataclass(frozen=True)
class LayerProfile(Display):
    """F1 of the best single neuron of each layer, for one feature, beside what is easy."""

    depth: pd.DataFrame
    """The table `depth` of a probe record."""
    feature: Mapping[str, Any]
    """An entry of the list `features` of its summary."""

    words = Words(
        "The validation F1 of the best single neuron of each layer, from the first layer to the "
        "last. Dashed lines are what needs no neuron: which tokens there are, the embedding, "
        "shuffled labels, calling everything positive.",
        "Where the line rises above the dashed ones, single neurons begin to tell the feature. "
        "The ring marks the best layer.",
        "The best of thousands of neurons always looks good to some degree, and validation F1 was "
        "used for choosing; the dashed lines are test F1. A layer in which no single neuron tells "
        "the feature may still carry it in several.",
    )

    @property
    def title(self) -> str:
        """What the picture is called."""
        return f"Best neuron of each layer: {self.feature['feature']}"

    def frame(self) -> pd.DataFrame:
        """`feature, layer, site, f1_validation`, by layer."""
        rows = self.depth[self.depth["feature"] == self.feature["feature"]].sort_values("layer")
        columns = ["feature", "layer", "site", "f1_validation"]
        return pd.DataFrame(rows.to_dict("list"), columns=columns)

    def figure(self) -> Any:
        """A line over the layers, with the levels to beat."""
        rows = self.frame().dropna(subset=["f1_validation"])
        figure = theme.new_figure(height=300)
        figure.add_scatter(
            x=rows["layer"].tolist(),
            y=rows["f1_validation"].tolist(),
            mode="lines+markers",
            line={"color": theme.BLUE, "width": 2.2},
            marker={"size": 6, "color": theme.BLUE},
            hovertext=[
                f"<b>{label(row['site'])}</b><br>F1 {number(row['f1_validation'])}"
                for row in rows.to_dict("records")
            ],
            hoverinfo="text",
        )
        if best := self._best():
            figure.add_scatter(
                x=[int(best["layer"])],
                y=[float(best["f1_validation"])],
                mode="markers",
                marker={"size": 14, "symbol": "circle-open", "color": theme.ORANGE},
                hoverinfo="skip",
            )
        for place, (name, value) in enumerate(self.levels().items()):
            theme.reference_line(figure, value, name, vertical=False, at=float(place % 2 == 0))
        figure.update_xaxes(title_text="layer", showgrid=False)
        figure.update_yaxes(title_text="F1", range=[-0.02, 1.05])
        return figure

    def _best(self) -> dict[str, Any] | None:
        """The layer with the highest F1; None if none is defined."""
        rows = self.frame().dropna(subset=["f1_validation"]).to_dict("records")
        found = max(rows, key=lambda row: float(row["f1_validation"]), default=None)
        return None if found is None else {str(key): found[key] for key in found}

    def levels(self) -> dict[str, float]:
        """Test F1 of what needs no neuron, where it was measured."""
        found = {}
        for key, name in _LEVELS.items():
            value = self.feature.get(key)
            value = value.get("estimate") if isinstance(value, Mapping) else value
            if not missing(value) and value is not None:
                found[name] = float(value)
        return found

    def alt(self) -> str:
        """The best layer, the first and the last, and the levels to beat."""
        rows, best = self.frame().dropna(subset=["f1_validation"]), self._best()
        if best is None:
            return f"Line chart of F1 by layer for {self.feature['feature']}: nothing is defined."
        ends = [number(rows["f1_validation"].iloc[place]) for place in (0, -1)]
        beside = ", ".join(f"{name} {number(value)}" for name, value in self.levels().items())
        return (
            f"Line chart of F1 by layer for {self.feature['feature']}: {ends[0]} in the first, "
            f"{ends[1]} in the last, best {number(best['f1_validation'])} in layer "
            f"{best['layer']}. Beside it: {beside or 'nothing was measured'}."
        )
