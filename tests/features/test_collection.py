"""A collection that exists is consistent, and its hash follows what a probe can depend on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.features import Card, Collection

CARD = Card("toy", "Toy", "d", "s", "MIT", "by hand", ("none",), "mean")


def toy() -> Collection:
    return Collection(
        card=CARD,
        question="Which neurons?",
        ids=((1, 2, 3), (4, 5), (6,)),
        documents=("a", "a", "b"),
        rows=np.array([[0, 0, 3], [1, 0, 1], [1, 1, 2], [2, 0, 1]]),
        reduce="mean",
        features=("x", "y"),
        labels=np.array([[1, 0], [0, 1], [1, 0], [0, 1]], dtype=bool),
        texts=("one two three", "four five", "six"),
    )


def rows(first: list[int] | None = None, n: int = 4) -> np.ndarray:
    """Rows of the toy, the first of them another."""
    found = toy().rows[:n].copy()
    if first is not None:
        found[0] = first
    return found


def test_counts_and_documents():
    counts = toy().counts().set_index("feature")
    assert counts.loc["x"].tolist() == [2, 2, 1]
    assert counts.loc["y"].tolist() == [2, 2, 2]
    assert toy().row_documents == ("a", "a", "a", "b")
    assert toy().row_texts[2] == "four five"
    assert replace(toy(), texts=()).row_texts == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"documents": ("a",)}, "toy: 1 documents for 3 lists of token ids"),
        ({"texts": ("a",)}, "toy: 1 texts for 3 lists of token ids"),
        ({"ids": ((1,), (), (2,))}, "text 1 has no tokens"),
        ({"rows": rows(n=0), "labels": np.zeros((0, 2), dtype=bool)}, "no rows to probe"),
        ({"rows": rows([3, 0, 1])}, "row 0 is of text 3; there are texts 0 to 2"),
        ({"rows": rows([1, 1, 3])}, "row 0 spans tokens 1 to 3 of a text of 2"),
        ({"rows": rows([0, 2, 2])}, "row 0 spans tokens 2 to 2 of a text of 3"),
        ({"rows": rows([0, -1, 2])}, "row 0 spans tokens -1 to 2"),
        ({"features": ("x",)}, r"labels have shape \(4, 2\), expected \(4, 1\)"),
        ({"features": ("x", "x")}, "feature names must be distinct"),
    ],
)
def test_inconsistent_parts_are_refused(change, message):
    with pytest.raises(DataError, match=message):
        replace(toy(), **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reduce": "median"}, "reduce is 'median'; it may be one of mean, max, last, first"),
        ({"rows": np.zeros((4, 2), dtype=int)}, r"rows have shape \(4, 2\), expected \(rows, 3\)"),
        ({"rows": rows(n=3)}, r"labels have shape \(4, 2\), expected \(3, 2\)"),
    ],
)
def test_what_types_forbid_is_refused_without_them_too(change, message):
    """Where shapes are checked at run time that check speaks first."""
    with pytest.raises((DataError, TypeError), match=f"{message}|Type-check error"):
        replace(toy(), **change)


@pytest.mark.parametrize(("value", "word"), [(True, "with"), (False, "without")])
def test_a_feature_of_one_class_is_refused_by_name(value, word):
    labels = toy().labels.copy()
    labels[:, 1] = value
    with pytest.raises(OneClassError, match=f"all 4 rows are {word} feature 'y'"):
        replace(toy(), labels=labels)


def test_hash_follows_content_and_not_words():
    assert toy().sha256 == replace(toy(), question="?", texts=()).sha256
    labels = toy().labels.copy()
    labels[0] = ~labels[0]
    for change in (
        {"labels": labels},
        {"rows": np.array([[0, 0, 2], [1, 0, 1], [1, 1, 2], [2, 0, 1]])},
        {"documents": ("a", "b", "b")},
        {"ids": ((1, 2, 9), (4, 5), (6,))},
        {"reduce": "max"},
        {"features": ("x", "z")},
    ):
        assert replace(toy(), **change).sha256 != toy().sha256
