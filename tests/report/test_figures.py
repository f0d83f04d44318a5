"""Every picture of a run becomes a figure for print that shows the numbers beside it."""

from __future__ import annotations

import csv
import io
import re
import zlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.font_manager import findfont, get_font

from needlepoint._core.errors import DataError, SourceError
from needlepoint._core.records import Record, RunFolder
from needlepoint.cli.main import run
from needlepoint.evaluation.study import Study
from needlepoint.report.blocks import PanelBlock
from needlepoint.report.display import Display, frame_dict
from needlepoint.report.faithfulness import Faithfulness
from needlepoint.report.figures import Saved, pictures, save_figures, show
from needlepoint.report.figures.draw import draw
from needlepoint.report.figures.lettering import FONT, words
from needlepoint.report.head_maps import HeadMap, TopHeads
from needlepoint.report.kinds import SECTIONS
from needlepoint.report.method_charts import MethodTable
from needlepoint.report.plain_charts import Axis, BoxChart, DotChart, LineChart, Words
from needlepoint.report.tables import CellTables

CIRCUIT = "circuit.ioi"
SAID = Words("What.", "How.", "Not.")


@pytest.fixture(scope="module")
def small(sample: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample run with one feature, whose name is markup."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "FEATURES", ["<b>C++</b> & co"])
        folder: Path = sample.write_sample_run(tmp_path_factory.mktemp("figures") / "run")
    return folder


@pytest.fixture(scope="module")
def saved(small: Path) -> Saved:
    return save_figures(small)


def axes_of(display: Any, width: float = 5.5) -> Axes:
    return draw(display, width).axes[0]


def displays_of(run: Path) -> list[Display]:
    """Every picture of the page, found by another way than `pictures` goes."""
    folder = RunFolder.open(run)
    found: list[Display] = []
    for record in folder.records():
        if record.status == "done":
            body = SECTIONS[record.kind].lay_out("s", record.summary, CellTables(folder, record))
            for block in body.blocks:
                found += [display for _, display in getattr(block, "choices", ())]
                found += [block.display] if isinstance(block, PanelBlock) else []
    return found


def test_every_picture_of_the_page_is_a_figure_with_its_numbers(small: Path, saved: Saved) -> None:
    choices = displays_of(small)
    assert len(saved.figures) == len(saved.numbers) == len(choices) >= 12
    assert len({path.name for path in saved.figures}) == len(choices)
    for figure, numbers, display in zip(saved.figures, saved.numbers, choices, strict=True):
        assert figure.stem == numbers.stem
        page = frame_dict(display.frame())
        columns, *rows = csv.reader(io.StringIO(numbers.read_text(encoding="utf-8")))
        assert columns == page["columns"]
        for row, shown in zip(rows, page["rows"], strict=True):
            assert [same(*pair) for pair in zip(row, shown, strict=True)] == [True] * len(row)


def same(text: str, value: Any) -> bool:
    """Whether a field of a CSV file holds a value of the page; one that is undefined is empty."""
    if value is None or isinstance(value, (str, bool)):
        return text == ("" if value is None else str(value))
    return float(text) == value


def test_captions_say_what_each_shows_and_what_is_undefined(small: Path, saved: Saved) -> None:
    captions = saved.captions.read_text(encoding="utf-8")
    for picture, figure in zip(pictures(RunFolder.open(small)), saved.figures, strict=True):
        assert f"## {figure.name}" in captions
        for said in (picture.display.title, picture.display.words.limits):
            assert said in captions
    effects = captions.split("## circuit.ioi.causal-effect-of-each-head.pdf")[1].split("##")[0]
    assert "`effect` in 1" in effects


def test_a_pdf_is_as_wide_as_asked_and_holds_its_letters(small: Path, tmp_path: Path) -> None:
    (path,) = save_figures(small, tmp_path, width=3.25, only="causal-effect").figures
    data = path.read_bytes()
    width, _ = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", data)[0]
    assert float(width) == pytest.approx(3.25 * 72)
    assert b"/FontFile2" in data, "the font is embedded"
    assert b"/CIDFontType2" in data, "as outlines that stay letters"
    assert data.startswith(b"%PDF")
    assert data.rstrip().endswith(b"%%EOF")
    assert any(b"TJ" in part for part in streams(data)), "words are written, not drawn"


def streams(data: bytes) -> list[bytes]:
    starts = re.finditer(rb"/FlateDecode[^>]*>>\s*stream\r?\n", data)
    return [zlib.decompressobj().decompress(data[start.end() :]) for start in starts]


@pytest.mark.parametrize(("kind", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%")])
def test_the_same_records_give_the_same_bytes(
    small: Path, tmp_path: Path, kind: str, start: bytes
) -> None:
    one, two = (
        save_figures(small, tmp_path / name, kind=kind, only="causal-effect").figures[0]
        for name in "ab"
    )
    assert one.read_bytes() == two.read_bytes()
    assert one.read_bytes().startswith(start)


def test_the_band_of_random_sets_is_filled_between_its_ends(small: Path) -> None:
    folder = RunFolder.open(small)
    (record,) = [one for one in folder.records() if one.cell == CIRCUIT]
    runs = CellTables(folder, record).frame("faithfulness")
    (area,) = axes_of(Faithfulness(runs, 6)).patches
    few = runs[(runs["kind"] == "random") & (runs["draw"] < 5)].groupby("size")["faithfulness"]
    ends = pd.DataFrame(area.get_xy(), columns=["size", "value"]).groupby("size")["value"]
    np.testing.assert_allclose(ends.max(), few.max())
    np.testing.assert_allclose(ends.min(), few.min())
    assert area.get_label() == "random heads: least to greatest of 5"


def heads() -> pd.DataFrame:
    effect = [-2.0, 0.5, float("nan"), 1.0]
    return pd.DataFrame(
        {
            "layer": [0, 0, 1, 1],
            "head": [0, 1, 0, 1],
            "site": ["L0.H0.z", "L0.H1.z", "L1.H0.z", "L1.H1.z"],
            "effect": effect,
            "effect_low": np.array(effect) - 0.25,
            "effect_high": np.array(effect) + 0.25,
            "matters": [True, False, False, True],
        }
    )


def test_a_map_draws_each_effect_in_its_cell_and_hatches_what_is_undefined() -> None:
    axes = axes_of(HeadMap(heads()))
    (mesh,) = [one for one in axes.collections if isinstance(one, QuadMesh)]
    drawn = np.ma.filled(mesh.get_array().astype(float), np.nan).reshape(2, 2)
    np.testing.assert_array_equal(drawn, [[-2.0, 0.5], [np.nan, 1.0]])
    assert mesh.get_clim() == (-2.0, 2.0)
    assert mesh.get_cmap()(np.ma.masked_all(1))[0][3] == 0, "an undefined cell is see-through"
    assert axes.patch.get_hatch(), "and shows the hatches behind it"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("head", "layer")


def test_a_forest_plot_draws_estimates_and_intervals_from_the_top() -> None:
    display = TopHeads(heads())
    axes, frame = axes_of(display), display.frame()
    points = axes.collections[-1].get_offsets()
    np.testing.assert_allclose(points[:, 0], frame["effect"])
    assert [tick.get_text() for tick in axes.get_yticklabels()] == frame["site"].tolist()
    assert axes.yaxis_inverted()
    bars = [line.get_xdata() for line in axes.lines if len(set(line.get_xdata())) == 2]
    assert sorted(map(tuple, bars)) == sorted(
        zip(frame["effect_low"], frame["effect_high"], strict=True)
    )


def test_a_chart_with_series_has_intervals_and_a_legend() -> None:
    rows = [
        {"label": label, "series": series, "estimate": value, "low": value - 0.1, "high": None}
        for label, series, value in [("a", "one", 0.4), ("b", "one", 0.6), ("a", "two", 0.5)]
    ]
    figure = draw(DotChart(pd.DataFrame(rows), "x", SAID, Axis("F1", (0.0, 1.0), 0.5, "chance")))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["one", "two"]
    bars = [segment for one in figure.axes[0].containers for segment in one[2][0].get_segments()]
    ends = sorted((segment[0][0], segment[1][0]) for segment in bars)
    np.testing.assert_allclose(ends, [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6)])
    assert figure.axes[0].get_xlim() == (0, 1)


def test_lines_on_a_logarithmic_axis() -> None:
    data = pd.DataFrame({"series": "s", "x": [1, 2, 64], "y": [0.1, None, 0.9]})
    chart = LineChart(data.assign(low=None, high=None), "x", SAID, Axis("F1"), "k", True)
    axes = axes_of(chart)
    assert axes.get_xscale() == "log"
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [0.1, 0.9])
    many = LineChart(
        data.assign(x=[9e3, 2e5, 1e6], low=None, high=None), "x", SAID, Axis("F1"), "k"
    )
    ticks = axes_of(replace(many, logarithmic=True)).get_xticklabels()
    assert "100k" in [tick.get_text() for tick in ticks], "and no formula"


def test_boxes_stand_at_their_names() -> None:
    data = pd.DataFrame(
        {"label": ["own", "other"], "p0_5": [0, 1], "p25": [1, 2], "p50": [2, 3], "p75": [3, 4]}
    ).assign(p99_5=[4, 5], strong=[True, False])
    axes = axes_of(BoxChart(data, "x", SAID, Axis("activation")))
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["own", "other"]
    medians = {tuple(line.get_xdata()) for line in axes.lines}
    assert {(2, 2), (3, 3)} <= medians


def test_words_stand_as_they_read_in_letters_the_font_has() -> None:
    assert words("&lt;b&gt;x&lt;/b&gt; &amp; y") == "<b>x</b> & y"
    font = get_font(findfont(FONT))
    for text in ("\U0001f469\u200d\U0001f52c", "\u4e2d\u6587", "\u05e9", "$x_1$"):
        assert all(font.get_char_index(ord(letter)) for letter in words(text))
    assert words("\u4e2d") == "\u27e8U+4E2D\u27e9"


def test_dollars_are_no_formula() -> None:
    methods = pd.DataFrame(
        {"method": ["m"], "label": ["$x_1$"], "auc": [0.9], "auc_low": [0.8], "auc_high": [1.0]}
    ).assign(control=False)
    axes = axes_of(MethodTable(methods))
    (tick,) = axes.get_yticklabels()
    assert tick.get_text() == "$x_1$"
    assert not tick.get_parse_math()


def test_a_grid_shows_the_score_of_each_cell(tmp_path: Path) -> None:
    grid = RunFolder.create(tmp_path / "grid", kind="grid", config={})
    for name, value in (("a", 0.7), ("b", None)):
        found = {"low": 0.6, "estimate": value, "high": 0.8} if value else None
        place = {"model": "m", "question": f"task {name}", "method": None, "repeat": 0}
        summary = {"circuit": {"faithfulness": found}}
        status = "done" if value else "failed"
        cell = f"circuit.{name}"
        grid.add(Record(cell, "circuit", status, reason="x", summary=summary, place=place))
    grid.finish()
    (chart,) = (one.display for one in pictures(grid) if one.name.startswith("grid."))
    frame = chart.frame()
    assert frame["label"].tolist() == ["m: task a", "m: task b"]
    assert frame["estimate"].iloc[0] == 0.7
    assert pd.isna(frame["estimate"].iloc[1]), "a cell that failed has a row without a value"
    np.testing.assert_allclose(axes_of(chart).collections[-1].get_offsets()[0, 0], 0.7)


def test_what_cannot_be_asked_for_is_said(small: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no format.*pdf, png, svg"):
        save_figures(small, tmp_path, kind="gif")
    with pytest.raises(DataError, match="2 to 20"):
        save_figures(small, tmp_path, width=85.0)
    with pytest.raises(DataError, match="'nothing' in its name"):
        save_figures(small, tmp_path, only="nothing")
    RunFolder.create(tmp_path / "empty", kind="demo", config={}).finish()
    with pytest.raises(DataError, match="has no picture"):
        save_figures(tmp_path / "empty")


def test_without_matplotlib_the_way_to_install_it_is_said(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("needlepoint.report.figures.save.find_spec", lambda name: None)
    with pytest.raises(SourceError, match=r"pip install 'needlepoint\[figures\]'"):
        save_figures(small, tmp_path)


def test_a_notebook_shows_pictures_as_images_that_run_nothing(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = show(small, only="one-neuron-and-a-few")._repr_html_()
    assert shown.count("<img") == shown.count("data:image/svg+xml;base64,") == 1
    assert "<script" not in shown
    assert "How to read it" in shown
    display = TopHeads(heads().assign(site=["<b>x</b>", "b", "c", "d"]))
    assert "<b>x</b>" not in show(display)._repr_html_()
    with pytest.raises(DataError, match="'nothing' in its name"):
        show(small, only="nothing")
    monkeypatch.setattr("needlepoint.report.figures.notebook.MOST", 1)
    few = show(small, only="score-")._repr_html_()
    assert few.count("<img") == 1
    assert "Not shown" in few


def test_a_study_tells_a_notebook_its_answer_as_text_and_its_pictures_when_asked() -> None:
    said = {"question": "<b>Which?</b>", "answer": "Two & more.", "not_established": ["<i>All</i>"]}
    study = Study(Record("circuit.x", "circuit", "done", summary=said), {"heads": heads()})
    shown = study._repr_html_()
    assert "&lt;b&gt;Which?&lt;/b&gt;" in shown
    assert "Two &amp; more." in shown
    assert "&lt;i&gt;All&lt;/i&gt;" in shown
    assert "heads (4)" in shown
    assert show(study, only="causal")._repr_html_().count("<img") == 1
    failed = Study(Record("circuit.x", "circuit", "skipped", reason="too <few>"), {})
    assert "too &lt;few&gt;" in failed._repr_html_()


def test_the_command_says_where_the_figures_are(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["figures", str(small), "--out", str(out), "--format", "svg", "--only", "causal-effect"]
    assert run(words) == 0
    assert capsys.readouterr().out.split("\n")[0].endswith(str(out))
    assert sorted(path.suffix for path in out.iterdir()) == [".csv", ".md", ".svg"]
    assert run(["figures", str(small), "--format", "gif"]) == 2
    assert "pdf, png, svg" in capsys.readouterr().err
