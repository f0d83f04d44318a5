"""Runs are found, read, searched and compared from their records alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from needlepoint._core.errors import DataError, StoreError, UnknownNameError
from needlepoint.explorer.run_folders.compare import MAIN, comparable, compare, differences
from needlepoint.explorer.run_folders.library import Library, require_folders
from needlepoint.explorer.run_folders.scatter import in_words, scatter
from needlepoint.explorer.run_folders.search import MOST, put_forward, search, site_in
from needlepoint.explorer.run_folders.units import units_of


@pytest.fixture(scope="module")
def library(runs: Path) -> Library:
    return Library([runs])


def test_runs_are_found_below_a_folder_and_by_themselves(runs: Path) -> None:
    names = [run.id for run in Library([runs]).runs()]
    assert names == ["first", "second"]
    assert [run.id for run in Library([runs, runs / "first"]).runs()] == names
    assert [run.id for run in Library([runs / "second"]).runs()] == ["second"]


def test_runs_of_one_name_are_told_apart(runs: Path, tmp_path: Path) -> None:
    for above in ("a", "b", "c/b"):
        shutil.copytree(runs / "first", tmp_path / above / "first")
    names = [run.id for run in Library([tmp_path]).runs()]
    assert names == ["first", "b-first", "b-first-2"]


def test_a_card_has_each_question_with_its_answer(library: Library) -> None:
    card = next(card for card in library.cards() if card.id == "first")
    assert (card.kind, card.model, card.status) == ("demo", "smollm2", "done")
    states = {one.cell: one.status for one in card.asked}
    assert states["circuit.ioi"] == "done"
    assert states["probe.broken"] == "failed"
    answers = {one.cell: one.answer for one in card.asked}
    assert answers["circuit.docstring"].startswith("the model does not do it")
    assert answers["probe.broken"] == "ValueError: no"


def test_a_damaged_run_says_so_and_hides_no_other(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "runs")
    (tmp_path / "runs" / "second" / "run.json").write_text("{")
    cards = {card.id: card for card in Library([tmp_path / "runs"]).cards()}
    assert cards["second"].status == "damaged"
    assert "run.json is missing or damaged" in cards["second"].error
    assert cards["first"].error == ""
    found = search(Library([tmp_path / "runs"]), "L23.H3")
    assert {hit.run for hit in found.hits} == {"first"}
    assert found.unread[0].startswith("second was left out")


def test_a_name_is_never_a_path(library: Library, runs: Path, tmp_path: Path) -> None:
    for name in ("..", "../first", str(runs / "first"), "first/../second", "%2e%2e", ""):
        with pytest.raises(UnknownNameError, match="there is no run"):
            library.run(name)
    with pytest.raises(UnknownNameError, match="has no record"):
        library.run("first").record("../../run")
    secret = tmp_path / "secret.html"
    secret.write_text("secret")
    shutil.copytree(runs / "first", tmp_path / "run")
    (tmp_path / "run" / "report.html").unlink()
    (tmp_path / "run" / "report.html").symlink_to(secret)
    assert Library([tmp_path / "run"]).run("run").inside("report.html") is None
    assert Library([runs]).run("first").inside("report.html") is not None
    assert Library([runs]).run("first").inside("../second/run.json") is None


@pytest.mark.parametrize(
    ("query", "sites"),
    [
        ("L23.H3", {"L23.H3"}),
        ("l23.h3", {"L23.H3"}),
        ("L2", {f"L2.H{head}" for head in range(9)}),
        ("L2.H", {f"L2.H{head}" for head in range(9)}),
        ("H3 ioi", {f"L{layer}.H3" for layer in range(30)}),
    ],
)
def test_a_search_by_site_finds_exactly_these(
    library: Library, query: str, sites: set[str]
) -> None:
    found = search(library, query, kind="head")
    assert {hit.unit.site for hit in found.hits} == sites
    assert {hit.run for hit in found.hits} == {"first", "second"}


def test_a_search_by_feature_or_task_has_their_scores(library: Library) -> None:
    found = search(library, "ioi matters first")
    top = found.hits[0].unit
    assert (top.site, top.measure, top.value) == ("L23.H3", "effect", -2.31)
    assert set(top.scores) >= {"discrete_sae", "random"}
    assert found.total == 8
    neurons = search(library, "HTML chosen", kind="neuron")
    assert {hit.unit.subject for hit in neurons.hits} == {"HTML"}
    assert neurons.hits[0].unit.scores["test F1"] == pytest.approx(0.74)
    everything = search(library, "")
    assert len(everything.hits) == MOST < everything.total
    assert search(library, "ioi", run="second").hits[0].run == "second"
    with pytest.raises(DataError, match="201 characters is too long"):
        search(library, "x" * 201)


def test_heads_have_the_codes_that_their_run_recorded(
    library: Library, runs: Path, tmp_path: Path
) -> None:
    run = library.run("first")
    table = run.folder.table("circuit.ioi", "codes")
    units = {unit.site: unit for unit in units_of(run, run.record("circuit.ioi"))}
    assert set(table["site"]) == {site for site, unit in units.items() if unit.codes is not None}
    found = units["L23.H3"].codes
    assert [(one.code, one.prompts) for one in found] == [(17, 60)]
    assert found[0].tokens[0] == (" Mary", 9)
    shutil.copytree(runs / "first", tmp_path / "run")
    older = Library([tmp_path / "run"]).run("run")
    record, said = older.record("circuit.ioi"), table.assign(unique=False)
    older.folder.add(record, {"heads": run.folder.table("circuit.ioi", "heads"), "codes": said})
    assert {unit.codes for unit in units_of(older, record)} == {None, ()}
    older.folder.add(record, {"heads": run.folder.table("circuit.ioi", "heads")})
    assert {unit.codes for unit in units_of(older, older.record("circuit.ioi"))} == {None}


def test_heads_that_nobody_ablated_are_ranked_by_a_score(
    library: Library, runs: Path, tmp_path: Path
) -> None:
    shutil.copytree(runs / "first", tmp_path / "bare")
    bare = Library([tmp_path / "bare"]).run("bare")
    record, heads = bare.record("circuit.ioi"), bare.folder.table("circuit.ioi", "heads")
    bare.folder.add(record, {"heads": heads.assign(effect=None, matters=None)})
    found = search(Library([tmp_path / "bare"]), "ioi", kind="head")
    first = heads.loc[heads["score.discrete_sae"].abs().idxmax()]
    unit = found.hits[0].unit
    assert (unit.site, unit.measure) == (first["site"].removesuffix(".z"), "discrete sae")
    assert unit.value == pytest.approx(first["score.discrete_sae"])
    run = library.run("first")
    held = compare((run, run.record("circuit.ioi")), (bare, bare.record("circuit.ioi")))
    assert held.rows["second"].isna().all()
    assert held.correlation is None


def test_a_search_knows_a_whole_name_and_whether_a_run_put_it_forward(library: Library) -> None:
    assert [site_in(query) for query in ("x l2.n3 L1.H1", "L2.H1.z", "L2 H1", "L2.N", "")] == [
        "L2.N3",
        "L2.H1",
        "",
        "",
        "",
    ]
    assert put_forward(library, "L23.H3")
    assert not put_forward(library, "L23.N3")


def test_units_are_read_again_when_a_record_changes(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "first", tmp_path / "run")
    run = Library([tmp_path / "run"]).run("run")
    record = run.record("circuit.ioi")
    before = units_of(run, record)
    assert units_of(run, record) is before
    heads = run.folder.table("circuit.ioi", "heads")
    heads["effect"] = 1.5
    run.folder.add(record, {"heads": heads})
    assert {unit.value for unit in units_of(run, record)} == {1.5}


def test_two_runs_differ_in_what_was_asked_and_found(library: Library) -> None:
    first, second = library.run("first"), library.run("second")
    assert [(one.name, one.first, one.second) for one in differences(first, second)] == [
        ("config.seed", "0", "1")
    ]
    assert differences(first, first) == []
    cells = [record.cell for record in comparable(first)]
    assert cells == ["circuit.ioi", "probe.programming_language"]
    sides = [(run, run.record("circuit.ioi")) for run in (first, second)]
    found = compare(sides[0], sides[1])
    assert len(found.rows) == 270
    gaps = found.rows["difference"].abs().dropna()
    assert gaps.is_monotonic_decreasing
    values = {
        run.id: run.folder.table("circuit.ioi", "heads").set_index("site")["effect"]
        for run, _ in sides
    }
    for row in found.rows.dropna(subset=["difference"]).itertuples():
        assert row.first == pytest.approx(values["first"][f"{row.site}.z"])
        assert row.second == pytest.approx(values["second"][f"{row.site}.z"])
    assert found.rows["first"].isna().sum() == 1
    expected = found.rows[["first", "second"]].corr("spearman").iloc[0, 1]
    assert found.correlation == pytest.approx(expected)
    same = compare(sides[0], sides[0], "random")
    assert same.correlation == pytest.approx(1.0)
    assert same.rows["difference"].abs().max() == 0
    assert MAIN in same.measures


def test_a_comparison_of_unlike_things_is_refused(library: Library) -> None:
    run = library.run("first")
    heads = (run, run.record("circuit.ioi"))
    neurons = (run, run.record("probe.programming_language"))
    with pytest.raises(DataError, match="of different kinds"):
        compare(heads, neurons)
    with pytest.raises(DataError, match="cannot be compared; main value, discrete_sae"):
        compare(heads, heads, "beauty")


def test_the_picture_has_a_mark_for_each_unit_and_escapes_names(library: Library) -> None:
    sides = [
        (run, run.record("probe.programming_language"))
        for run in (library.run("first"), library.run("second"))
    ]
    found = compare(sides[0], sides[1])
    figure = scatter(found, "<b>first</b>", "second")
    marks = sum(len(trace["x"]) for trace in figure["data"][1:])
    assert marks == len(found.rows.dropna(subset=["difference"]))
    text = json.dumps(figure)
    assert "<b>" not in text
    assert "&lt;b&gt;first" in text
    assert in_words(found).startswith("9 units in both runs; no rank correlation, as all numbers")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not a folder"):
        require_folders([tmp_path / "none"])
