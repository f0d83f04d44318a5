"""A cell on a model that lies in several places has the results of one that lies in one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from needlepoint.evaluation.grid.cells import cells_of
from needlepoint.evaluation.grid.work import Bench, Job

PLACES = {
    "model.embed_tokens": "cpu",
    "model.layers.0": "disk",
    "model.layers.1": "cpu",
    "model.layers.2": "disk",
    "model.norm": "cpu",
    "model.rotary_emb": "cpu",
    "lm_head": "cpu",
}


@pytest.fixture
def job(grid_of, files: Path) -> Job:
    digits = str(files / "digits.csv")
    (cell,) = cells_of(grid_of(tasks=(), features=(digits,)))
    return Job(cell, str(files / "one"), "float32", digits)


def test_neurons_are_found_alike(job: Job, tmp_path: Path, monkeypatch) -> None:
    found = []
    for name, device in (("whole", None), ("spread", PLACES)):
        monkeypatch.setenv("NEEDLEPOINT_CACHE", str(tmp_path / name))
        found.append(Bench(device).run(job).study)
    whole, spread = found
    assert whole.record.status == spread.record.status == "done", spread.record.reason
    assert whole.tables.keys() == spread.tables.keys()
    for name, table in whole.tables.items():
        pd.testing.assert_frame_equal(table, spread.tables[name], obj=name)
    for name, array in whole.arrays.items():
        assert np.array_equal(np.asarray(array), np.asarray(spread.arrays[name]), equal_nan=True)
