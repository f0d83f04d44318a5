"""No document is on two sides of a split, and every feature can be learnt and tested."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from needlepoint._core.errors import DataError
from needlepoint.features import Collection, split_by_document, split_collection
from needlepoint.features.collection import Card

CARD = Card("toy", "Toy", "d", "s", "MIT", "by hand", (), "mean")


def one_vs_rest(documents_per_class: list[int], rows_per_document: int):
    documents, labels = [], []
    for index, count in enumerate(documents_per_class):
        for document in range(count):
            documents += [f"{index}/{document}"] * rows_per_document
            labels += [index] * rows_per_document
    return documents, np.array(labels)[:, None] == np.arange(len(documents_per_class))


def parts(split):
    return split.train, split.validation, split.test


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(3, 12), min_size=2, max_size=5),
    rows=st.integers(1, 4),
    seed=st.integers(0, 5),
)
def test_parts_are_disjoint_whole_and_have_both_classes(counts, rows, seed):
    documents, labels = one_vs_rest(counts, rows)
    split = split_by_document(documents, labels, seed=seed)
    together = np.concatenate(parts(split))
    assert sorted(together.tolist()) == list(range(len(documents)))
    sides = [{documents[i] for i in part} for part in parts(split)]
    assert sum(map(len, sides)) == len(set(documents))
    for part in parts(split):
        assert labels[part].any(0).all()
        assert not labels[part].all(0).any()


def test_shares_are_met_for_every_feature_when_there_are_many_documents():
    documents, labels = one_vs_rest([50, 100, 20], 2)
    split = split_by_document(documents, labels, seed=0)
    for part, share in zip(parts(split), (0.6, 0.2, 0.2), strict=True):
        np.testing.assert_allclose(labels[part].sum(0) / labels.sum(0), share, atol=0.05)


def test_the_same_seed_gives_the_same_split_and_another_seed_another():
    documents, labels = one_vs_rest([9, 9], 2)
    one, again, other = (split_by_document(documents, labels, seed=s) for s in (1, 1, 2))
    assert one.test.tolist() == again.test.tolist()
    assert one.test.tolist() != other.test.tolist()


def test_order_of_rows_does_not_move_documents():
    documents, labels = one_vs_rest([9, 9], 2)
    order = np.random.default_rng(0).permutation(len(documents))
    split = split_by_document(documents, labels, seed=0)
    shuffled = split_by_document([documents[i] for i in order], labels[order], seed=0)
    assert {documents[i] for i in split.test} == {documents[order[i]] for i in shuffled.test}


def test_too_few_documents_are_refused_with_the_figures():
    documents, labels = one_vs_rest([2, 9], 4)
    message = r"feature 'rare' has 2 documents with rows with it; at least 3 are needed"
    with pytest.raises(DataError, match=message):
        split_by_document(documents, labels, seed=0, features=["rare", "other"])
    with pytest.raises(DataError, match=r"feature '0' has 1 document with rows without it"):
        split_by_document(["a", "b", "c", "d"], np.array([[1], [1], [1], [0]], bool), seed=0)


def test_three_documents_of_each_class_are_enough():
    documents = [f"d{i}" for i in range(6)]
    labels = np.array([[1], [1], [1], [0], [0], [0]], bool)
    for seed in range(5):
        assert set(split_by_document(documents, labels, seed=seed).sizes.values()) == {2}


def membership(*features: str) -> tuple[list[str], np.ndarray]:
    """Three rows of each document a to j; a feature is the string of documents that have it."""
    documents = [letter for letter in "abcdefghij" for _ in range(3)]
    return documents, np.array([[name in of for of in features] for name in documents])


def test_another_order_of_dealing_is_tried_when_the_first_fails():
    """Features abc, def and ghi are dealt first; adg needs one of each on different sides."""
    documents, labels = membership("abc", "def", "ghi", "adg")
    for seed in range(5):
        for part in parts(split_by_document(documents, labels, seed=seed)):
            assert labels[part].any(0).all()


def test_classes_that_cannot_be_parted_are_refused():
    """By abc and abd, c and d are on the same side; then cde lacks one."""
    documents, labels = membership("abc", "abd", "cde")
    message = (
        r"no split by document was found: \w+ has one class of feature '\w+' \(with it are 0 of"
    )
    with pytest.raises(DataError, match=message):
        split_by_document(documents, labels, seed=0, features=["abc", "abd", "cde"])


def test_bad_arguments_are_refused():
    documents, labels = one_vs_rest([3, 3], 1)
    with pytest.raises(DataError, match="5 documents for 6 rows"):
        split_by_document(documents[:5], labels, seed=0)
    with pytest.raises(DataError, match="they must be positive and add up to 1"):
        split_by_document(documents, labels, seed=0, fractions=(0.5, 0.2, 0.2))


def test_near_duplicate_documents_never_straddle():
    draw = np.random.default_rng(0)
    texts = [" ".join(f"w{i}" for i in draw.integers(0, 9999, 60)) for _ in range(20)]
    texts += [text + " extra" for text in texts[:10]]
    documents = tuple(f"d{i}" for i in range(30))
    labels = (np.arange(30) % 2 == 0)[:, None]
    collection = Collection(
        card=CARD,
        question="?",
        ids=((1,),) * 30,
        documents=documents,
        rows=np.array([[i, 0, 1] for i in range(30)]),
        reduce="mean",
        features=("even",),
        labels=labels,
        texts=tuple(texts),
    )

    def straddling(split) -> int:
        side = np.zeros(30, dtype=int)
        for index, part in enumerate(parts(split)):
            side[part] = index
        return sum(side[i] != side[20 + i] for i in range(10))

    assert all(straddling(split_collection(collection, seed=s)) == 0 for s in range(5))
    blind = replace(collection, texts=())
    assert sum(straddling(split_collection(blind, seed=s)) for s in range(5)) > 0


@settings(max_examples=60, deadline=None)
@given(
    n_features=st.integers(1, 6),
    n_documents=st.integers(12, 30),
    share=st.floats(0.3, 0.9),
    seed=st.integers(0, 99),
)
def test_each_feature_has_both_classes_among_its_own_rows(n_features, n_documents, share, seed):
    """Labels elsewhere are all positive, so that they could hide a class that is missing."""
    draw = np.random.default_rng(seed)
    documents = [f"d{i}" for i in range(n_documents) for _ in range(6)]
    members = draw.random((len(documents), n_features)) < share
    labels = (draw.random(members.shape) < 0.5) | ~members
    try:
        split = split_by_document(documents, labels, seed=seed, members=members)
    except DataError:
        assume(False)
    other = split_by_document(documents, labels & members, seed=seed, members=members)
    for part, same in zip(parts(split), parts(other), strict=True):
        assert part.tolist() == same.tolist()
        for column, asked in zip(labels[part].T, members[part].T, strict=True):
            assert column[asked].any()
            assert not column[asked].all()
    sides = [{documents[i] for i in part} for part in parts(split)]
    asked = {documents[i] for i in np.flatnonzero(members.any(1))}
    assert sum(map(len, sides)) == len(set.union(*sides))
    assert set.union(*sides) >= asked


def test_documents_of_a_feature_are_counted_among_its_rows():
    documents, labels = one_vs_rest([4, 9], 2)
    members = np.ones_like(labels)
    members[:4, 0] = False
    with pytest.raises(DataError, match=r"feature '0' has 2 documents with rows with it"):
        split_by_document(documents, labels, seed=0, members=members)
    assert split_by_document(documents, labels, seed=0).sizes["test"] > 0


def test_every_row_asked_is_the_same_as_no_members():
    documents, labels = one_vs_rest([9, 14, 5], 2)
    one = split_by_document(documents, labels, seed=3)
    two = split_by_document(documents, labels, seed=3, members=np.ones_like(labels))
    assert [part.tolist() for part in parts(one)] == [part.tolist() for part in parts(two)]


def test_a_near_duplicate_is_never_parted_where_features_have_rows_of_their_own():
    draw = np.random.default_rng(1)
    texts = [" ".join(f"w{i}" for i in draw.integers(0, 9999, 60)) for _ in range(40)]
    texts[31] = texts[2].replace(texts[2].split()[30], "other")
    members = np.column_stack([np.arange(80) % 3 > 0, np.arange(80) % 5 > 0])
    labels = np.column_stack([np.arange(80) // 2 % 2 == 0, np.arange(80) // 2 % 3 == 0])
    collection = Collection(
        card=CARD,
        question="?",
        ids=((1, 2),) * 40,
        documents=tuple(f"d{i}" for i in range(40)),
        rows=np.array([[text, at, at + 1] for text in range(40) for at in range(2)]),
        reduce="last",
        features=("even", "third"),
        labels=labels,
        texts=tuple(texts),
        members=members,
    )
    for blind in (False, True):
        tried = replace(collection, texts=()) if blind else collection
        apart = 0
        for seed in range(8):
            part = np.empty(80, dtype=int)
            for index, rows in enumerate(parts(split_collection(tried, seed=seed))):
                part[rows] = index
            apart += len({*part[4:6], *part[62:64]}) > 1
        assert (apart > 0) is blind
