"""Every display draws exactly the numbers that it gives up."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from needlepoint._core.records import RunFolder
from needlepoint.report.displays import (
    AblationChart,
    ActivationHistogram,
    DepthProfile,
    Display,
    Excerpts,
    Faithfulness,
    FeatureTable,
    HeadMap,
    KCurves,
    MethodTable,
    PrecisionChart,
    TopHeads,
)

CIRCUIT, PROBE = "circuit.ioi", "probe.programming_language"


@pytest.fixture(scope="module")
def tables(run: Path) -> dict[str, pd.DataFrame]:
    folder = RunFolder.open(run)
    cells = {record.cell: record for record in folder.records()}
    return {
        name: folder.table(cell, name) for cell in (CIRCUIT, PROBE) for name in cells[cell].tables
    }


@pytest.fixture(scope="module")
def features(run: Path) -> list[dict[str, Any]]:
    record = next(one for one in RunFolder.open(run).records() if one.cell == PROBE)
    found: list[dict[str, Any]] = record.summary["features"]
    return found


@pytest.fixture(scope="module")
def displays(tables: dict[str, pd.DataFrame], features: list[dict[str, Any]]) -> dict[str, Display]:
    name, site = features[0]["feature"], features[0]["site"]
    return {
        "map": HeadMap(tables["heads"]),
        "score": HeadMap(tables["heads"], "score.discrete_sae", "discrete"),
        "top": TopHeads(tables["heads"]),
        "methods": MethodTable(tables["methods"]),
        "precision": PrecisionChart(tables["methods"]),
        "faithfulness": Faithfulness(tables["faithfulness"], 6),
        "features": FeatureTable(features),
        "depth": DepthProfile(tables["depth"]),
        "curves": KCurves(tables["curve"], tables["tests"], name, tables["tests_by_k"]),
        "histogram": ActivationHistogram(tables["histograms"], name, site, 0.5),
        "ablation": AblationChart(tables["ablation"], name),
        "excerpts": Excerpts(tables["excerpts"], name, site),
    }


def test_every_display_gives_up_numbers_figure_words_and_json(displays: dict[str, Display]) -> None:
    for name, display in displays.items():
        frame, data = display.frame(), json.loads(display.to_json())
        assert len(frame) > 0, name
        assert data["frame"]["columns"] == list(frame.columns)
        assert len(data["frame"]["rows"]) == len(frame)
        assert data["figure"]["data"], name
        assert data["words"] == asdict(display.words)
        assert "template" not in data["figure"]["layout"]
        assert display.alt()
        assert all([display.title, display.words.shows, display.words.read, display.words.limits])
        assert "nan" not in display.alt().lower().split()


def test_the_map_draws_the_effects_it_lists(displays: dict[str, Display]) -> None:
    frame = displays["map"].frame()
    trace = displays["map"].figure().data[0]
    drawn = np.array(trace.z, dtype=float)
    listed = frame.pivot(index="layer", columns="head", values="effect").to_numpy()
    np.testing.assert_array_equal(drawn, listed)
    assert trace.zmin == -trace.zmax
    assert trace.zmax == frame["effect"].abs().max()


def test_only_the_strongest_heads_are_labelled(displays: dict[str, Display]) -> None:
    notes = displays["map"].figure().layout.annotations
    strongest = displays["map"].frame().sort_values("effect", key=abs).dropna()["effect"]
    assert len(notes) == 8
    assert notes[0].text == "\u22122.3"
    assert abs(strongest.iloc[-1]) == pytest.approx(2.31)


def test_an_undefined_effect_leaves_its_cell_empty(displays: dict[str, Display]) -> None:
    assert displays["map"].figure().data[0].z[0][4] is None
    assert json.loads(displays["map"].to_json())["frame"]["rows"][4][3] is None


def test_a_score_of_both_signs_is_drawn_around_zero(tables: dict[str, pd.DataFrame]) -> None:
    heads = tables["heads"].assign(**{"score.signed": tables["heads"]["effect"]})
    assert HeadMap(heads, "score.signed").figure().data[0].zmid == 0
    assert HeadMap(heads, "score.random").figure().data[0].zmid is None


def test_methods_are_sorted_and_controls_are_hollow(displays: dict[str, Display]) -> None:
    frame = displays["methods"].frame()
    known = frame["auc"].dropna()
    assert list(known) == sorted(known, reverse=True)
    assert pd.isna(frame["auc"].iloc[-1])
    markers = displays["methods"].figure().data[-1].marker
    paper = {"#fffffe"}
    hollow = [colour in paper for colour in markers.color]
    assert hollow == list(frame.dropna(subset=["auc"])["control"])


def test_chance_is_drawn_at_the_share_of_heads_that_matter(displays: dict[str, Display]) -> None:
    shape = displays["precision"].figure().layout.shapes[0]
    assert shape.x0 == shape.x1 == pytest.approx(8 / 270)


def test_the_band_holds_the_random_draws(tables: dict[str, pd.DataFrame]) -> None:
    runs = tables["faithfulness"]
    frame = Faithfulness(runs).frame()
    random = runs[runs["kind"] == "random"]
    for row in frame[frame["kind"] == "random"].to_dict("records"):
        drawn = random[(random["size"] == row["size"]) & (random["draw"] < row["draws"])]
        points = {5: [0, 0.5, 1], 50: [0.025, 0.5, 0.975]}[row["draws"]]
        np.testing.assert_allclose(
            [row["low"], row["faithfulness"], row["high"]],
            np.quantile(drawn["faithfulness"], points),
        )


def test_the_selected_point_and_the_test_scores_are_marked(displays: dict[str, Display]) -> None:
    frame = displays["curves"].frame()
    figure = displays["curves"].figure()
    chosen = next(trace for trace in figure.data if trace.name == "chosen on validation")
    listed = frame[frame["selected"].astype(bool)]
    assert list(chosen.x) == list(listed["k"])
    assert list(chosen.y) == list(listed["f1"])
    judged = next(trace for trace in figure.data if trace.name == "on test texts, with interval")
    assert list(judged.x)[-1] == max(frame["k"].dropna()), "all neurons, at the right end"
    assert len(judged.error_y.array) == 3
    names = {trace.name for trace in figure.data}
    assert {"best direction of a random basis", "random neurons"} <= names
    lines = [note.text for note in figure.layout.annotations]
    assert lines == ["token identity", "embedding layer", "shuffled labels"]
    assert figure.layout.xaxis.type == "log"


def test_test_scores_of_every_k_stand_beside_the_validation_lines(
    displays: dict[str, Display], tables: dict[str, pd.DataFrame]
) -> None:
    own = tables["tests_by_k"]
    own = own[own["feature"] == displays["curves"].frame()["feature"].iloc[0]]
    traces = {trace.name: trace for trace in displays["curves"].figure().data}
    line, band = traces["on test texts, each k"], traces["95 % interval, each k"]
    assert list(line.x) == own["k"].tolist()
    assert list(line.y) == own["f1"].tolist()
    n = len(own)
    assert list(band.x) == [*own["k"], *own["k"][::-1]]
    assert list(band.y[:n]) == own["f1_high"].tolist()
    assert list(band.y[n:]) == own["f1_low"][::-1].tolist()
    assert "on test texts by k 0.95 at k 1" in displays["curves"].alt()


def test_without_intervals_there_is_a_line_and_no_band(tables: dict[str, pd.DataFrame]) -> None:
    name = tables["tests"]["feature"].iloc[0]
    bare = tables["tests_by_k"].assign(f1_low=None, f1_high=None)
    for by_k, expected in ((bare, {"on test texts, each k"}), (bare[:0], set()), (None, set())):
        figure = KCurves(tables["curve"], tables["tests"], name, by_k).figure()
        drawn = {trace.name for trace in figure.data}
        assert drawn & {"on test texts, each k", "95 % interval, each k"} == expected


def test_one_line_for_each_layer(displays: dict[str, Display]) -> None:
    lines = [trace for trace in displays["curves"].figure().data if trace.mode == "lines"]
    assert len(lines) == 30
    assert len({trace.line.color for trace in lines}) == 30


def test_each_feature_is_boxed_at_its_best_layer(
    displays: dict[str, Display], tables: dict[str, pd.DataFrame]
) -> None:
    best = tables["depth"].loc[tables["depth"].groupby("feature")["f1_validation"].idxmax()]
    shapes = displays["depth"].figure().layout.shapes
    assert sorted(shape.x0 + 0.5 for shape in shapes) == sorted(best["layer"])


def test_shares_of_a_histogram_add_up_to_one_in_each_class(displays: dict[str, Display]) -> None:
    shares = displays["histogram"].frame().groupby("label")["share"].sum()
    np.testing.assert_allclose(shares, 1.0)


def test_tokens_are_shaded_by_size_and_keep_their_sign(
    tables: dict[str, pd.DataFrame], features: list[dict[str, Any]]
) -> None:
    negative = Excerpts(tables["excerpts"], features[0]["feature"], features[0]["site"])
    tokens = [token for text in negative.rows() for token in text.tokens]
    assert negative.has_negative()
    assert max(token.shade for token in tokens) == 1.0
    assert all(token.negative == (token.activation < 0) for token in tokens)
    positive = Excerpts(tables["excerpts"], features[1]["feature"], features[1]["site"])
    assert not positive.has_negative()


def test_the_frame_of_excerpts_keeps_tokens_as_they_are(
    displays: dict[str, Display], sample: ModuleType
) -> None:
    tokens = set(displays["excerpts"].frame()["token"])
    assert set(sample.NASTY) <= tokens


def test_strangers_names_are_escaped_for_plotly(displays: dict[str, Display]) -> None:
    written = json.dumps(displays["features"].figure().to_plotly_json())
    assert "&lt;b&gt;Shell&lt;/b&gt; &amp; co" in written
    assert "<b>Shell" not in written


def test_an_undefined_f1_is_left_out_of_the_picture(displays: dict[str, Display]) -> None:
    frame = displays["features"].frame()
    best = next(
        trace for trace in displays["features"].figure().data if "sparse" in str(trace.name)
    )
    assert len(best.x) == frame["feature"].nunique() - 1
