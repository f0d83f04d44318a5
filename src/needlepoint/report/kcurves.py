"""The picture of how many neurons a feature needs, layer by layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from needlepoint.report import theme
from needlepoint.report.display import Display, Words
from needlepoint.report.text import label, missing, number

_FOUND = ("one neuron", "sparse", "certified", "dense")
_EACH_K = "sparse, each k"
_TOKENS = ("current token", "previous token", "both tokens")
_LEVELS = {"embedding": ("embedding layer", 0.0), "shuffled labels": ("shuffled labels", 1.0)}
"""Baselines that read no neuron: their names, and where on the axis these stand."""
_DRAWN = {
    "random basis": ("best direction of a random basis", "square-open"),
    "random neurons": ("random neurons", "diamond-open"),
    "random leading neurons": ("random of the 512 leading", "triangle-up-open"),
}
"""Baselines that read as many numbers as a probe does."""


@dataclass(frozen=True)
class KCurves(Display):
    """F1 of one feature against the neurons read: validation layer by layer, and on test texts."""

    curve: pd.DataFrame
    """The table `curve` of a probe record."""

    tests: pd.DataFrame
    """The table `tests` of a probe record."""

    feature: str

    by_k: pd.DataFrame | None = None
    """The table `tests_by_k`, which runs of earlier versions lack."""

    words = Words(
        "How well a probe tells the feature when it may read k neurons of one layer. One line for "
        "each layer, dark for early and light for late layers; the horizontal axis doubles at "
        "every step.",
        "A line that is high at the left edge belongs to a layer where a single neuron is enough. "
        "A line that climbs slowly belongs to a layer where the feature is spread over many. The "
        "ringed dot is the layer and k that was chosen on validation texts. The orange line is the "
        "F1 on test texts, which took no part in choosing, of the layer that is best for each k on "
        "validation texts; its band is the 95 % interval, documents resampled. Diamonds with "
        "bars are the chosen probes on test texts, and all neurons of the layer at the right end. "
        "Hollow grey marks are random directions and neurons, "
        "dashed lines probes that read no neuron: if the one of token identity is as high as the "
        "diamonds, the tokens alone tell the feature.",
        "Lines of layers are validation scores, which flatter the best point a little; trust the "
        "orange line and the diamonds. Intervals are of each k alone, not of the whole line. "
        "Neurons are added in order of a ranking, so a better small set may exist.",
    )

    @property
    def title(self) -> str:
        """What the picture is called."""
        return f"How many neurons it takes: {self.feature}"

    def frame(self) -> pd.DataFrame:
        """Points of all curves (`split` validation), then those of test probes (`split` test)."""
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
        parts = [points, self._judged(self.tests)]
        if self.by_k is not None:
            parts.append(self._judged(self.by_k.assign(probe=_EACH_K)))
        rows = [row for part in parts for row in part.to_dict("records")]
        return pd.DataFrame(rows, columns=list(points.columns))

    def _judged(self, tests: pd.DataFrame) -> pd.DataFrame:
        """Rows of a table of test results, those of the feature."""
        own = tests[tests["feature"] == self.feature]
        return pd.DataFrame(
            {
                "feature": own["feature"],
                "split": "test",
                "probe": own["probe"],
                "layer": own["layer"],
                "k": own["k"],
                "f1": own["f1"],
                "low": own["f1_low"],
                "high": own["f1_high"],
                "selected": False,
            }
        )

    def figure(self) -> Any:
        """Lines on a logarithmic axis, the selected point, and test scores with intervals."""
        frame = self.frame()
        points, tests = frame[frame["split"] == "validation"], frame[frame["split"] == "test"]
        layers = sorted(int(layer) for layer in points["layer"].unique())
        colours, dark = theme.depth_colours(max(layers, default=0) + 1)
        figure = theme.new_figure(height=430, dark=dark)
        figure.update_layout(margin_t=44, margin_r=20)
        each_k = tests[tests["probe"] == _EACH_K].dropna(subset=["f1", "k"]).sort_values("k")
        _draw_band(figure, each_k.dropna(subset=["low", "high"]))
        self._draw_layers(figure, points, layers, colours)
        _add_depth_scale(figure, layers, colours)
        _draw_each_k(figure, each_k)
        _draw_selected(figure, points[points["selected"].astype(bool)])
        _draw_baselines(figure, self.tests[self.tests["feature"] == self.feature])
        _draw_tests(figure, tests[tests["probe"].isin(_FOUND)])
        ks = sorted({int(k) for k in points["k"]})
        figure.update_xaxes(
            title_text="neurons read (k)",
            type="log",
            tickvals=ks,
            ticktext=_tick_words(ks),
            tickangle=0,
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
        tests = frame[(frame["split"] == "test") & (frame["probe"] != _EACH_K)].to_dict("records")
        points = [
            f"selected layer {row['layer']}, k {row['k']}, F1 {number(row['f1'])}" for row in chosen
        ]
        points += [f"{row['probe']} {number(row['f1'])}" for row in tests]
        each_k = frame[frame["probe"] == _EACH_K].to_dict("records")
        if each_k:
            values = ", ".join(f"{number(row['f1'])} at k {int(row['k'])}" for row in each_k)
            points.append(f"on test texts by k {values}")
        return f"Line chart of F1 by number of neurons for {self.feature}: {'; '.join(points)}."


def _tick_words(ks: list[int]) -> list[str]:
    """What stands under each k: powers of two and the last, as the rest would run together.

    Example:
        >>> _tick_words([1, 2, 3, 4, 1536])
        ['1', '2', '', '4', '1536']
    """
    return [str(k) if k & (k - 1) == 0 or k == ks[-1] else "" for k in ks]


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


def _draw_band(figure: Any, each_k: pd.DataFrame) -> None:
    """The interval of test F1 over all k."""
    if each_k.empty:
        return
    ks = [int(k) for k in each_k["k"]]
    low, high = each_k["low"].astype(float).tolist(), each_k["high"].astype(float).tolist()
    figure.add_scatter(
        x=[*ks, *reversed(ks)],
        y=[*high, *reversed(low)],
        mode="none",
        fill="toself",
        fillcolor=theme.BAND,
        opacity=0.7,
        name="95 % interval, each k",
        showlegend=True,
        hoverinfo="skip",
    )


def _draw_each_k(figure: Any, each_k: pd.DataFrame) -> None:
    """Test F1 of the layer that validation texts chose for each k."""
    if each_k.empty:
        return
    figure.add_scatter(
        x=[int(k) for k in each_k["k"]],
        y=each_k["f1"].astype(float).tolist(),
        mode="lines+markers",
        name="on test texts, each k",
        showlegend=True,
        line={"color": theme.ORANGE, "width": 2.5},
        marker={"color": theme.ORANGE, "size": 5},
        hovertext=[f"layer {int(layer)}" for layer in each_k["layer"]],
        hovertemplate="%{hovertext}, k = %{x}: F1 %{y:.2f} on test texts<extra></extra>",
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


def _draw_baselines(figure: Any, tests: pd.DataFrame) -> None:
    """Dashed lines for probes that read no neuron, hollow marks for random ones."""
    by_name = {row["probe"]: row for row in tests.to_dict("records") if not missing(row["f1"])}
    tokens = [row for name, row in by_name.items() if name in _TOKENS]
    if tokens:
        best = max(tokens, key=lambda row: float(row["f1_validation"]))
        theme.reference_line(figure, best["f1"], "token identity", vertical=False)
    for name, (words, at) in _LEVELS.items():
        if name in by_name:
            theme.reference_line(figure, by_name[name]["f1"], words, vertical=False, at=at)
    for name, (words, symbol) in _DRAWN.items():
        if name not in by_name:
            continue
        row = by_name[name]
        figure.add_scatter(
            x=[int(row["k"])],
            y=[row["f1"]],
            mode="markers",
            name=words,
            showlegend=True,
            marker={"symbol": symbol, "size": 9, "color": theme.GREY, "line": {"width": 2}},
            hovertemplate=f"{words}: k = %{{x}}, F1 %{{y:.2f}} on test texts<extra></extra>",
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
