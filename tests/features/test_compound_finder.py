"""Planted compounds are found, pairs by chance are not; the statistic agrees with scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from needlepoint._core.errors import DataError
from needlepoint.features.compound_finder import find_compounds, log_likelihood_ratio

NOISE = ["cat", "dog", "mat", "log", "sat"]


class WholeWords:
    """Every word of three letters is one token, any other is two."""

    def encode(self, text):
        return [0] if len(text.strip()) == 3 else [0, 1]

    def encode_with_offsets(self, text):
        return self.encode(text), [(0, len(text))]

    def pieces(self, ids):
        return ["?" for _ in ids]


def corpus(planted, n=40):
    draw = np.random.default_rng(0)
    found = []
    for _ in range(n):
        words = list(draw.choice(NOISE, 60))
        for at in range(5, 60, 20):
            words[at] = planted
        found.append(" ".join(words))
    return found


def test_a_planted_compound_comes_first_and_chance_does_not():
    found = find_compounds(corpus("Red hat"), WholeWords(), without=())
    assert found.loc[0, ["first", "second"]].tolist() == ["red", "hat"]
    assert found.loc[0, ["count", "documents"]].tolist() == [120, 40]
    assert found["g2"].iloc[1:].max() < 30 < 300 < found.loc[0, "g2"]
    assert found.loc[0, "npmi"] == pytest.approx(1)
    best = find_compounds(corpus("Red hat"), WholeWords(), by="npmi", n=1, without=())
    assert best["first"].tolist() == ["red"]


def test_words_of_several_tokens_stop_words_and_signs_between_are_left_out():
    with pytest.raises(DataError, match="no pair of single-token words occurs 100 times"):
        find_compounds(corpus("green hat"), WholeWords(), min_count=100, without=())
    with pytest.raises(DataError, match="no pair"):
        find_compounds(corpus("the hat"), WholeWords(), min_count=100)
    with pytest.raises(DataError, match="no pair"):
        find_compounds(corpus("red, hat"), WholeWords(), min_count=100, without=())
    with pytest.raises(DataError, match="no pair"):
        find_compounds(corpus("can'red hat"), WholeWords(), min_count=100, without=())
    with pytest.raises(DataError, match="occurs 20 times in 5 documents"):
        find_compounds([" ".join(corpus("red hat"))], WholeWords(), without=())


def test_unknown_statistics_are_refused():
    with pytest.raises(DataError, match="by is 'pmi'; it may be g2 or npmi"):
        find_compounds([], WholeWords(), by="pmi")


@given(st.lists(st.integers(1, 500), min_size=4, max_size=4))
def test_the_ratio_is_that_of_scipy(cells):
    table = np.array(cells).reshape(2, 2)
    expected = chi2_contingency(table, correction=False, lambda_="log-likelihood").statistic
    found = log_likelihood_ratio(
        *map(float, (table[0, 0], table[0].sum(), table[:, 0].sum(), table.sum()))
    )
    assert abs(found) == pytest.approx(expected, abs=1e-5)
    chance = table[0].sum() * table[:, 0].sum() / table.sum()
    assert (found >= 0) == (table[0, 0] >= chance)
