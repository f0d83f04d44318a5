"""Names of places: no answer in the name, none with two answers, the same from both sources."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from needlepoint._core.text import Encoder
from needlepoint.features import places
from needlepoint.features.places import ANSWERS, COLUMNS, SETS, SPEC, records

MakeWheel = Callable[[dict[str, pd.DataFrame]], Path]


def made_sets(**more: list[tuple[str, str]]) -> dict[str, pd.DataFrame]:
    sets = {}
    for tag, question in SETS.items():
        answers = list(ANSWERS[question].values())
        rows = [
            (f"{question[0].upper()}ton {chr(97 + i)}", answers[i % len(answers)])
            for i in range(26)
        ]
        rows += more.get(question, [])
        sets[tag] = pd.DataFrame(rows, columns=["prompt", "target"])
    return sets


def names_of(question: str) -> list[str]:
    found = records("packages")
    return found["prompt"][found["set"] == question].tolist()


def test_every_answer_is_a_feature_on_rows_of_whole_names(
    make_wheel: MakeWheel, encoder: Encoder
) -> None:
    make_wheel(made_sets())
    found = SPEC(encoder, n_per_feature=6)
    assert found.features == SPEC.features
    assert found.reduce == "max"
    for text, start, end in found.rows:
        assert (start, end) == (0, len(found.ids[text]))
        assert found.documents[text] == found.texts[text].casefold()
    assert "country_italy" in found.card.shortfalls


@pytest.mark.parametrize(
    ("question", "name", "target"),
    [
        ("country", "Bank of ITALY Building", "United_States"),
        ("country", "Indian Hill", "United_States"),
        ("state", "North Carolina Zoo", "NC"),
        ("borough", "BROOKLYN BRIDGE", "Manhattan"),
        ("timezone", "East Chicago", "Chicago"),
    ],
)
def test_a_name_that_contains_an_answer_is_left_out(
    make_wheel: MakeWheel, question: str, name: str, target: str
) -> None:
    make_wheel(made_sets(**{question: [(name, target)]}))
    assert name not in names_of(question)
    assert len(names_of(question)) == 26


def test_a_word_that_only_begins_like_an_answer_stays(make_wheel: MakeWheel) -> None:
    make_wheel(made_sets(country=[("Indianapolis", "United_States")]))
    assert "Indianapolis" in names_of("country")


def test_what_tells_places_apart_is_cut_off(make_wheel: MakeWheel) -> None:
    rows = [("Matlock, Victoria", "Australia"), ("Toms River (CDP), New Jersey", "United_States")]
    make_wheel(made_sets(country=rows))
    assert names_of("country")[-2:] == ["Matlock", "Toms River"]


def test_a_name_with_two_answers_is_asked_neither(make_wheel: MakeWheel, encoder: Encoder) -> None:
    make_wheel(made_sets(state=[("Salem", "CA"), ("Salem", "OH")]))
    assert "salem" not in SPEC(encoder, n_per_feature=50).documents


def test_the_original_tables_give_the_same_records(
    make_wheel: MakeWheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: Encoder
) -> None:
    sets = made_sets()
    make_wheel(sets)
    of_question = {question: sets[tag] for tag, question in SETS.items()}
    tables: dict[str, list[pd.DataFrame]] = {}
    for question, (table, column) in COLUMNS.items():
        rows = of_question[question].rename(columns={"prompt": "name", "target": column})
        if question == "timezone":
            rows[column] = "America/" + rows[column]
        tables.setdefault(table, []).append(rows)
    for table, parts in tables.items():
        pd.concat(parts).to_csv(tmp_path / f"{table}.csv", index=False)
    monkeypatch.setattr(places, "ADDRESS", str(tmp_path / "{table}.csv"))
    both = [records(source).sort_values(["set", "prompt"]) for source in SPEC.sources]
    assert both[0][["set", "prompt", "target"]].to_numpy().tolist() == (
        both[1][["set", "prompt", "target"]].to_numpy().tolist()
    )
    one, other = (SPEC(encoder, n_per_feature=6, source=source) for source in SPEC.sources)
    assert sorted(one.documents) == sorted(other.documents)
