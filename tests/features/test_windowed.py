"""Long texts in windows: every token of every row is read once, with what came before it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from needlepoint._core.errors import DataError
from needlepoint.features.collection import Card, Collection
from needlepoint.features.windowed import windowed

CARD = Card("made", "made", "Made up.", "here", "none", "By rule.", (), "as given")


def collection(lengths: list[int], rows: list[tuple[int, int, int]]) -> Collection:
    """Texts whose tokens are all different, so that a window can be found in its text."""
    ids = tuple(tuple(range(1000 * text, 1000 * text + n)) for text, n in enumerate(lengths))
    labels = np.arange(len(rows))[:, None] % 2 == 0
    documents = tuple(f"document {text // 2}" for text in range(len(ids)))
    return Collection(
        CARD, "?", ids, documents, np.array(rows), "mean", ("even",), labels,
        texts=tuple(f"text {text}" for text in range(len(ids))),
    )  # fmt: skip


@st.composite
def drawn(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, int, int]]]:
    lengths = draw(st.lists(st.integers(1, 60), min_size=1, max_size=4))
    rows = []
    for _ in range(draw(st.integers(2, 8))):
        text = draw(st.integers(0, len(lengths) - 1))
        start = draw(st.integers(0, lengths[text] - 1))
        rows.append((text, start, draw(st.integers(start + 1, lengths[text]))))
    return lengths, rows


def read(found: Collection, row: int) -> tuple[int, ...]:
    text, start, end = found.rows[row].tolist()
    return found.ids[text][start:end]


@given(made=drawn(), most=st.integers(2, 30))
def test_every_token_of_every_row_is_read_once(made, most: int) -> None:
    whole = collection(*made)
    found = windowed(whole, most)
    assert max(map(len, found.ids)) <= most
    wanted = [token for row in range(len(whole.rows)) for token in read(whole, row)]
    assert [token for row in range(len(found.rows)) for token in read(found, row)] == wanted
    for ids, document, text in zip(found.ids, found.documents, found.texts, strict=True):
        assert ids == tuple(range(ids[0], ids[0] + len(ids)))
        assert document == whole.documents[ids[0] // 1000]
        assert text == f"text {ids[0] // 1000}"


@given(made=drawn(), most=st.integers(4, 30))
def test_short_rows_stay_whole_and_keep_what_came_before(made, most: int) -> None:
    whole = collection(*made)
    found, at = windowed(whole, most), 0
    for row, (_, start, end) in enumerate(whole.rows.tolist()):
        tokens, before, taken = read(whole, row), 0, ()
        while taken != tokens:
            taken += read(found, at)
            before = int(found.rows[at, 1])
            assert bool(found.labels[at, 0]) == bool(whole.labels[row, 0])
            at += 1
            if end - start <= most // 2:
                assert taken == tokens
        if end - start <= most // 2:
            assert before >= min(start, most // 2 - (end - start))
    assert at == len(found.rows)


def test_what_fits_is_left_alone() -> None:
    whole = collection([5, 9], [(0, 0, 5), (1, 2, 9)])
    assert windowed(whole, 9) is whole


def test_a_long_text_becomes_rows_of_equal_length_of_its_document() -> None:
    found = windowed(collection([100, 3], [(0, 0, 100), (1, 0, 3)]), 40)
    assert [len(ids) for ids in found.ids] == [33, 33, 34, 3]
    assert found.labels[:, 0].tolist() == [True, True, True, False]
    assert set(found.row_documents) == {"document 0"}
    assert "texts of more than 40 tokens cut into windows" in found.card.aggregation


def test_a_window_needs_two_tokens() -> None:
    with pytest.raises(DataError, match="a window of 1 tokens is none"):
        windowed(collection([5, 9], [(0, 0, 5), (1, 2, 9)]), 1)
