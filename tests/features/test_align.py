"""Labels on characters come to lie on exactly the tokens that hold these characters."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from needlepoint._core.errors import DataError
from needlepoint.features import show_alignment, tokens_of_span

TEXTS = st.text(alphabet="ab é日🤖👨‍👩‍👧\t\r\n .,ñ¼ß", min_size=1, max_size=30)
PROPERTY = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def decoded(encoder, ids):
    return encoder.tokenizer.decode(ids)


@PROPERTY
@given(text=TEXTS, data=st.data())
def test_the_tokens_hold_the_span_and_no_token_at_either_end_is_idle(either_encoder, text, data):
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    ids, offsets = either_encoder.encode_with_offsets(text)
    inner = text[start:end].strip()
    if not inner:
        with pytest.raises(DataError, match="holds only white space"):
            tokens_of_span(offsets, start, end, text=text)
        return
    first, stop = tokens_of_span(offsets, start, end, text=text)
    assert inner in decoded(either_encoder, ids[first:stop])
    low = start + text[start:end].index(inner)
    assert inner not in decoded(either_encoder, ids[:first]) or text.index(inner) < low
    for edge in (first, stop - 1):
        a, b = offsets[edge]
        assert a < low + len(inner)
        assert b > low


@PROPERTY
@given(text=TEXTS)
def test_spans_that_cover_the_words_of_a_text_leave_out_only_white_space(either_encoder, text):
    ids, offsets = either_encoder.encode_with_offsets(text)
    covered = set()
    for i, character in enumerate(text):
        if not character.isspace():
            covered.update(range(*tokens_of_span(offsets, i, i + 1, text=text)))
    for i in set(range(len(ids))) - covered:
        assert not text[slice(*offsets[i])].strip()


def test_a_space_belongs_to_neither_neighbour(either_encoder):
    text = "the cat sat"
    _, offsets = either_encoder.encode_with_offsets(text)
    word = tokens_of_span(offsets, 4, 7, text=text)
    assert word == (1, 2)
    assert tokens_of_span(offsets, 3, 7, text=text) == word
    assert tokens_of_span(offsets, 3, 8, text=text) == word, "the space of ' sat' is not ' sat'"
    assert tokens_of_span(offsets, 0, 4, text=text) == (0, 1)


def test_an_emoji_takes_all_its_tokens(either_encoder):
    text = "a 🤖 b"
    ids, offsets = either_encoder.encode_with_offsets(text)
    first, stop = tokens_of_span(offsets, 2, 3, text=text)
    assert stop - first >= 4, "this tokenizer cuts it into bytes"
    assert decoded(either_encoder, ids[first:stop]).strip() == "🤖"


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (3, 4, r"span 3 to 4 holds only white space \(' '\); label the characters of a word"),
        (2, 2, "span 2 to 2 does not fit a text of 7 characters; a span needs 0 <= start < end"),
        (-1, 2, "span -1 to 2 does not fit"),
        (5, 8, "span 5 to 8 does not fit a text of 7 characters"),
    ],
)
def test_a_span_that_labels_nothing_is_refused(encoder, start, end, message):
    text = "the cat"
    _, offsets = encoder.encode_with_offsets(text)
    with pytest.raises(DataError, match=message):
        tokens_of_span(offsets, start, end, text=text)


def test_characters_that_are_in_no_token_are_refused():
    with pytest.raises(DataError, match=r"span 1 to 2 \('b'\) is in no token"):
        tokens_of_span([(0, 1), (1, 1)], 1, 2, text="ab")


def test_the_alignment_can_be_seen(either_encoder):
    text = "the cat\tsat\r\non"
    shown = show_alignment(text, either_encoder, [(4, 7), (13, 15)])
    assert shown == "the|[ cat]|⇥|s|at|␍|⏎|[on]"
    assert "[" not in show_alignment(text, either_encoder, [])
