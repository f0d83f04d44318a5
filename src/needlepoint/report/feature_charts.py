"""Pictures over all features of a collection: how findable each is, and at what depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from needlepoint.report import theme
from needlepoint.report.display import Display, Words
from needlepoint.report.text import label, missing, number

_MARKS = {
    "f1_one": ("best single neuron", theme.BLUE, "circle", 10),
    "f1_best": ("best sparse probe", theme.ORANGE, "diamond", 9),
    "f1_dense": ("all neurons of a layer", theme.INK, "line-ns-open", 11),
    "token_f1": ("token identity", theme.INK, "square-open", 8),
    "baseline_f1": ("everything positive", theme.GREY, "x-thin-open", 8),
    "null_f1": ("shuffled labels", theme.GREY, "circle-open", 8),
}


@dataclass(frozen=True)
class FeatureTable(Display):
    """Test F1 of the probes of each feature beside what guessing and shuffled labels get."""

    features: Sequence[Mapping[str, Any]]
    """The list `features` of a probe record's summary."""

    title = "How well one neuron, and a few, tell each feature"
    words = Words(
        "For each feature, how well probes do on texts that no choice was based on (the test "
        "set), as F1: the balance of finding the texts that have the feature and not raising "
        "false alarms.",
        "1 is perfect. The blue dot reads a single neuron, the orange diamond the best small set; "
        "bars are intervals. The hollow grey circle is the same search on shuffled labels: a blue "
        "dot near it has found nothing. The square sees only which tokens there are: a dot that is "
        "not to the right of it tells no more than the text itself. The tick is a probe that may "
        "use every neuron of a layer.",
        "A neuron that predicts a feature need not be used for it, and may respond to something "
        "that merely comes with it. The ablations below test use; confounds are listed with the "
        "collection.",
    )

    def frame(self) -> pd.DataFrame:
        """One row for each feature and mark: `feature, quantity, estimate, low, high`."""
        rows = [
            {"feature": feature["feature"], "quantity": quantity, **_parts(feature.get(quantity))}
            for feature in sorted_features(self.features)
            for quantity in _MARKS
        ]
        columns = ["feature", "quantity", "estimate", "low", "high"]
        return pd.DataFrame(rows, columns=columns)

    def figure(self) -> Any:
        """A forest plot, one row for each feature."""
        frame = self.frame()
        figure = theme.new_figure(height=120 + _row_height(frame["feature"].nunique(), 34))
        figure.update_layout(showlegend=True, margin_t=40)
        for quantity, mark in _MARKS.items():
            part = frame[frame["quantity"] == quantity].dropna(subset=["estimate"])
            if len(part):
                figure.add_scatter(**_trace(part, *mark))
        names = [label(name) for name in frame["feature"].unique()]
        figure.update_yaxes(
            autorange="reversed", categoryorder="array", categoryarray=names, gridcolor=theme.GRID
        )
        figure.update_xaxes(title_text="F1 on test texts", range=[-0.02, 1.02])
        return figure

    def alt(self) -> str:
        """F1 of the best single neuron of each feature."""
        one = self.frame().query("quantity == 'f1_one'").to_dict("records")
        listed = ", ".join(f"{row['feature']} {number(row['estimate'])}" for row in one)
        return f"Dot plot of test F1 by feature. Best single neuron: {listed}."


@dataclass(frozen=True)
class DepthProfile(Display):
    """F1 of the best single neuron of every layer, for every feature."""

    depth: pd.DataFrame
    """The table `depth` of a probe record."""

    title = "At what depth each feature becomes readable"
    words = Words(
        "Each row is a feature, each column a layer from the first to the last. The colour is the "
        "validation F1 of the best single neuron in that layer.",
        "Read along a row: where it turns strong is where single neurons start to tell the "
        "feature apart. A box marks the best layer of each row.",
        "The best of thousands of neurons always looks good to some degree; the level that "
        "shuffled labels reach is in the table above. Validation F1 was used for choosing, so it "
        "is slightly too high.",
    )

    def frame(self) -> pd.DataFrame:
        """The table as it is: `feature, layer, site, f1_validation`."""
        columns = ["feature", "layer", "site", "f1_validation"]
        return self.depth[columns].reset_index(drop=True)

    def figure(self) -> Any:
        """A heat map of features by layers."""
        grid = self._grid()
        sites = self.depth.pivot(index="feature", columns="layer", values="site")
        sites = sites.reindex(grid.index)
        names = [label(name) for name in grid.index]
        figure = theme.new_figure(height=110 + _row_height(len(grid), 30))
        figure.add_heatmap(
            x=[int(layer) for layer in grid.columns],
            y=names,
            z=grid.astype(object).where(grid.notna(), None).to_numpy().tolist(),
            colorscale=theme.SEQUENTIAL,
            xgap=1,
            ygap=2,
            hovertext=[
                [
                    f"<b>{name}</b><br>{label(sites.loc[feature, layer])}: F1 "
                    f"{number(grid.loc[feature, layer])}"
                    for layer in grid.columns
                ]
                for feature, name in zip(grid.index, names, strict=True)
            ],
            hoverinfo="text",
            colorbar=theme.colour_bar("F1"),
        )
        layers = [int(layer) for layer in grid.columns]
        for place, (_, row) in enumerate(grid.iterrows()):
            if row.notna().any():
                _box(figure, layers[int(row.fillna(-1.0).to_numpy().argmax())], place)
        figure.update_xaxes(title_text="layer", showgrid=False)
        figure.update_yaxes(autorange="reversed", showgrid=False)
        return figure

    def _grid(self) -> pd.DataFrame:
        grid = self.depth.pivot(index="feature", columns="layer", values="f1_validation")
        return grid.reindex(grid.max(axis=1).sort_values(ascending=False).index)

    def alt(self) -> str:
        """The best layer of each feature."""
        listed = [
            f"{name} layer {row.idxmax()} ({number(row.max())})"
            for name, row in self._grid().iterrows()
            if row.notna().any()
        ]
        return f"Heat map of F1 by feature and layer. Best layers: {', '.join(listed)}."


def sorted_features(features: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Features by the F1 of their best single neuron, best first, undefined last."""

    def key(feature: Mapping[str, Any]) -> float:
        estimate = _parts(feature.get("f1_one"))["estimate"]
        return 1.0 if missing(estimate) else -float(estimate)

    return sorted(features, key=key)


def _row_height(n: int, room: int) -> int:
    """Pixels for so many rows: each has `room`, or half of it where there are very many."""
    return n * (room if n <= 40 else room // 2)


def _parts(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {name: value.get(name) for name in ("estimate", "low", "high")}
    return {"estimate": value, "low": None, "high": None}


def _trace(part: pd.DataFrame, name: str, colour: str, symbol: str, size: int) -> dict[str, Any]:
    middle = part["estimate"].astype(float)
    is_open = "open" in symbol
    edge = {"width": 2} if is_open else {"width": 1, "color": theme.PAPER}
    trace: dict[str, Any] = {
        "x": middle.tolist(),
        "y": [label(feature) for feature in part["feature"]],
        "mode": "markers",
        "name": name,
        "marker": {"color": colour, "symbol": symbol, "size": size, "line": edge},
        "hovertemplate": f"%{{y}}<br>{name}: %{{x:.2f}}<extra></extra>",
    }
    if not is_open:
        trace["error_x"] = {
            "type": "data",
            "symmetric": False,
            "array": (part["high"].astype(float) - middle).tolist(),
            "arrayminus": (middle - part["low"].astype(float)).tolist(),
            "color": colour,
            "thickness": 2,
            "width": 0,
        }
    return trace


def _box(figure: Any, layer: int, row: int) -> None:
    figure.add_shape(
        type="rect",
        x0=layer - 0.5,
        x1=layer + 0.5,
        y0=row - 0.46,
        y1=row + 0.46,
        line={"color": theme.ORANGE, "width": 2.5},
    )
