"""Weights of positions: where each reading looks, counted as the model sees positions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from needlepoint._core.errors import DataError, UnknownNameError
from needlepoint.evaluation.configs import READINGS
from needlepoint.evaluation.read_positions import position_weights, require_reading


def test_each_reading_looks_where_it_says(tiny, letter_pairs) -> None:
    """On "ab" and "abcd", which are 3 and 5 positions long with the model's first token."""
    asked, third = letter_pairs(tiny), pytest.approx(1 / 3)
    found = {
        reading: position_weights(tiny, asked, [1, 3], reading).tolist()
        for reading in (*READINGS, "changed")
    }
    assert found == {
        "mean": [[third, third, third, 0, 0], [pytest.approx(0.2)] * 5],
        "mean_without_first": [[0, 0.5, 0.5, 0, 0], [0, 0.25, 0.25, 0.25, 0.25]],
        "last": [[0, 0, 1, 0, 0], [0, 0, 0, 0, 1]],
        "changed": [[0, 1, 0, 0, 0], [0, 0, 0, 0, 1]],
    }


def test_an_unknown_reading_is_refused_with_the_positions_there_are(tiny, letter_pairs) -> None:
    for reading in (*READINGS, "changed"):
        require_reading(reading, letter_pairs(tiny))
    with pytest.raises(UnknownNameError, match="unknown reading 'chanced': did you mean 'changed'"):
        require_reading("chanced", letter_pairs(tiny))


def test_the_only_position_cannot_be_left_out(tiny, letter_pairs) -> None:
    bare = replace(tiny, first_token=None)
    assert not bare.prefix
    one = replace(letter_pairs(tiny), clean_ids=((5, 6), (5,)), pairs=())
    assert position_weights(bare, one, [0], "mean_without_first").tolist() == [[0, 1]]
    with pytest.raises(DataError, match="no position but the first"):
        position_weights(bare, one, [0, 1], "mean_without_first")
