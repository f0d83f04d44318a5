"""The notebook runs from top to bottom on the real default model, and shows what it finds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

PATH = Path(__file__).parents[2] / "examples" / "demo.ipynb"


def read() -> Any:
    return nbformat.read(PATH, as_version=4)


def test_no_output_is_kept_in_the_file() -> None:
    for cell in read().cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert not re.search(r"/(home|root|tmp|Users|work)/", PATH.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """What each code cell ends in, by type, after one run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        patch.setenv("OMP_NUM_THREADS", "1")
        where = {"metadata": {"path": str(tmp_path_factory.mktemp("notebook"))}}
        notebook = read()
        NotebookClient(notebook, timeout=300, resources=where).execute()
    found = []
    for cell in notebook.cells:
        results = [one for one in cell.get("outputs", []) if one.output_type == "execute_result"]
        found += [dict(one.data) for one in results]
    return found


@pytest.mark.journey
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_runs_and_every_result_is_shown(outputs: list[dict[str, str]]) -> None:
    shown = [one["text/html"] for one in outputs]
    study, effects, strongest, table, neurons, features = shown
    assert "Which attention heads" in study
    assert "Not established" in study
    for picture in (effects, strongest, features):
        assert picture.count('src="data:image/svg+xml;base64,') == 1
    assert "L" in table
    assert "<table" in table
    assert "Which neurons" in neurons
    assert not [one for one in shown if "<script" in one or "http://" in one]
