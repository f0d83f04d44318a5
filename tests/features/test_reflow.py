"""Paragraphs are the words between blank lines, in order, on one line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from needlepoint.features.reflow import LONG, broken, paragraphs, rst_paragraphs

RST = """
=====
Title
=====

*April 1, 2015*

Welcome to the release
notes of ``it``.

.. versionadded:: 2

.. note:: This is said in a box
   of its own.

    an indented listing = of(code)

:Author: somebody of the project

- One thing that changed.
- Another thing.

Subtitle
--------

The last words of this one.
"""


def test_markup_of_blocks_goes_and_running_text_stays():
    assert rst_paragraphs(RST) == [
        "Welcome to the release notes of ``it``.",
        "- One thing that changed. - Another thing.",
        "The last words of this one.",
    ]


@given(st.lists(st.lists(st.text("abcé.", min_size=1, max_size=6), min_size=4), max_size=5))
def test_no_word_is_lost_and_order_is_kept(parts):
    text = "\n\n\n".join("\n".join(words) for words in parts)
    found = paragraphs(text)
    assert " ".join(found).split() == [word for words in parts for word in words]


@given(st.lists(st.integers(1, 300), min_size=1, max_size=30))
def test_pieces_are_long_and_put_together_again_give_the_whole(lengths):
    whole = " ".join("A" * length + "." for length in lengths)
    pieces = broken(whole)
    assert " ".join(pieces) == whole
    assert all(len(piece) > LONG for piece in pieces[:-1])
