"""The table of test results by k says what the record says, at both cuts."""

from __future__ import annotations

from types import ModuleType

import pandas as pd
import pytest

from needlepoint.report.by_k_table import by_k_table
from needlepoint.report.tables import COLUMNS


@pytest.fixture
def found(sample: ModuleType) -> pd.DataFrame:
    features = [sample.feature_summary(place, name) for place, name in enumerate("ab")]
    frame: pd.DataFrame = sample.by_k_table(features)
    return frame


def test_each_row_is_a_size_with_both_cuts(found: pd.DataFrame) -> None:
    block = by_k_table("p", found)
    assert block is not None
    assert block.menu == ["a", "b"]
    titles = [column.title for column in block.columns]
    for row, given in zip(block.rows, found.to_dict("records"), strict=True):
        cells = dict(zip(titles, (cell.text for cell in row), strict=True))
        assert cells["k"] == f"{given['k']:,}"
        assert cells["test F1"].startswith(f"{given['f1']:.2f} (")
        assert cells["F1 at 0"].startswith(f"{given['f1_zero']:.2f} (")
        assert cells["recall at 0"] == f"{given['recall_zero']:.2f}"
        assert ("not defined" in cells["precision"]) == (given["k"] == 2)


def test_a_run_that_tested_no_sizes_has_no_such_table() -> None:
    assert by_k_table("p", pd.DataFrame(columns=COLUMNS["tests_by_k"].split())) is None
