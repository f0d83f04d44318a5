"""Orders in which the parts of a circuit can be kept, with what was measured along the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from needlepoint.report.edge_curves import LARGEST
from needlepoint.report.model_graph import ModelGraph
from needlepoint.report.random_sets import RandomSets
from needlepoint.report.text import missing

EFFECT = "causal effect"
MOST_EDGES = 200
"""Edges that a threshold can add; more would not be told apart."""
MOST_HEADS = 40
"""Heads that a threshold can add where no circuit was run."""

FRAME = (
    "ranked_by unit size added precision faithfulness low high "
    "random random_low random_high random_draws random_holds"
)

Point = tuple[int, float, float, float]
"""Size, faithfulness, and its interval."""


@dataclass(frozen=True)
class Ranking:
    """Heads or edges from the first to be kept to the last."""

    name: str
    label: str
    unit: str
    """`heads` or `edges`."""
    added: list[str]
    """What each step adds: a head, or an edge as `writer > reader`."""
    precision: list[float]
    """Of the heads kept after each step, the share that matters; NaN where none is kept."""
    curve: list[Point]
    values: list[float] = field(default_factory=list)
    """The score of each edge; empty for heads, whose scores are by method."""

    def named(self, label: str) -> Ranking:
        """The same under another label."""
        return replace(self, label=label)

    def frame(self, random: RandomSets) -> pd.DataFrame:
        """A row for each step; random sets of edges are not known."""
        points = {size: rest for size, *rest in self.curve}
        rows = []
        for place, name in enumerate(self.added):
            size = place + 1
            drawn = random.at(size) if self.unit == "heads" else None
            (low, middle, high), n, held = drawn or ((np.nan,) * 3, 0, "")
            rows.append(
                (
                    *(self.label, self.unit, size, name, self.precision[place]),
                    *points.get(size, (np.nan,) * 3),
                    *(middle, low, high, n, held),
                )
            )
        return pd.DataFrame(rows, columns=FRAME.split())

    def panel(self, index: Mapping[str, int], graph: ModelGraph) -> dict[str, Any]:
        """The same for the page's script, with nodes by their place."""
        added: list[Any] = [index[name] for name in self.added if name in index]
        if self.unit == "edges":
            added = [_joined(name, index, graph) for name in self.added]
        return {
            "label": self.label,
            "unit": self.unit,
            "added": added,
            "values": [float(f"{value:.4g}") for value in self.values],
            "precision": [None if missing(one) else round(one, 4) for one in self.precision],
            "curve": [[size, *(_rounded(one) for one in rest)] for size, *rest in self.curve],
        }


def head_rankings(
    heads: pd.DataFrame, runs: pd.DataFrame, names: Mapping[str, str]
) -> list[Ranking]:
    """Heads by their effect, then by each method whose circuits were run, or by every method."""
    found = []
    points = _points(runs)
    if heads["effect"].notna().any():
        found.append(_heads(EFFECT, "causal effect", _by_effect(heads), heads, points))
    scores = [str(name)[6:] for name in heads.columns if str(name).startswith("score.")]
    ordered = [name for name in names if name in scores]
    for name in ordered + [name for name in scores if name not in names]:
        column = heads[f"score.{name}"]
        if (name in points or not points) and column.notna().any():
            order = heads.assign(key=column).sort_values(
                "key", ascending=False, kind="stable", na_position="last"
            )
            found.append(_heads(name, names.get(name, name), order, heads, points))
    return found


def _by_effect(heads: pd.DataFrame) -> pd.DataFrame:
    """Those that matter first, each part from the largest effect down, as circuits are run."""
    first = [not missing(one) and bool(one) for one in heads["matters"]]
    keys = heads.assign(size=heads["effect"].abs(), first=first)
    return keys.sort_values(["first", "size"], ascending=False, kind="stable", na_position="last")


def _heads(
    name: str,
    label: str,
    order: pd.DataFrame,
    heads: pd.DataFrame,
    points: Mapping[str, list[Point]],
) -> Ranking:
    curve = points.get(name, [])
    largest = max([size for size, *_ in curve], default=min(MOST_HEADS, len(heads)))
    kept = order.head(largest)
    matters = kept["matters"].astype("float64") if kept["matters"].notna().any() else None
    steps = np.arange(1, len(kept) + 1)
    precision = [np.nan] * len(kept) if matters is None else (matters.cumsum() / steps).tolist()
    added = [f"L{row.layer}.H{row.head}" for row in kept.itertuples()]
    return Ranking(name, label, "heads", added, precision, curve)


def _points(runs: pd.DataFrame) -> dict[str, list[Point]]:
    """Measured faithfulness by ranking and size."""
    if "ranked_by" not in runs:
        runs = runs.assign(ranked_by=EFFECT)
    ranked = runs[runs["kind"] == "ranked"].sort_values("size")
    return {
        str(name): [
            (int(row["size"]), row["faithfulness"], row["low"], row["high"])
            for row in part.to_dict("records")
        ]
        for name, part in ranked.groupby("ranked_by", sort=False)
    }


def edge_rankings(
    graph: ModelGraph,
    heads: pd.DataFrame,
    edges: pd.DataFrame,
    curves: pd.DataFrame,
    scores: Mapping[str, np.ndarray],
) -> list[Ranking]:
    """Edges by the size of each method's scores, with the circuits that were run of them."""
    matters = {
        f"L{row['layer']}.H{row['head']}": row["matters"] for row in heads.to_dict("records")
    }
    known = not all(missing(value) for value in matters.values())
    found = []
    for name in dict.fromkeys(edges["method"]):
        own = edges[edges["method"] == name].sort_values("rank")
        listed = [(str(one.writer), str(one.reader), float(one.score)) for one in own.itertuples()]
        if name in scores:
            listed = _longer(listed, graph.largest_edges(scores[name], MOST_EDGES))
        precision = _precision(graph, listed, matters) if known else [np.nan] * len(listed)
        added = [f"{writer} > {reader}" for writer, reader, _ in listed]
        curve = _edge_points(curves, str(name), len(listed))
        values = [value for *_, value in listed]
        found.append(Ranking(str(name), str(name), "edges", added, precision, curve, values))
    return found


def _longer(
    listed: list[tuple[str, str, float]], more: list[tuple[str, str, float]]
) -> list[tuple[str, str, float]]:
    """The longer list of edges if it begins with those that the record ranks first."""
    ends = {one[:2] for one in listed}
    return more if ends == {one[:2] for one in more[: len(listed)]} else listed


def _edge_points(curves: pd.DataFrame, name: str, most: int) -> list[Point]:
    rows = curves[(curves["method"] == name) & (curves["order"] == LARGEST)].sort_values("size")
    return [
        (int(row["size"]), row["faithfulness"], row["low"], row["high"])
        for row in rows.to_dict("records")
        if 0 < row["size"] <= most
    ]


def _precision(
    graph: ModelGraph, listed: list[tuple[str, str, float]], matters: Mapping[str, Any]
) -> list[float]:
    """Of the heads that write along the first edges, the share that matters."""
    kept: set[str] = set()
    found = []
    for writer, _, _ in listed:
        if writer in matters:
            kept.add(writer)
        found.append(
            sum(bool(matters[name]) for name in kept) / len(kept) if kept else float("nan")
        )
    return found


def _joined(name: str, index: Mapping[str, int], graph: ModelGraph) -> list[Any]:
    writer, _, reader = name.partition(" > ")
    return [index[writer], reader, [index[one] for one in graph.joined(reader) if one in index]]


def _rounded(value: Any) -> float | None:
    return None if missing(value) else round(float(value), 4)
