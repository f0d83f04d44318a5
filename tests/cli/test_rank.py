"""What `needlepoint rank` prints and writes, and what it refuses before a model is loaded."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from needlepoint.cli.examples import RANK
from needlepoint.evaluation.neuron_rankings import (
    CANDIDATE_METHODS,
    COLUMNS,
    METHODS,
    NO_CANDIDATE,
)
from needlepoint.probing.ranking_methods import RANKINGS


@pytest.fixture(autouse=True)
def one_core(monkeypatch) -> None:
    monkeypatch.setattr("needlepoint.cli.rank.free_cores", lambda: 1)


def test_the_leading_neurons_are_printed_and_nothing_is_written(
    cli, tiny_folder, labelled, nothing_left
) -> None:
    done = cli("rank", labelled, "--model", tiny_folder, "--dtype", "float32", "--top", 3)
    assert done.status == 0, done
    assert "nothing stored" in done.err
    lines = done.out.splitlines()
    assert "layers x 48 neurons" in " ".join(done.out.split())
    assert sum(".N" in line for line in lines) % 3 == 0
    assert "ranked by mean_difference_std" in " ".join(done.out.split())
    assert max(map(len, lines)) <= 80


def test_bounds_are_printed_where_there_are_some(cli, tiny_folder, labelled) -> None:
    arguments = ("rank", labelled, "--model", tiny_folder, "--dtype", "float32", "--by")
    assert "range" in cli(*arguments, "auc").out
    assert "range" not in cli(*arguments, "f_statistic").out


def test_texts_longer_than_the_model_reads_are_cut_into_windows(cli, tiny_folder, place) -> None:
    texts = ["ab" * 300 + str(row) for row in range(10)] + [f"c{row}" for row in range(10)]
    labels = ["yes", "no"] * 10
    pd.DataFrame({"text": texts, "label": labels}).to_parquet(place / "long.parquet")
    done = cli("rank", place / "long.parquet", "--model", tiny_folder, "--dtype", "float32")
    assert done.status == 0, done
    said = " ".join(done.err.split())
    assert "10 of 20 texts are longer than 255 tokens: cut into windows, 20 rows to 40." in said


def test_a_table_is_written(cli, tiny_folder, labelled, place) -> None:
    asked = ("rank", labelled, "--model", tiny_folder, "--dtype", "float32", "--by", "best_f1")
    done = cli(*asked, "--top", 4, "--out", "found/best.csv")
    assert done.status == 0, done
    table = pd.read_csv(place / "found" / "best.csv")
    assert list(table.columns[: len(COLUMNS)]) == COLUMNS
    assert table.groupby("feature").size().eq(4).all()
    assert (table.low <= table.high).all()
    assert cli(*asked, "--out", "found/best.csv").sentence.startswith("found/best.csv is there")


def test_a_folder_has_a_table_of_each_ranking(cli, tiny_folder, labelled, place) -> None:
    asked = ("rank", labelled, "--model", tiny_folder, "--dtype", "float32", "--out", "tables")
    assert cli(*asked).status == 0
    assert {path.stem for path in (place / "tables").iterdir()} == set(METHODS)
    assert cli(*asked).sentence.startswith("tables is not empty; choose another folder")


def test_the_help_names_every_ranking() -> None:
    of_all, of_candidates = RANK.split("Rankings: ")[1].split("Rankings of candidates")
    named = [set(re.findall(r"\w+", part)) for part in (of_all, of_candidates)]
    assert set(METHODS) <= named[0]
    assert set(CANDIDATE_METHODS) <= named[1]
    assert set(METHODS + CANDIDATE_METHODS) == set(RANKINGS)


@pytest.mark.parametrize("by", CANDIDATE_METHODS)
def test_rankings_of_candidates_say_of_which_and_what_the_second_pass_cost(
    cli, tiny_folder, labelled, place, by
) -> None:
    asked = ("rank", labelled, "--model", tiny_folder, "--dtype", "float32", "--by", by)
    done = cli(*asked, "--candidates", 6, "--top", 3, "--out", "joint.csv")
    assert done.status == 0, done
    said = " ".join(done.out.split())
    assert re.search(r"Ranked among \d+ candidates only: in each layer the 6 neurons", said)
    assert re.search(r"Second pass: \d+ candidates in [\d.]+ kB; all neurons would take", said)
    assert re.search(r"It took \d+ s, and the fits \d+ s\.", said)
    table = pd.read_csv(place / "joint.csv")
    assert table.among.str.fullmatch(r"\d+ candidates").all()
    assert table.score.notna().all()
    both = cli("rank", labelled, "--model", tiny_folder, "--dtype", "float32").out
    assert "Second pass" not in both
    assert "candidates" not in both


def test_more_neurons_than_candidates_are_shown_without_a_score(
    cli, tiny_folder, labelled, place
) -> None:
    asked = ("rank", labelled, "--model", tiny_folder, "--dtype", "float32", "--by", "linear_svm")
    done = cli(*asked, "--candidates", 1, "--top", 20, "--out", "tables")
    assert " none " in done.out
    assert {path.stem for path in (place / "tables").iterdir()} == {*METHODS, "linear_svm"}
    table = pd.read_csv(place / "tables" / "linear_svm.csv")
    assert (table.score.isna() == (table.score_reason == NO_CANDIDATE)).all()
    assert table.score.isna().any()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--by", "aux"), "unknown ranking 'aux': did you mean 'auc'?"),
        (("--top", "0"), "--top is 0; it must be at least 1."),
        (("--candidates", "0"), "--candidates is 0; it must be at least 1."),
        (("--bins", "1"), "--bins is 1; it may be 2 to 256."),
        (("--bins", "300"), "--bins is 300; it may be 2 to 256."),
        (("--out", "table.xlsx"), "table.xlsx is neither a table nor a folder; give --out"),
        (("--source", "hub"), "leave out --source"),
    ],
)
def test_what_cannot_be_done_is_refused_before_a_model_is_loaded(
    cli, labelled, no_load, nothing_left, arguments, said
) -> None:
    assert said in cli("rank", labelled, *arguments).sentence


def test_an_unknown_collection_is_named(cli, no_load, nothing_left) -> None:
    assert "programing_language" in cli("rank", "programing_language").sentence
