"""How far results agree is counted in digits, and nothing that differs goes unsaid."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from needlepoint._core.records import Record
from needlepoint.evaluation.grid.agreement import ALL_DIGITS, agreement, columns_of_table
from needlepoint.evaluation.grid.compared import compare_studies
from needlepoint.evaluation.study import Study


def digits(first: object, second: object) -> int:
    return agreement("x", {"c": first}, {"c": second}).digits


@given(st.floats(0.1, 1e6), st.integers(1, 12), st.sampled_from([-1, 1]))
def test_a_change_in_a_digit_leaves_the_digits_before_it(value, place, sign) -> None:
    assert digits([value], [value * (1 + sign * 0.9 * 10.0**-place)]) in (place, place - 1)


def test_the_same_to_the_bit_is_all_digits() -> None:
    values = [0.1, -3.0, float("nan"), None, "x", True, [1.0, [2.0]]]
    found = agreement("x", {"c": values}, {"c": list(values)})
    assert found.same
    assert (found.digits, found.values, found.differ) == (ALL_DIGITS, 8, ())
    assert digits([1.0], [np.nextafter(1.0, 2.0)]) == ALL_DIGITS - 1


def test_noise_near_zero_is_measured_by_the_column() -> None:
    assert digits([1.0, 1e-12], [1.0, -1e-12]) == 11
    assert digits([0.0], [1e-12]) == 0


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (["a"], ["b"], "c differs in 1 of 1 places"),
        ([True, False], [True, True], "c differs in 1 of 2 places"),
        ([1.0, float("nan")], [1.0, 2.0], "c differs in 1 of 2 places"),
        ([None], [0.0], "c differs in 1 of 1 places"),
        ([1.0], [1.0, 2.0], "c has 1 values in the first, 2 in the second"),
        ([[1, 2]], [[1]], "c has 2 values in the first, 1 in the second"),
    ],
)
def test_what_differs_and_is_no_number_is_said(first, second, words) -> None:
    found = agreement("x", {"c": first}, {"c": second})
    assert found.differ == (words,)
    assert not found.same


def test_a_column_of_one_side_is_said() -> None:
    found = agreement("x", {"a": [1], "b": [1]}, {"a": [1], "c": [1]})
    assert found.differ == ("b is only in the first", "c is only in the second")


def test_times_and_memory_are_left_out() -> None:
    frame = pd.DataFrame({"f1": [1.0], "seconds": [2.0], "peak_bytes": [3]})
    assert columns_of_table(frame) == {"f1": [1.0]}


@pytest.fixture
def study() -> Study:
    summary = {"answer": "yes", "features": [{"f1": 0.5}], "seconds": {"all": 3.0}}
    record = Record("probe.x", "probe", "done", summary=summary)
    tables = {"t": pd.DataFrame({"site": ["a"], "effect": [1.0]})}
    return Study(record, tables, {"w": np.ones(2, dtype=np.float32)})


def changed(study: Study, **summary: object) -> Study:
    record = dataclasses.replace(study.record, summary={**study.record.summary, **summary})
    return dataclasses.replace(study, record=record)


def test_studies_that_differ_in_time_alone_are_the_same(study: Study) -> None:
    found = compare_studies(study, changed(study, seconds={"all": 99.0}))
    assert found.same
    assert found.reproduces(ALL_DIGITS)
    assert [part.part for part in found.parts] == ["summary", "t", "arrays"]


def test_a_difference_anywhere_is_found(study: Study) -> None:
    for other, part in (
        (changed(study, features=[{"f1": 0.50001}]), "summary"),
        (Study(study.record, {"t": study.tables["t"].assign(effect=1.0001)}, study.arrays), "t"),
        (Study(study.record, study.tables, {"w": study.arrays["w"] * 1.001}), "arrays"),
    ):
        found = compare_studies(study, other)
        assert [one.part for one in found.parts if not one.same] == [part]
        assert not found.same
        assert not found.reproduces(6)
        assert found.reproduces(found.digits)


def test_a_missing_table_or_another_ending_does_not_reproduce(study: Study) -> None:
    found = compare_studies(study, Study(study.record, {}, study.arrays))
    assert found.differ == ("t: it is only in the first",)
    skipped = dataclasses.replace(study.record, status="skipped")
    found = compare_studies(study, Study(skipped, {}))
    assert found.differ == ("it is done in the first and skipped in the second",)
    assert not found.reproduces(0)
