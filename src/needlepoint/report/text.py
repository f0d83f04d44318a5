"""How values and strangers' text appear on a page: rounded, escaped, and never `nan` or `None`."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

import pandas as pd

from needlepoint._core.records import jsonable

UNDEFINED = "not defined"
NOT_RECORDED = "not recorded"
"""What stands where the version that wrote a run did not measure something."""
NOT_MEASURED = "not measured"
"""What stands where something can be measured and was not asked for, or not for this row."""
_HYPHEN = re.compile(r"(?<![\w.-])-(?=\.?\d)")
_JOINERS = "\u200c\u200d"
_KEPT = "\n\t"
_ISLAND = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def missing(value: Any) -> bool:
    """Whether a value read from a record or a table says that there is none.

    Example:
        >>> [missing(value) for value in (None, float("nan"), 0, "")]
        [True, True, False, False]
    """
    if value is None or value is pd.NA:
        return True
    return isinstance(value, float) and not math.isfinite(value)


def number(value: Any, digits: int = 2, *, signed: bool = False) -> str:
    """A number with a true minus sign, or `not defined`.

    Whole numbers keep no decimals and get separators of thousands.

    Example:
        >>> number(2.104), number(0.5, signed=True), number(46080), number(float("nan"))
        ('2.10', '+0.50', '46,080', 'not defined')
    """
    if missing(value):
        return UNDEFINED
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool):
        return "yes" if value else "no"
    sign = "+" if signed else ""
    text = f"{value:{sign},}" if isinstance(value, int) else f"{value:{sign},.{digits}f}"
    if isinstance(value, float) and float(text.replace(",", "")) == 0:
        text = f"{0:.{digits}f}"
    return text.replace("-", "\u2212")


def p_value(value: Any) -> str:
    """A p-value to three places; smaller ones are given as a bound.

    Example:
        >>> p_value(0.0312), p_value(1e-9), p_value(None)
        ('0.031', '< 0.001', 'not defined')
    """
    if missing(value):
        return UNDEFINED
    return "< 0.001" if value < 0.001 else number(float(value), 3)


def minus(text: str) -> str:
    r"""The same sentence with true minus signs before its numbers, as in the rest of a page.

    Example:
        >>> minus("by -2.76 (-3.91), --top 5, L2-L3, 3-4").replace("\u2212", "minus ")
        'by minus 2.76 (minus 3.91), --top 5, L2-L3, 3-4'
    """
    return _HYPHEN.sub("\u2212", text)


def undefined(reason: Any = None) -> str:
    """What stands where a value could not be had.

    Example:
        >>> undefined("one class only")
        'not defined: one class only'
    """
    return f"{UNDEFINED}: {reason or 'no reason was recorded'}"


def interval(value: Any, digits: int = 2, *, reason: Any = None) -> str:
    """An estimate with its interval, or why there is none.

    Example:
        >>> interval({"low": 0.74, "estimate": 0.81, "high": 0.88})
        '0.81 (0.74 to 0.88)'
        >>> interval(None, reason="no head mattered")
        'not defined: no head mattered'
    """
    if not isinstance(value, Mapping):
        return undefined(reason) if missing(value) else number(value, digits)
    if missing(value.get("estimate")):
        return undefined(reason)
    estimate = number(value["estimate"], digits)
    if missing(value.get("low")) or missing(value.get("high")):
        return f"{estimate} (interval {UNDEFINED})"
    return f"{estimate} ({number(value['low'], digits)} to {number(value['high'], digits)})"


def visible(text: str) -> str:
    """The same text with every character that cannot be seen spelled out.

    Controls, zero-width characters and direction marks become `⟨U+200B⟩`; joiners inside a
    script or an emoji are kept, for without them the text would read differently.

    Example:
        >>> visible("a" + chr(0x200B) + "b" + chr(0x202E))
        'a⟨U+200B⟩b⟨U+202E⟩'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible_character(text, place) for place in range(len(text)))


def _visible_character(text: str, place: int) -> str:
    character = text[place]
    if character in _KEPT:
        return character
    hidden = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    if not hidden:
        return character
    around = text[max(place - 1, 0) : place] + text[place + 1 : place + 2]
    if character in _JOINERS and len(around) == 2 and not any(map(str.isascii, around)):
        return character
    return f"\u27e8U+{ord(character):04X}\u27e9"


def label(text: Any) -> str:
    """Text for plotly, which reads a subset of HTML: shown as it is, on one line.

    Example:
        >>> label("<b>x</b> & y")
        '&lt;b&gt;x&lt;/b&gt; &amp; y'
    """
    shown = visible(str(text)).replace("\n", "\u21b5").replace("\t", "\u21e5")
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def plain(value: Any) -> Any:
    """What `jsonable` gives, sooner where a value is of JSON's own types already.

    Example:
        >>> plain({"x": [1.5, float("nan"), "a"], 2: None})
        {'x': [1.5, None, 'a'], '2': None}
    """
    kind = type(value)
    if value is None or kind in (str, int, bool):
        return value
    if kind is float:
        return value if math.isfinite(value) else None
    if kind in (list, tuple):
        return [plain(item) for item in value]
    if kind is dict:
        return {str(key): plain(item) for key, item in value.items()}
    return jsonable(value)


def island(value: Any) -> str:
    r"""JSON that can stand inside a script element: it cannot end it, nor open a comment.

    Example:
        >>> island({"token": "</script><!--"})
        '{"token":"\\u003c/script\\u003e\\u003c!--"}'
    """
    text = json.dumps(plain(value), ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for character, escape in _ISLAND.items():
        text = text.replace(character, escape)
    return text
