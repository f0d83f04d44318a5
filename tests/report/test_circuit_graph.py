"""The graph's numbers: orders, precision, which edges exist, and what was not measured."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from needlepoint._core.records import RunFolder
from needlepoint.circuits.graph.graph import Graph
from needlepoint.report.circuit_graph import CircuitGraph
from needlepoint.report.circuit_section import circuit_section
from needlepoint.report.displays import HeadAttention, LayerProfile
from needlepoint.report.faithfulness import Faithfulness
from needlepoint.report.model_graph import ModelGraph
from needlepoint.report.packing import LARGE, packed_islands, unpacked
from needlepoint.report.random_sets import RandomSets
from needlepoint.report.tables import CellTables


@pytest.fixture(scope="module")
def tables(run: Path) -> CellTables:
    folder = RunFolder.open(run)
    (record,) = [one for one in folder.records() if one.cell == "circuit.ioi"]
    return CellTables(folder, record)


@pytest.fixture(scope="module")
def graph(tables: CellTables) -> CircuitGraph:
    block = circuit_section("s0", tables.record.summary, tables).graph
    assert block is not None
    found: CircuitGraph = block.display
    return found


@pytest.mark.parametrize("parallel", [False, True])
def test_the_report_knows_the_graph_as_the_methods_do(parallel: bool) -> None:
    """The report imports no method, so it has the order of writers and readers of its own."""
    true = Graph(n_layers=3, n_heads=4, n_kv_heads=2, parallel=parallel)
    known = ModelGraph(3, 4, 2, parallel)
    assert known.writers == [node.name for node in true.writers]
    assert known.readers == [node.name for node in true.readers]
    every = known.largest_edges(np.ones((len(known.writers), len(known.readers))), 10_000)
    assert len(every) == true.n_edges
    exist = {
        (true.writers[row].name, true.readers[column].name)
        for row, column in true.edges.nonzero().tolist()
    }
    assert {edge[:2] for edge in every} == exist


def test_an_array_of_another_model_is_left_alone() -> None:
    assert ModelGraph(3, 4, 2).largest_edges(np.ones((2, 2)), 5) == []


def test_precision_is_the_share_of_the_first_heads_that_matter(
    graph: CircuitGraph, tables: CellTables
) -> None:
    frame = graph.frame()
    matters = tables.frame("heads").assign(
        node=lambda heads: [f"L{row.layer}.H{row.head}" for row in heads.itertuples()]
    )
    true = matters.set_index("node")["matters"]
    rows = frame[frame["ranked_by"] == "causal effect"]
    for size in (1, 8, 9, 32):
        kept = rows["added"].iloc[:size]
        assert rows["precision"].iloc[size - 1] == pytest.approx(true[kept].mean())
    assert rows["precision"].iloc[7] == 1.0
    assert rows["precision"].iloc[8] < 1.0


def test_faithfulness_stands_only_where_it_was_measured(
    graph: CircuitGraph, tables: CellTables
) -> None:
    runs = tables.frame("faithfulness")
    measured = runs[runs["kind"] == "ranked"].set_index("size")["faithfulness"]
    frame = graph.frame()
    rows = frame[frame["ranked_by"] == "causal effect"].set_index("size")
    assert list(rows["faithfulness"].dropna().index) == list(measured.index)
    np.testing.assert_allclose(rows["faithfulness"].dropna(), measured)
    drawn = runs[(runs["kind"] == "random") & (runs["size"] == 6)]["faithfulness"]
    np.testing.assert_allclose(
        rows.loc[6, ["random_low", "random", "random_high"]].astype(float),
        np.quantile(drawn, [0.025, 0.5, 0.975]),
    )
    assert (rows.loc[6, "random_draws"], rows.loc[6, "random_holds"]) == (50, "95 % of 50")


def test_a_few_random_orders_are_followed_over_all_sizes(
    graph: CircuitGraph, tables: CellTables
) -> None:
    runs = tables.frame("faithfulness")
    rows = graph.frame().query("ranked_by == 'causal effect'").set_index("size")
    few = runs[(runs["kind"] == "random") & (runs["size"] == 8)]["faithfulness"]
    ends = rows.loc[8, ["random_low", "random", "random_high"]].astype(float)
    np.testing.assert_allclose(ends, [few.min(), few.median(), few.max()])
    assert rows.loc[8, "random_holds"] == "least to greatest of 5"
    assert np.isnan(rows.loc[7, "random"]), "between two sizes nothing is known"
    drawn = graph.panel()["random"]
    assert [size for size, *_ in drawn["band"]] == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]
    assert [size for size, *_ in drawn["bars"]] == [6]


def test_the_band_is_drawn_from_the_least_to_the_greatest(tables: CellTables) -> None:
    runs = tables.frame("faithfulness")
    chart = Faithfulness(runs, 6)
    band = chart.figure().data[0]
    few = runs[(runs["kind"] == "random") & (runs["draw"] < 5)].groupby("size")["faithfulness"]
    n = len(few)
    np.testing.assert_allclose(band.y[:n], few.max())
    np.testing.assert_allclose(band.y[n:], few.min()[::-1])
    assert band.fill == "toself"
    assert "least to greatest of 5 random orders" in chart.words.read
    assert "The grey bar at 6 heads holds 95 % of 50" in chart.words.read
    rows = chart.frame().query("kind == 'random'")
    assert rows.groupby("holds")["draws"].unique().to_dict() == {
        "95 % of 50": [50],
        "least to greatest of 5": [5],
    }


def test_orders_that_are_many_are_summed_up_by_where_most_lie(tables: CellTables) -> None:
    runs = tables.frame("faithfulness")
    many = runs[runs["kind"] == "random"].query("size == 6")
    twice = pd.concat([many, many.assign(size=9)])
    found = RandomSets.of(twice)
    assert (found.band_words, found.bars) == ("95 % of 50", {})
    expected = np.quantile(many["faithfulness"], [0.025, 0.5, 0.975])
    np.testing.assert_allclose(found.band[9], expected)


def test_edges_go_on_where_the_table_ends(graph: CircuitGraph, sample: ModuleType) -> None:
    rows = graph.frame().query("unit == 'edges'")
    assert list(rows["added"][: len(sample.EDGES)]) == [
        f"{writer} > {reader}"
        for writer, reader, _ in sorted(sample.EDGES, key=lambda e: -abs(e[2]))
    ]
    assert len(rows) == 200


def test_an_array_that_ranks_otherwise_than_the_table_is_not_used(
    graph: CircuitGraph, sample: ModuleType
) -> None:
    from dataclasses import replace

    scores = {"eap": -np.ones_like(graph.scores["eap"])}
    rows = replace(graph, scores=scores).frame().query("unit == 'edges'")
    assert len(rows) == len(sample.EDGES)


def test_without_effects_methods_rank_and_nothing_is_precise(graph: CircuitGraph) -> None:
    from dataclasses import replace

    heads = graph.heads.assign(effect=np.nan, effect_low=np.nan, effect_high=np.nan, matters=None)
    runs = graph.runs.head(0)
    blind = replace(graph, heads=heads, runs=runs, edges=graph.edges.head(0), chosen=None)
    frame = blind.frame()
    assert set(frame["ranked_by"]) == set(graph.names.values()) - {"edge score <i>"}
    assert frame["precision"].isna().all()
    assert frame["faithfulness"].isna().all()
    assert blind.panel()["rankings"][0]["precision"] == [None] * 40
    assert "not defined" in blind.alt()


def test_the_graph_draws_for_those_who_cannot_move_it(graph: CircuitGraph) -> None:
    figure = graph.figure()
    sizes = figure.data[-1].marker.size
    assert sum(size > 10 for size in sizes) == 6
    assert sum(trace.mode == "lines" for trace in figure.data) >= 5
    assert "Layered graph of the model with 6 of 270 heads kept" in graph.alt()
    assert "Faithfulness 0.78" in graph.alt()


def test_patterns_are_squares_whose_rows_sum_to_one(tables: CellTables) -> None:
    frames = [tables.frame(name) for name in ("shown_prompts", "attention", "codes")]
    display = HeadAttention(*frames)
    pattern = display.pattern("L16.H0", 0, "clean")
    assert pattern.shape == (15, 15)
    np.testing.assert_allclose(pattern.sum(1), 1, atol=0.01)
    assert not np.triu(pattern, 1).any()
    assert len(display.frame()) == sum(len(one) for one in frames[1]["weights"])
    assert display.alt().startswith("Attention patterns. From the last token: L23.H3 at")
    assert display.figure().data[0].z[14][0] == display.pattern("L23.H3", 0, "clean")[14][0]


def test_a_layer_profile_marks_the_best_layer() -> None:
    depth = pd.DataFrame({"feature": "a", "layer": [0, 1, 2], "site": ["x", "y", "z"]})
    display = LayerProfile(depth.assign(f1_validation=[0.1, 0.9, None]), {"feature": "a"})
    assert list(display.figure().data[1].x) == [1]
    assert "best 0.90 in layer 1" in display.alt()
    nothing = LayerProfile(depth.assign(f1_validation=np.nan), {"feature": "a", "null_f1": 0.2})
    assert nothing.levels() == {"shuffled labels": 0.2}
    assert "nothing is defined" in nothing.alt()


def test_only_large_pages_are_packed() -> None:
    small = packed_islands([("a", {"x": 1}), ("b", "y" * 5_000)])
    assert [kind for _, kind, _ in small] == ["application/json"] * 2
    large = packed_islands([("a", {"x": 1}), ("b", "<" * LARGE)])
    assert [kind for _, kind, _ in large] == ["application/json", "application/gzip"]
    assert "\\u003c" in unpacked(str(large[1][2]))
