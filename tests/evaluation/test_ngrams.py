"""N-grams that drive a neuron, where it is known which do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from needlepoint.evaluation.ngrams import (
    Occurrences,
    drivers,
    explained_share,
    gram_means,
    unrelated_groups,
)


def rows_of(texts: list[list[int]], value) -> Occurrences:
    """Rows of some texts, each a document; the activation is a function of the tokens so far."""
    tokens = np.concatenate([np.array(text) for text in texts])
    number = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    values = [value(text[: place + 1]) for text in texts for place in range(len(text))]
    return Occurrences(tokens, number, number, np.array(values, dtype=np.float64))


def random_texts(n: int, length: int, vocabulary: int) -> list[list[int]]:
    draw = np.random.default_rng(0)
    return [draw.integers(vocabulary, size=length).tolist() for _ in range(n)]


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), min_size=1, max_size=6))
def test_means_are_those_of_a_dictionary(texts) -> None:
    rows = rows_of(texts, lambda seen: 10.0 * seen[-1] + len(seen))
    for n in (1, 2, 3):
        expected: dict[tuple[int, ...], list[float]] = {}
        for text in texts:
            for place in range(n - 1, len(text)):
                gram = tuple(text[place + 1 - n : place + 1])
                expected.setdefault(gram, []).append(10.0 * text[place] + place + 1)
        found = gram_means(rows, n)
        assert len(found.counts) == len(expected)
        for gram, values in expected.items():
            number = {
                tuple(rows.tokens[row + 1 - n : row + 1].tolist()): number
                for number, row in enumerate(found.first.tolist())
            }[gram]
            assert found.counts[number] == len(values)
            assert found.means[number] == pytest.approx(np.mean(values))
            assert found.highest[number] == max(values)


def test_a_neuron_of_a_pair_is_driven_by_the_pair_and_one_of_a_token_by_the_token() -> None:
    texts = random_texts(60, 30, 8)
    for length, value in (
        (1, lambda seen: float(seen[-1] == 3)),
        (2, lambda seen: float(seen[-2:] == [5, 3])),
        (3, lambda seen: float(seen[-3:] == [1, 5, 3])),
    ):
        rows = rows_of(texts, value)
        means = [gram_means(rows, n) for n in (1, 2, 3, 4)]
        fires = rows.values >= 0.5
        found = drivers(means, fires, 0.5)
        told = found.length[fires & found.again]
        assert len(told) > 3
        assert (told == length).all()
        assert (found.length[~fires] == -1).all()


def test_what_occurs_once_cannot_be_told() -> None:
    rows = rows_of([[1, 2, 3], [4, 5, 6]], lambda seen: float(seen[-1] == 3))
    found = drivers([gram_means(rows, n) for n in (1, 2)], rows.values > 0.5, 0.5)
    assert not found.again.any()
    assert found.length.tolist() == [-1, -1, 0, -1, -1, -1]


def test_a_neuron_that_reads_further_back_is_said_to_need_more_than_the_longest() -> None:
    # fires on 3 in texts that begin with 7, whatever stands in between
    texts = [[start, *[0] * 6, 3] for start in (7, 1) * 10]
    rows = rows_of(texts, lambda seen: float(seen[0] == 7 and seen[-1] == 3))
    fires = rows.values > 0.5
    found = drivers([gram_means(rows, n) for n in (1, 2, 3, 4)], fires, 0.6)
    assert found.again[fires].all()
    assert (found.length[fires] == 0).all()


def test_tokens_explain_all_of_a_token_neuron_and_none_of_noise() -> None:
    texts = random_texts(80, 40, 6)
    noise = np.random.default_rng(1)
    values = {
        "token": lambda seen: float(seen[-1]),
        "pair": lambda seen: float(len(seen) > 1 and seen[-2] == seen[-1]),
        "noise": lambda seen: float(noise.normal()),
    }
    found = {}
    for name, value in values.items():
        rows = rows_of(texts, value)
        means = [gram_means(rows, n) for n in (1, 2)]
        found[name] = [explained_share(rows, means, n) for n in (1, 2)]
    assert found["token"][0] > 0.999
    assert found["pair"][0] < 0.1
    assert found["pair"][1] > 0.95
    assert abs(found["noise"][0]) < 0.02


def test_what_is_the_same_within_a_document_is_not_explained_by_tokens_of_it() -> None:
    # each document has a token of its own; only other documents may explain
    texts = [[10 + number] * 6 for number in range(12)]
    level = np.random.default_rng(2).normal(size=12)
    rows = rows_of(texts, lambda seen: float(level[seen[-1] - 10]))
    assert explained_share(rows, [gram_means(rows, 1)], 1) < 0.05


def test_nothing_is_explained_of_one_document_or_a_constant() -> None:
    one = rows_of([[1, 2, 3]], lambda seen: float(seen[-1]))
    assert explained_share(one, [gram_means(one, 1)], 1) is None
    constant = rows_of([[1, 2], [1, 3]], lambda seen: 2.0)
    assert explained_share(constant, [gram_means(constant, 1)], 1) is None


@pytest.mark.parametrize(
    ("one", "other", "related"),
    [
        ((" factors",), ("Factor",), True),
        (("Har", "vard"), ("census",), False),
        (("1",), ("27",), True),
        ((",",), (").",), True),
        (("social", " security"), ("social", " security", " number"), True),
        (("the", " apple"), ("the", " census"), False),
        (("on",), ("one",), False),
    ],
)
def test_which_ngrams_count_as_related(one, other, related) -> None:
    groups = unrelated_groups([one, other])
    assert (groups[0] == groups[1]) is related


def test_groups_are_closed() -> None:
    assert unrelated_groups([("a", "b"), ("c",), ("a", "b", "c")]) == [0, 0, 0]
    assert unrelated_groups([]) == []
