"""Sentences with slots: filling them, and where in the sentence the words then stand."""

from __future__ import annotations

import string

from needlepoint._core.text import Span


def fill(template: str, words: dict[str, str]) -> tuple[str, dict[str, Span]]:
    """The sentence with its slots filled, and the characters `[start, end)` of each slot.

    Slots are filled where they stand and never by replacing text, so a word that also occurs
    elsewhere in the sentence does no harm.

    Example:
        >>> fill("Then {A} met {B}", {"A": "The", "B": "met"})
        ('Then The met met', {'A': (5, 8), 'B': (13, 16)})
    """
    text, spans = "", {}
    for literal, slot, _, _ in string.Formatter().parse(template):
        text += literal
        if slot is not None:
            spans[slot] = (len(text), len(text) + len(words[slot]))
            text += words[slot]
    return text, spans
