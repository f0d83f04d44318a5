"""A study is written as it is; a clock counts what was inside its blocks."""

from __future__ import annotations

import time

import pandas as pd
import pytest

from needlepoint._core.records import Record, RunFolder
from needlepoint.evaluation.study import Clock, Study


def test_a_clock_adds_up_blocks_of_one_name_even_if_they_fail() -> None:
    clock = Clock()
    with clock.part("a"):
        time.sleep(0.02)

    def fail() -> None:
        with clock.part("a"):
            time.sleep(0.02)
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        fail()
    with clock.part("b"):
        pass
    assert list(clock.seconds) == ["a", "b"]
    assert clock.seconds["a"] >= 0.04
    assert clock.total == pytest.approx(clock.seconds["a"] + clock.seconds["b"])


def test_a_study_is_saved_with_its_tables(tmp_path) -> None:
    run = RunFolder.create(tmp_path / "run", kind="probe", config={})
    frame = pd.DataFrame({"site": ["L0.N1"], "f1": [0.5]})
    record = Record(cell="probe.toy", kind="probe", status="done", summary={"answer": "yes"})
    saved = Study(record, {"tests": frame}).save(run)
    assert saved.tables == ("tests",)
    assert run.records() == [saved]
    pd.testing.assert_frame_equal(run.table("probe.toy", "tests"), frame)
