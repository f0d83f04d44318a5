"""Words of a picture made ready for print: as they read on the page, in letters the font has."""

from __future__ import annotations

import html
import re
import textwrap
from functools import cache
from typing import Any

from matplotlib.font_manager import FontProperties, findfont, get_font

FONT = "DejaVu Sans"
"""Comes with matplotlib, so that a figure is the same on every machine."""


def words(text: Any) -> str:
    """Text that was written for the page, without its marks.

    Characters that the font lacks are spelled out, so that no empty box stands in a paper.

    Example:
        >>> words("<b>L3.H1</b> &amp; \u2192 \U0001f469")
        'L3.H1 & → ⟨U+1F469⟩'
    """
    plain = html.unescape(re.sub(r"<br\s*/?>|</?[bi]>", "", str(text)))
    return "".join(_letter(character) for character in plain)


def folded(text: Any, width: int) -> str:
    r"""The same in lines of at most `width` letters, where it can be broken.

    Example:
        >>> folded("best direction of a random basis", 18)
        'best direction of\na random basis'
    """
    return "\n".join(textwrap.wrap(words(text), width, break_long_words=False)) or ""


@cache
def _letter(character: str) -> str:
    known = _font().get_char_index(ord(character)) if character.isprintable() else 0
    return character if known else f"\u27e8U+{ord(character):04X}\u27e9"


@cache
def _font() -> Any:
    return get_font(findfont(FontProperties(family=[FONT])))
