"""What is marked in a sample is what the row is made from."""

from __future__ import annotations

import numpy as np
import pytest

from needlepoint.features import Card, Collection
from needlepoint.features.show import AROUND, MARKED, Sample, sample_parts, sample_text, samples

CARD = Card("toy", "Toy", "d", "s", "MIT", "by hand", (), "last")
TEXTS = (
    "the cat sat on the mat and the dog sat on the log",
    "Le café\test déjà\r\nfermé.",
    "日本語の文章 🙂 and more",
    "the cat sat on the dog",
)


@pytest.fixture
def collection(either_encoder) -> Collection:
    """Each token is a row of the feature `late` where it is in the second half of its text."""
    ids = tuple(tuple(either_encoder.encode(text)) for text in TEXTS)
    rows = np.array([[t, i, i + 1] for t, row in enumerate(ids) for i in range(len(row))])
    late = np.array([i >= len(ids[t]) / 2 for t, i, _ in rows.tolist()])
    members = np.column_stack([np.ones(len(rows), bool), rows[:, 0] != 2])
    return Collection(
        CARD,
        "?",
        ids,
        ("a", "b", "c", "a"),
        rows,
        "last",
        ("late", "late2"),
        np.column_stack([late, late]),
        TEXTS,
        members,
    )


def test_the_parts_of_a_sample_are_the_text_itself(collection, either_encoder) -> None:
    found = samples(collection, "late", either_encoder, n=99)
    assert len(found) == len(collection.rows)
    for sample in found:
        whole = sample.before + sample.marked + sample.after
        assert whole in TEXTS
        first = len(whole) / 4 < len(sample.before) + len(sample.marked)
        assert first or not sample.positive


def test_a_later_part_of_a_character_is_shown_as_such() -> None:
    assert sample_text(Sample("d", True, "the 🙂", "", " sat")) == "the 🙂»\ufffd« sat"


def test_without_texts_the_tokens_are_shown(collection, either_encoder) -> None:
    from dataclasses import replace

    bare = replace(collection, texts=())
    for one, two in zip(
        samples(collection, "late", either_encoder, n=4),
        samples(bare, "late", either_encoder, n=4),
        strict=True,
    ):
        assert (one.document, one.positive) == (two.document, two.positive)
        if one.document == "a":
            assert one.marked.strip() == two.marked.strip()


def test_rows_are_of_both_kinds_of_many_documents_and_asked(collection, either_encoder) -> None:
    found = samples(collection, "late", either_encoder, n=3)
    assert [sample.positive for sample in found] == [True] * 3 + [False] * 3
    assert [{s.document for s in found[i : i + 3]} for i in (0, 3)] == [{"a", "b", "c"}] * 2
    own = samples(collection, "late2", either_encoder, n=99)
    assert {sample.document for sample in own} == {"a", "b"}
    assert found == samples(collection, "late", either_encoder, n=3)
    assert found != samples(collection, "late", either_encoder, n=3, seed=1)


def test_long_texts_are_cut_around_the_mark_and_signs_shown(either_encoder) -> None:
    text = "x" * 500 + "\n"
    ids = tuple(either_encoder.encode(text))
    one = Collection(
        CARD,
        "?",
        (ids, ids),
        ("a", "b"),
        np.array([[0, 0, len(ids)], [1, 0, 1]]),
        "mean",
        ("f",),
        np.array([[True], [False]]),
        (text, text),
    )
    whole, start = samples(one, "f", either_encoder, n=1)
    before, marked, after = sample_parts(whole)
    assert (before, after) == ("", "")
    assert marked.endswith("x⏎")
    assert len(marked) == MARKED + 3
    before, marked, after = sample_parts(start)
    assert len(after) == AROUND
    assert sample_text(start) == f"»{marked}«{after}"
