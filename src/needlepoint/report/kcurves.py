"""The picture of how many neurons a feature needs, layer by layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from needlepoint.report import theme
from needlepoint.report.display import Display, Words
from needlepoint.report.text import label, missing, number

_LEVELS = {"dense": "all neurons of a layer", "shuffled labels": "shuffled labels"}


@dataclass(frozen=True)
class KCurves(Display):
    """Validation F1 of one feature against the number of neurons read, one line for each layer."""

    curve: pd.DataFrame
    """The table `curve` of a probe record."""

    tests: pd.DataFrame
    """The table `tests` of a probe record."""

    feature: str

    words = Words(
        "How well a probe tells the feature when it may read k neurons of one layer. One line for "
        "each layer, dark for early and light for late layers; the horizontal axis doubles at "
        "every step.",
        "A line that is high at the left edge belongs to a layer where a single neuron is enough. "
        "A line that climbs slowly belongs to a layer where the feature is spread over many. The "
        "ringed dot is the layer and k that was chosen on validation texts. Diamonds with "
        "bars are the chosen probes on test texts, which took no part in choosing.",
        "Lines are validation scores, which flatter the best point a little; trust the diamonds. "
        "Neurons are added in order of a ranking, so a better small set may exist.",
    )

    @property
    def title(self) -> str:
        """What the picture is called."""
        return f"How many neurons it takes: {self.feature}"

    def frame(self) -> pd.DataFrame:
        """Points of all curves (`split` validation), then the test probes (`split` test)."""
        curve = self.curve[self.curve["feature"] == self.feature]
        points = pd.DataFrame(
            {
                "feature": curve["feature"],
                "split": "validation",
                "probe": "curve",
                "layer": curve["layer"],
                "k": curve["k"],
                "f1": curve["f1_validation"],
                "low": None,
                "high": None,
                "selected": curve["selected"],
            }
        )
        tests = self.tests[self.tests["feature"] == self.feature]
        judged = pd.DataFrame(
            {
                "feature": tests["feature"],
                "split": "test",
                "probe": tests["probe"],
                "layer": tests["layer"],
                "k": tests["k"],
                "f1": tests["f1"],
                "low": tests["f1_low"],
                "high": tests["f1_high"],
                "selected": False,
            }
        )
        rows = points.to_dict("records") + judged.to_dict("records")
        return pd.DataFrame(rows, columns=list(points.columns))

    def figure(self) -> Any:
        """Lines on a logarithmic axis, the selected point, and test scores with intervals."""
        frame = self.frame()
        points, tests = frame[frame["split"] == "validation"], frame[frame["split"] == "test"]
        layers = sorted(int(layer) for layer in points["layer"].unique())
        colours, dark = theme.depth_colours(max(layers, default=0) + 1)
        figure = theme.new_figure(height=430, dark=dark)
        figure.update_layout(margin_t=44, margin_r=20)
        self._draw_layers(figure, points, layers, colours)
        _add_depth_scale(figure, layers, colours)
        _draw_selected(figure, points[points["selected"].astype(bool)])
        _draw_tests(figure, tests[tests["probe"].isin(["one neuron", "sparse"])])
        for row in tests[tests["probe"].isin(_LEVELS)].to_dict("records"):
            if not missing(row["f1"]):
                theme.reference_line(figure, row["f1"], _LEVELS[row["probe"]], vertical=False)
        ks = sorted({int(k) for k in points["k"]})
        figure.update_xaxes(
            title_text="neurons read (k)", type="log", tickvals=ks, ticktext=[str(k) for k in ks]
        )
        if ks:
            figure.update_xaxes(range=[math.log10(ks[0]) - 0.06, math.log10(ks[-1]) + 0.03])
        figure.update_yaxes(title_text="F1", rangemode="tozero", range=[0, 1.04])
        return figure

    def _draw_layers(
        self, figure: Any, points: pd.DataFrame, layers: list[int], colours: list[str]
    ) -> None:
        chosen = set(points[points["selected"].astype(bool)]["layer"])
        lines = points.sort_values("k").groupby("layer")
        figure.add_traces(
            [
                {
                    "type": "scatter",
                    "x": [int(k) for k in line["k"]],
                    "y": [None if missing(f1) else float(f1) for f1 in line["f1"]],
                    "mode": "lines",
                    "line": {"color": colours[layer], "width": 3.5 if layer in chosen else 1.4},
                    "opacity": 1 if layer in chosen else 0.75,
                    "hovertemplate": "%{fullData.name}, k = %{x}: F1 %{y:.2f}<extra></extra>",
                    "name": f"layer {layer}",
                    "showlegend": False,
                }
                for layer, line in ((layer, lines.get_group(layer)) for layer in layers)
            ]
        )

    def alt(self) -> str:
        """The selected point and the test scores."""
        frame = self.frame()
        chosen = frame[frame["selected"].astype(bool)].to_dict("records")
        tests = frame[frame["split"] == "test"].to_dict("records")
        points = [
            f"selected layer {row['layer']}, k {row['k']}, F1 {number(row['f1'])}" for row in chosen
        ]
        points += [f"{row['probe']} {number(row['f1'])}" for row in tests]
        return f"Line chart of F1 by number of neurons for {self.feature}: {'; '.join(points)}."


def _add_depth_scale(figure: Any, layers: list[int], colours: list[str]) -> None:
    if not layers:
        return
    last = max(layers)
    figure.add_scatter(
        x=[None],
        y=[None],
        mode="markers",
        hoverinfo="skip",
        showlegend=False,
        marker={
            "color": [0],
            "cmin": 0,
            "cmax": max(last, 1),
            "colorscale": [[place / max(last, 1), colours[place]] for place in range(last + 1)]
            if last
            else [[0, colours[0]], [1, colours[0]]],
            "showscale": True,
            "colorbar": theme.colour_bar("layer"),
        },
    )


def _draw_selected(figure: Any, chosen: pd.DataFrame) -> None:
    figure.add_scatter(
        x=[int(k) for k in chosen["k"]],
        y=chosen["f1"].tolist(),
        mode="markers",
        name="chosen on validation",
        showlegend=True,
        marker={
            "symbol": "circle-open",
            "size": 15,
            "color": theme.INK,
            "line": {"width": 2.5},
        },
        hovertemplate="chosen: k = %{x}, F1 %{y:.2f}<extra></extra>",
    )


def _draw_tests(figure: Any, tests: pd.DataFrame) -> None:
    tests = tests.dropna(subset=["f1", "k"])
    middle = tests["f1"].astype(float)
    figure.add_scatter(
        x=[int(k) for k in tests["k"]],
        y=middle.tolist(),
        error_y={
            "type": "data",
            "symmetric": False,
            "array": (tests["high"].astype(float) - middle).tolist(),
            "arrayminus": (middle - tests["low"].astype(float)).tolist(),
            "color": theme.ORANGE,
            "thickness": 2,
            "width": 5,
        },
        mode="markers",
        name="on test texts, with interval",
        showlegend=True,
        marker={
            "symbol": "diamond",
            "size": 11,
            "color": theme.ORANGE,
            "line": {"color": theme.PAPER, "width": 1.5},
        },
        hovertext=[f"{label(probe)} probe on test texts" for probe in tests["probe"]],
        hovertemplate="%{hovertext}: k = %{x}, F1 %{y:.2f}<extra></extra>",
    )
    figure.update_layout(showlegend=True)
