"""Surnames at the end of prompts: the right tokens, the right labels, no person twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from needlepoint._core.text import Encoder
from needlepoint.features.collection import Collection
from needlepoint.features.people import ANSWERS, SPEC, records, surname

MakeWheel = Callable[[dict[str, pd.DataFrame]], Path]
NAMES = ("Ada Love", "Max Black", "Eva van Dyke", "Tom O'Hara", "Lea Ray Jr.", "Ian Moss")


def made_sets() -> dict[str, pd.DataFrame]:
    """Eight people for each answer, most in a sentence, each row twice."""
    sets = {}
    for number, (question, answers) in enumerate(ANSWERS.items()):
        known = [*answers.values(), "0"] if len(answers) == 1 else list(answers.values())
        rows = []
        for i in range(8 * len(known)):
            name = f"{NAMES[i % len(NAMES)].split()[0]} {chr(65 + number)}{'abcdefgh'[i % 8]}{i}"
            lead = "" if "hist" in question or "athlete_sport" in question else "was met by "
            rows.append((lead + name, known[i % len(known)]))
        sets[question] = pd.DataFrame(rows * 2, columns=["prompt", "target"])
    return sets


@pytest.fixture
def loaded(make_wheel: MakeWheel, encoder: Encoder) -> Collection:
    make_wheel(made_sets())
    return SPEC(encoder, n_per_feature=6)


@pytest.mark.parametrize(
    ("prompt", "shown", "document"),
    [
        ("directed by Robert Downey Jr.", "Downey Jr.", "downey"),
        ("Henry VIII", "Henry VIII", "henry"),
        ("said (Anna Paquin", "Paquin", "paquin"),
        ('the "Matt" Kosaki ', "Kosaki", "kosaki"),
        ("by Jean d'Arc, Jr", "d'Arc, Jr", "d'arc"),
        ("Titian", "Titian", "titian"),
        ("a ty dolla $ign", "$ign", "$ign"),
        ("met Lee and Bruce Lee", "Lee", "lee"),
        ("von “Kármán", "Kármán", "kármán"),
    ],
)
def test_the_surname_is_the_last_word_with_its_suffix(
    prompt: str, shown: str, document: str
) -> None:
    name = surname(prompt)
    assert prompt[name.start : name.end] == shown
    assert name.document == document
    assert prompt[name.end :].strip() == ""


def test_all_features_are_there_with_rows_of_both_kinds(loaded: Collection) -> None:
    assert loaded.features == SPEC.features
    counts = loaded.counts()
    assert (counts["positives"] == 6).all()
    assert (counts["negatives"] == 6).all()
    assert set(loaded.card.shortfalls) == set(loaded.features), "none has 20 documents"


def test_rows_are_the_tokens_of_the_surname(loaded: Collection, encoder: Encoder) -> None:
    assert loaded.reduce == "max"
    for text, start, end in loaded.rows:
        pieces = encoder.pieces(list(loaded.ids[text]))
        assert "".join(pieces[start:end]).strip() == loaded.texts[text].split()[-1]
        assert end == len(loaded.ids[text])
        assert loaded.documents[text] == loaded.texts[text].split()[-1].casefold()


def test_opposites_are_opposite_and_only_their_own_question_is_asked(loaded: Collection) -> None:
    female, male = (loaded.features.index(name) for name in ("sex_female", "sex_male"))
    both = loaded.asked[:, female] & loaded.asked[:, male]
    assert both.any()
    assert (loaded.labels[both, female] != loaded.labels[both, male]).all()
    sport = loaded.features.index("sport_football")
    assert not (loaded.asked[:, female] & loaded.asked[:, sport]).any()


def test_the_end_of_a_long_prompt_is_read(make_wheel: MakeWheel, encoder: Encoder) -> None:
    sets = made_sets()
    long = sets["56_wikidatasex_or_gender"]
    long["prompt"] = "the cat sat on the mat and " * 30 + long["prompt"]
    make_wheel(sets)
    found = SPEC(encoder, n_per_feature=6, n_tokens=24)
    assert max(map(len, found.ids)) == 24
    assert "sex_female" in found.features
    for row in found.rows_of("sex_female"):
        text = found.rows[row, 0]
        assert found.texts[text].split()[-1].casefold() == found.documents[text]
        assert encoder.pieces(list(found.ids[text]))[-1] in found.texts[text][-4:]


def test_titles_behind_a_comma_or_in_brackets_are_cut_off(make_wheel: MakeWheel) -> None:
    sets = made_sets()
    sets["5_hist_fig_ismale"] = pd.DataFrame(
        {"prompt": ["Joan, Countess of Flanders", "Yang (1205-1226)"], "target": [0, 1]}
    )
    make_wheel(sets)
    found = records("packages")
    assert found["prompt"][found["set"] == "5_hist_fig_ismale"].tolist() == ["Joan", "Yang"]


def test_wheel_and_repository_give_the_same_collection(
    make_wheel: MakeWheel, encoder: Encoder
) -> None:
    make_wheel(made_sets())
    one, other = (SPEC(encoder, n_per_feature=6, source=source) for source in SPEC.sources)
    assert one.sha256 == other.sha256
    assert np.array_equal(one.rows, other.rows)
