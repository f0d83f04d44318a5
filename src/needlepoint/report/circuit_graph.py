"""The circuit as a layered graph, with a threshold that a reader can move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from needlepoint.report import theme
from needlepoint.report.display import Display, Words
from needlepoint.report.graph_panel import EFFECTS, packed_edges, packed_nodes, packed_scores
from needlepoint.report.measured import LOGITS, Measured
from needlepoint.report.model_graph import ModelGraph
from needlepoint.report.random_sets import RandomSets
from needlepoint.report.rankings import FRAME, Ranking, edge_rankings, head_rankings
from needlepoint.report.text import label, missing, number


@dataclass(frozen=True)
class CircuitGraph(Display):
    """Layers upward, heads side by side; a threshold says how many are kept."""

    graph: ModelGraph
    heads: pd.DataFrame
    """The table `heads` of a circuit record."""
    nodes: pd.DataFrame
    """Its table `nodes`; without rows, MLPs are drawn without effects."""
    edges: pd.DataFrame
    """Its table `edges`."""
    runs: pd.DataFrame
    """Its table `faithfulness`."""
    curves: pd.DataFrame
    """Its table `curves`."""
    names: dict[str, str] = field(default_factory=dict)
    """What methods are called, best first."""
    scores: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Scores of all edges by method, `[writer, reader]`."""
    chosen: int | None = None
    """Size of the circuit that the record puts forward, where the threshold stands at first."""
    measured: Measured = LOGITS
    unmeasured: str = ""
    """Why the faithfulness of heads is not known, and what to do; empty if it is."""

    title = "The circuit, from its strongest part to all"

    @property
    def words(self) -> Words:
        """The explanation under the graph."""
        drawn = (
            "A line is an edge that a method put forward, from the part that writes to the part "
            "that reads it as queries (blue), keys (orange), values (green) or otherwise (grey). "
            if len(self.edges)
            else ""
        )
        return Words(
            "The model from the text (bottom) to the prediction (top): each row is a layer, each "
            "circle a head, each square an MLP. Large marks are kept, faint ones cut; the colour "
            f"is the effect of replacing that part alone. {drawn}",
            "Move the threshold and watch along the curves how much of the behaviour is left, and "
            "how many of the kept heads matter. A circuit is good if it rises to 1 far to the left "
            "of what random sets of heads do (grey). Point at a part, or walk through them with "
            "the arrow keys, for its numbers.",
            "Faithfulness was measured at the dots; between two of them it is not known. Where "
            "heads are kept, all MLPs go on computing. Effects are of one part at a time.",
        )

    @property
    def rankings(self) -> list[Ranking]:
        """Every order in which parts can be kept: of heads, then of edges."""
        by_head = head_rankings(self.heads, self.runs, self.names)
        by_edge = edge_rankings(self.graph, self.heads, self.edges, self.curves, self.scores)
        return by_head + [one.named(self.names.get(one.name, one.name)) for one in by_edge]

    def frame(self) -> pd.DataFrame:
        """One row for each threshold of each ranking.

        Columns `ranked_by, unit` (`heads` or `edges`)`, size, added, precision, faithfulness, low,
        high, random, random_low, random_high, random_draws, random_holds` (what lies between the
        two bounds); what was not measured at a size is missing.
        """
        random = RandomSets.of(self.runs)
        frames = [one.frame(random) for one in self.rankings]
        if not frames:
            return pd.DataFrame(columns=FRAME.split())
        return pd.concat(frames, ignore_index=True)

    def figure(self) -> Any:
        """The graph at the size of the circuit, for those who cannot move the threshold."""
        figure = theme.new_figure(height=max(260, 120 + 19 * self.graph.n_layers))
        kept = self._kept()
        places = {row["node"]: self._place(row) for row in self._marks()}
        for row in self.edges.to_dict("records"):
            for reader in self.graph.joined(str(row["reader"])):
                if {str(row["writer"]), reader} <= kept | set(_ENDS):
                    _line(figure, places[str(row["writer"])], places[reader])
        self._draw(figure, kept, places)
        figure.update_xaxes(visible=False)
        figure.update_yaxes(title_text="layer", showgrid=False, dtick=5 if len(places) > 90 else 1)
        return figure

    def _kept(self) -> set[str]:
        """The nodes of the circuit that the record puts forward."""
        first = next((one for one in self.rankings if one.unit == "heads"), None)
        return set() if first is None else set(first.added[: self.chosen or len(first.added)])

    def _draw(self, figure: Any, kept: set[str], places: Mapping[str, tuple[float, float]]) -> None:
        rows = [row for row in self._marks() if row["kind"] != "end"]
        effects = [0.0 if missing(row["effect"]) else float(row["effect"]) for row in rows]
        most = max([abs(one) for one in effects] or [1.0]) or 1.0
        big = [row["node"] in kept for row in rows]
        figure.add_scatter(
            x=[places[row["node"]][0] for row in rows],
            y=[places[row["node"]][1] for row in rows],
            mode="markers",
            marker={
                "size": [13 if one else 5 for one in big],
                "opacity": [1.0 if one else 0.35 for one in big],
                "symbol": ["square" if row["kind"] == "mlp" else "circle" for row in rows],
                "color": effects,
                "colorscale": theme.DIVERGING,
                "cmin": -most,
                "cmax": most,
                "line": {"width": 1, "color": theme.GREY},
            },
            hovertext=[f"<b>{label(row['node'])}</b><br>{self._said(row)}" for row in rows],
            hoverinfo="text",
        )
        for name in _ENDS:
            x, y = places[name]
            figure.add_annotation(x=x, y=y, text=name, showarrow=False)

    def _said(self, row: Mapping[str, Any]) -> str:
        return f"effect {self.measured.amount(row['effect'])}"

    def _place(self, row: Mapping[str, Any]) -> tuple[float, float]:
        middle = (self.graph.n_heads - 1) / 2
        ends = {"embed": (middle, -1.0), "logits": (middle, float(self.graph.n_layers))}
        if row["node"] in ends:
            return ends[row["node"]]
        across = self.graph.n_heads + 0.3 if row["kind"] == "mlp" else row["index"]
        return float(across), float(row["layer"])

    def _marks(self) -> list[dict[str, Any]]:
        """Everything that has a place: the embedding, heads, MLPs, the logits."""
        found = {
            str(row["node"]): {str(key): row[key] for key in row}
            for row in self.nodes.to_dict("records")
        }
        for row in self.heads.to_dict("records"):
            name = f"L{row['layer']}.H{row['head']}"
            found[name] = {"node": name, "kind": "head", "index": row["head"], **_some(row)}
        for layer in range(self.graph.n_layers * self.graph.has_mlps):
            name = f"L{layer}.mlp"
            plain = {"node": name, "kind": "mlp", "layer": layer, "index": 0}
            found.setdefault(name, {**plain, **dict.fromkeys(EFFECTS)})
        ends = [{"node": name, "kind": "end", **dict.fromkeys(EFFECTS)} for name in _ENDS]
        for end in ends:
            found[str(end["node"])] = {**end, **found.get(str(end["node"]), {}), "kind": "end"}
        return list(found.values())

    def panel(self) -> dict[str, Any]:
        """What the page's script draws: nodes, rankings with their curves, edges."""
        index = {str(row["node"]): place for place, row in enumerate(self._marks())}
        return {
            "layers": self.graph.n_layers,
            "heads": self.graph.n_heads,
            "unit": self.measured.unit,
            "metric": self.measured.metric,
            "chosen": self.chosen,
            "nodes": packed_nodes(self._marks()),
            "scores": packed_scores(self.heads, index, self.names),
            "rankings": [one.panel(index, self.graph) for one in self.rankings],
            "edges": packed_edges(self.edges, index, self.graph),
            "random": _random_panel(RandomSets.of(self.runs)),
            "unmeasured": self.unmeasured,
            "scale": theme.DIVERGING,
        }

    def alt(self) -> str:
        """How many heads are kept, which, and how much of the behaviour they keep."""
        first = next((one for one in self.rankings if one.unit == "heads"), None)
        if first is None:
            return "Layered graph of the model; no ranking of its heads is known."
        n = min(self.chosen or len(first.added), len(first.added))
        value = next((f for size, f, *_ in first.curve if size == n), None)
        listed = ", ".join(first.added[: min(n, 8)])
        return (
            f"Layered graph of the model with {n} of {len(self.heads)} heads kept, ranked by "
            f"{first.label}: {listed}{', ...' if n > 8 else ''}. Faithfulness {number(value)}."
        )


_ENDS = ("embed", "logits")


def _random_panel(random: RandomSets) -> dict[str, Any]:
    """Random sets for the page's script; `[size, low, median, high]` of each, and what it holds."""
    spreads = {"band": random.band, "bars": random.bars}
    found = {
        name: [[size, *(round(one, 4) for one in spread)] for size, spread in sorted(of.items())]
        for name, of in spreads.items()
    }
    return {**found, "band_holds": random.band_words, "bars_hold": random.bar_words}


def _some(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {name: row.get(name) for name in ("layer", *EFFECTS, "matters")}


def _line(figure: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    figure.add_scatter(
        x=[start[0], end[0]],
        y=[start[1], end[1]],
        mode="lines",
        line={"color": theme.BAND, "width": 1.2},
        hoverinfo="skip",
    )
