"""Several compounds: what is counted as ahead, what is left out, and that one word is as alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from needlepoint._core.errors import DataError, UnknownNameError
from needlepoint._core.records import RunFolder
from needlepoint.evaluation.case_studies import compounds as module
from needlepoint.evaluation.case_studies.compound_words import compounds_summary, count_ahead
from needlepoint.evaluation.case_studies.compounds import (
    TABLES,
    compounds_frame,
    find_compounds,
    judge_compounds,
    words_of,
)
from needlepoint.evaluation.case_studies.configs import (
    CompoundsConfig,
    SuperpositionConfig,
    of_compounds,
)
from needlepoint.evaluation.case_studies.one_feature import only_feature
from needlepoint.evaluation.case_studies.superposition import compound_of, judge_superposition
from needlepoint.evaluation.false_discovery import q_values
from needlepoint.evaluation.study import Clock, Study
from needlepoint.features.collection import Collection
from needlepoint.report import build_report
from needlepoint.report.compounds_section import compounds_section
from needlepoint.report.tables import CellTables
from needlepoint.testing.markup import TAG, put_markup, stray_markup
from needlepoint.testing.tiny import byte_tokenizer

SMALL = {"k": 3, "bases": 2, "random_sums": 10, "shuffles": 40, "rounds": 3, "other_texts": 10}
CONFIG = CompoundsConfig(compounds=("a-x", "x-a"), **SMALL)
A, X, *REST = byte_tokenizer().encode("axbcdefgh")


@pytest.fixture(scope="module")
def every(toy) -> Collection:
    """Windows for the words a-x and x-a: the compound, and either of its words alone."""
    rng = np.random.default_rng(0)
    ids, labels, members = [], [], []
    for place in range(240):
        column = int(place % 3 == 0)
        first, second = (X, A) if column else (A, X)
        kind = place % 4
        left, right = int(rng.choice(REST)), int(rng.choice(REST))
        end = [(first, second), (left, second), (first, right), (left, second)][kind]
        ids.append((*rng.choice(REST, 6).tolist(), *end))
        labels.append([kind == 0 and not column, kind == 0 and bool(column)])
        members.append([not column, bool(column)])
    return Collection(
        toy().card,
        "Which?",
        tuple(ids),
        tuple(f"document {place}" for place in range(240)),
        np.array([[text, 7, 8] for text in range(240)]),
        "last",
        ("a-x", "x-a"),
        np.array(labels),
        members=np.array(members),
    )


@pytest.fixture(scope="module")
def study(tiny, every) -> Study:
    compounds = [compound_of(every, word, CONFIG) for word in CONFIG.compounds]
    return judge_compounds(tiny, compounds, (0, 1), CONFIG)


def test_a_word_among_several_is_as_it_is_alone(study, tiny, every) -> None:
    alone = judge_superposition(
        tiny, compound_of(every, "x-a", CONFIG), (0, 1), SuperpositionConfig(word="x-a", **SMALL)
    )
    for name in TABLES:
        among = study.tables[name].query("word == 'x-a'").drop(columns="word")
        pd.testing.assert_frame_equal(among.reset_index(drop=True), alone.tables[name])
    row = study.tables["compounds"].set_index("word").loc["x-a"]
    assert row["verdict"] == alone.record.summary["verdict"]
    assert row["p_value"] == alone.record.summary["best_neuron"]["p_value"]


def test_q_values_are_over_the_words_that_were_asked(study) -> None:
    frame = study.tables["compounds"]
    assert frame["q_value"].tolist() == q_values(frame["p_value"].tolist())
    assert frame["ap_q"].tolist() == q_values(frame["ap_p"].tolist())
    assert (frame["q_value"] >= frame["p_value"]).all()


def test_tables_are_as_the_design_promises(study, promised: Callable) -> None:
    columns, _ = promised("compounds")
    assert set(columns["compounds"]) == set(study.tables["compounds"].columns)
    single, _ = promised("superposition")
    for name in TABLES:
        assert set(study.tables[name].columns) == {*single[name], "word"}, name
    summary = study.record.summary
    assert summary["question"].endswith("?")
    assert "nan" not in summary["answer"]
    assert summary["n_words"] == 2
    assert sum(summary["verdicts"].values()) == 2


def test_its_page_has_every_part_and_keeps_markup_out(study, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", kind="test", config={})
    study.save(run)
    run.finish()
    page = build_report(run.path).read_text(encoding="utf-8")
    for words in ("Does a sum beat the best single neuron?", "Which is on for nothing else?"):
        assert words in page
    assert "nothing of this was recorded" not in page
    assert put_markup(run, ("basis", "round", "word")) > 10
    page = build_report(run.path).read_text(encoding="utf-8")
    assert page.count(TAG) > 10
    assert stray_markup(page) == []


def test_the_page_draws_each_value_under_its_own_name(study, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", kind="test", config={})
    frames = dict(study.tables)
    frames["compounds"] = frames["compounds"].assign(f1=[0.9, 0.8], neuron_f1=[0.4, 0.3])
    pruned = frames["pruning"]
    run.add(study.record, frames)
    (record,) = run.records()
    section = compounds_section("s", record.summary, CellTables(run, record))
    figures = {part.anchor: part.figures[0].first.frame() for part in section.parts}
    first = figures["windows"].groupby("label", sort=False)[["series", "estimate"]].head(2)
    drawn = first[figures["windows"]["label"] == "a-x"]
    assert drawn.values.tolist() == [["sum", 0.9], ["best neuron", 0.4]]
    means = pruned.groupby("round")["f1"].mean()
    assert figures["pruning"]["y"].tolist() == pytest.approx(means.tolist())


def test_what_was_lost_is_what_clearly_fell(study) -> None:
    frame = study.tables["compounds"].assign(pruned_change_high=[-0.1, 0.2])
    summaries = [{"collection": study.record.summary["collection"]}]
    found = compounds_summary("m", frame, summaries, (0, 1), {}, CONFIG, Clock())
    assert found["pruned"]["lost"] == 1


def test_windows_of_the_same_document_or_of_the_same_tokens_are_no_other_texts(every) -> None:
    """Nothing that the sum or the neuron was chosen on comes back among the other texts."""
    rows = every.rows_of("a-x")
    free = compound_of(every, "a-x", CompoundsConfig(**{**SMALL, "other_texts": 500}))
    assert not set(free.others) & {every.ids[row] for row in rows}
    documents = list(every.documents)
    shared = every.rows_of("x-a")[0]
    documents[shared] = documents[rows[0]]
    joined = dataclasses.replace(every, documents=tuple(documents))
    found = compound_of(joined, "a-x", CompoundsConfig(**{**SMALL, "other_texts": 500}))
    assert every.documents[shared] in free.other_documents
    assert not set(found.other_documents) & set(only_feature(joined, "a-x").row_documents)
    assert len(found.others) == len(found.other_documents)


def test_a_page_is_made_of_the_record_alone(study, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", kind="test", config={})
    run.add(study.record)
    assert "nothing of this was recorded" in build_report(run.path).read_text(encoding="utf-8")


def test_a_word_that_cannot_be_studied_is_left_out_with_its_reason(tiny, every) -> None:
    good = compound_of(every, "a-x", CONFIG)
    few = [row for row in range(240) if every.labels[row, 1]][:1]
    few += [row for row in range(240) if every.members[row, 1] and not every.labels[row, 1]]
    scarce = Collection(
        every.card,
        "",
        tuple(every.ids[row] for row in few),
        tuple(every.documents[row] for row in few),
        np.array([[place, 7, 8] for place in range(len(few))]),
        "last",
        ("x-a",),
        every.labels[few][:, 1:],
    )
    bad = compound_of(scarce, "x-a", CONFIG)
    found = judge_compounds(tiny, [good, bad], (0,), CONFIG)
    assert found.tables["compounds"]["word"].tolist() == ["a-x"]
    (one,) = found.record.summary["left_out"]
    assert one["word"] == "x-a"
    assert one["reason"]
    with pytest.raises(DataError, match="no compound could be studied"):
        judge_compounds(tiny, [bad], (0,), CONFIG)


def test_words_are_all_or_those_asked_for(every) -> None:
    assert words_of(every, CompoundsConfig()) == ("a-x", "x-a")
    assert words_of(every, CompoundsConfig(compounds=("x-a",))) == ("x-a",)
    with pytest.raises(UnknownNameError, match="did you mean 'x-a'"):
        words_of(every, CompoundsConfig(compounds=("x-aa",)))


def test_the_texts_are_loaded_once_for_all_words(tiny, every, monkeypatch) -> None:
    asked = []

    def spec(encoder, **options) -> Collection:
        asked.append(options["n_per_feature"])
        return every

    monkeypatch.setattr(module, "COLLECTIONS", {"compound_words": spec})
    config = of_compounds(SuperpositionConfig(examples=9, layers="0", **SMALL), ("all",))
    assert find_compounds(tiny, config).record.summary["n_words"] == 2
    assert asked == [9]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"compounds": ()}, "no compound is named"),
        ({"compounds": ("a-b", "a-b")}, "'a-b' is named twice"),
        ({"compounds": ("all", "a-b")}, "give 'all' alone"),
        ({"compounds": ("a-b",), "word": "a-b"}, "give one of them"),
    ],
)
def test_words_that_say_nothing_are_refused(given, sentence) -> None:
    with pytest.raises(DataError, match=sentence):
        CompoundsConfig(**given)


def test_ahead_is_what_is_left_after_benjamini_and_hochberg() -> None:
    p_values = [0.001, 0.012, 0.024, 0.04, 0.9, None]
    frame = pd.DataFrame(
        {"gap": [0.3, 0.2, -0.2, 0.2, 0.0, 0.5], "q": pd.array(q_values(p_values), "Float64")}
    )
    found = count_ahead(frame, "gap", "q", "F1")
    # The fourth is below 5 % alone, but is the fourth of five: .04 * 5 / 4 = .05 counts just so.
    assert (found["n"], found["sum"], found["neuron"]) == (5, 3, 1)
    frame["q"] = pd.array(q_values([0.03, 0.2, 0.3, 0.4, 0.9, None]), "Float64")
    found = count_ahead(frame, "gap", "q", "F1")
    assert (found["sum"], found["neuron"]) == (0, 0)


def test_compounds_of_which_nothing_differs_are_not_counted_as_ahead() -> None:
    """Twenty words with p-values of pure chance: hardly ever is any of them ahead."""
    rng = np.random.default_rng(0)
    false = 0
    for _ in range(200):
        frame = pd.DataFrame({"gap": rng.normal(size=20), "q": q_values(rng.random(20).tolist())})
        found = count_ahead(frame, "gap", "q", "F1")
        false += found["sum"] + found["neuron"] > 0
    assert false / 200 < 0.1


def test_a_frame_of_words_has_missing_values_where_tokens_were_too_few(study) -> None:
    """Of a compound that no other text ends in there is no average precision."""
    blank = dict.fromkeys(("low", "estimate", "high"))
    row = study.tables["compounds"].iloc[0]
    assert torch.isfinite(torch.tensor(float(row["f1"])))
    summary = {
        "verdict": "no sum found",
        "collection": {"n_examples": 4, "n_positive": 2},
        "sum": {"layer": 0, "sites": ["L0.N1"], "f1": {"low": 0.1, "estimate": 0.2, "high": 0.3}},
        "best_neuron": {"site": "L0.N2", "f1": blank, "gap": blank, "p_value": None},
        "best_summand": {"site": "L0.N1", "f1": blank, "gap": blank},
        "last_token": {"f1": {"estimate": 0.2}},
        "random_sums": {"f1": blank, "p_value": 0.5},
        "shuffled": {"p_value": 0.5},
        "basis": {"gap": None, "clear": 0, "reversed": 0},
        "pruning": {"rounds": 1, "f1_first": 0.2, "f1_last": 0.1, "change": blank},
        "firing": {
            "sum_ap": blank,
            "best_neuron_ap": blank,
            "ap_gap": blank,
            "ap_p_value": None,
            "median_pairs": 1.0,
            "sum_pairs": 0,
            "best_neuron_pairs": 0,
        },
    }
    frame = compounds_frame({"a-x": summary})
    assert frame[["ap", "ap_q", "q_value", "gap"]].isna().all(axis=None)
    assert count_ahead(frame, "ap_gap", "ap_q", "AP") == {
        "measure": "AP",
        "n": 0,
        "sum": 0,
        "neuron": 0,
        "mean_gap": None,
    }
