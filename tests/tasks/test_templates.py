"""Slots are filled where they stand, whatever the words are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from needlepoint.tasks.templates import fill

WORDS = st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs"]), max_size=8)


@given(a=WORDS, b=WORDS, between=WORDS)
def test_each_slot_is_where_it_is_said_to_be(a: str, b: str, between: str) -> None:
    text, spans = fill("{a}" + between + "{b} {a2}", {"a": a, "b": b, "a2": a})
    assert text == f"{a}{between}{b} {a}"
    for slot, word in (("a", a), ("b", b), ("a2", a)):
        start, end = spans[slot]
        assert text[start:end] == word


def test_a_word_that_is_a_slot_is_left_alone() -> None:
    assert fill("{a} {b}", {"a": "{b}", "b": "x"})[0] == "{b} x"
