"""Prompts with answers become texts whose name is labelled."""

from __future__ import annotations

import numpy as np
import pandas as pd

from needlepoint.features.facts import Name, enough_texts, fact_texts, features_of
from needlepoint.features.spans import SpanText

ANSWERS = {"sex": {"female": "f", "male": "m"}, "trade": {"singer": "1"}}


def whole(prompt: str) -> Name:
    return Name(0, len(prompt), prompt)


def texts_of(*rows: tuple[str, str, str]) -> dict[str, list[int]]:
    records = pd.DataFrame(rows, columns=["set", "prompt", "target"])
    return {text.text: text.labels[0].tolist() for text in fact_texts(records, ANSWERS, whole)}


def test_each_question_labels_its_own_features_and_leaves_the_others_unasked() -> None:
    assert features_of(ANSWERS) == ("female", "male", "singer")
    assert texts_of(("sex", "Ann", "f"), ("trade", "Bob", "0")) == {
        "Ann": [1, 0, -1],
        "Bob": [-1, -1, 0],
    }


def test_answers_to_two_questions_meet_on_one_text() -> None:
    assert texts_of(("sex", "Ann", "f"), ("trade", "Ann", "1")) == {"Ann": [1, 0, 1]}


def test_two_answers_to_one_question_leave_it_unasked() -> None:
    found = texts_of(("sex", "Kim", "f"), ("sex", "Kim", "m"), ("trade", "Kim", "1"))
    assert found == {"Kim": [-1, -1, 1]}


def test_repeated_records_and_unknown_questions_add_nothing() -> None:
    assert texts_of(("sex", "Ann", "f"), ("sex", "Ann", "f"), ("height", "Ann", "9")) == {
        "Ann": [1, 0, -1]
    }


def test_enough_texts_keeps_what_each_feature_needs_and_little_more() -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(-1, 2, (400, 2)).astype(np.int8)
    span = np.array([[0, 1]])
    texts = [SpanText(str(i), str(i), span, row[None]) for i, row in enumerate(labels)]
    kept = enough_texts(texts, n=20, positive_share=0.25, seed=1)
    found = np.concatenate([text.labels for text in kept])
    assert ((found == 1).sum(0) >= 20).all()
    assert ((found == 0).sum(0) >= 60).all()
    assert len(kept) <= 2 * 80
    assert [text.text for text in kept] == [
        text.text for text in enough_texts(texts, n=20, positive_share=0.25, seed=1)
    ]
