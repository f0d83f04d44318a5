"""Strangers' text stays text, and missing values never look like numbers."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from needlepoint.report.text import interval, island, label, missing, number, p_value, visible


@given(st.text())
def test_an_island_cannot_end_its_script_nor_open_a_comment(text: str) -> None:
    written = island({"token": text})
    assert not set(written) & set("<>&\u2028\u2029")
    assert written.isascii()
    assert json.loads(written) == {"token": text}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_island_holds_no_value_that_json_lacks(value: float) -> None:
    assert island([value]) == "[null]"


@given(st.text())
def test_labels_hold_no_markup_for_plotly(text: str) -> None:
    assert not set(label(text)) & set("<>\n")


@pytest.mark.parametrize("code", [0x00, 0x07, 0x200B, 0x202E, 0x2028, 0xFEFF, 0x2066, 0xD83D])
def test_characters_that_cannot_be_seen_are_spelled_out(code: int) -> None:
    assert visible(f"a{chr(code)}b") == f"a\u27e8U+{code:04X}\u27e9b"


@pytest.mark.parametrize(
    "text",
    [
        "caf\u00e9",
        "\u05e9\u05dc\u05d5\u05dd",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647",
        "a\n\tb",
        "\U0001f469\u200d\U0001f52c",
    ],
)
def test_text_that_can_be_seen_is_left_alone(text: str) -> None:
    assert visible(text) == text


def test_a_joiner_between_ascii_letters_is_spelled_out() -> None:
    assert visible("a\u200db") == "a\u27e8U+200D\u27e9b"


@pytest.mark.parametrize("value", [None, math.nan, math.inf, pd.NA, float("-inf")])
def test_missing_values_say_so(value: object) -> None:
    assert missing(value)
    assert number(value) == "not defined"
    assert p_value(value) == "not defined"
    assert interval(value, reason="why") == "not defined: why"


def test_an_interval_without_bounds_says_so() -> None:
    value = {"low": None, "estimate": 0.5, "high": 0.6}
    assert interval(value) == "0.50 (interval not defined)"
    assert interval({**value, "estimate": None}) == "not defined: no reason was recorded"


def test_numbers_have_true_minus_signs_and_no_negative_zero() -> None:
    assert number(-0.5) == "\u22120.50"
    assert number(-0.0001) == "0.00"
    assert number(-0.0001, signed=True) == "0.00"
    assert number(True) == "yes"
