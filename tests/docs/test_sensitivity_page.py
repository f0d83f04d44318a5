"""The page on the sensitivity study: kept as written, and sound where some tasks have less."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
PAGE = ROOT / "docs" / "sae_sensitivity.md"
WRITE = """
import json, sys
from pathlib import Path
import sae_sensitivity_page as page
page.PAGE, page.FIGURES = Path(sys.argv[1]) / "page.md", Path(sys.argv[1]) / "figures"
page.write_page(json.loads(sys.stdin.read()))
"""


@pytest.fixture
def records() -> list[dict[str, Any]]:
    found = sorted((BENCHMARKS / "records").glob("sae_sensitivity.*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in found]


def write(records: list[dict[str, Any]], folder: Path) -> str:
    """The page of some records, written to a folder; beside these tests, as it sets up drawing."""
    done = subprocess.run(
        [sys.executable, "-c", WRITE, str(folder)],
        cwd=BENCHMARKS, input=json.dumps(records), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return (folder / "page.md").read_text(encoding="utf-8")


def more(record: dict[str, Any], n_examples: int) -> None:
    """Add a cell with so many training examples, with the figures of one that there is."""
    cell = next(one for one in record["cells"] if one["training examples"] == 50)
    record["cells"].append({**copy.deepcopy(cell), "training examples": n_examples})


def without(record: dict[str, Any], axis: str) -> None:
    """Take away every cell in which a setting differs from the paper's."""
    paper = record["asked"]["paper"][axis]
    record["cells"] = [cell for cell in record["cells"] if cell[axis] == paper]


def test_the_page_is_what_its_records_give(records: list[dict[str, Any]], tmp_path: Path) -> None:
    kept = PAGE.read_text(encoding="utf-8")
    assert write(records, tmp_path) == kept, "run `python benchmarks/sae_sensitivity.py --page`"


def test_what_tasks_lack_is_said_and_not_made_up(
    records: list[dict[str, Any]], tmp_path: Path
) -> None:
    titles = [record["asked"]["task"].replace("_", " ") for record in records]
    for record in records:
        record["cells"] = [cell for cell in record["cells"] if cell["training examples"] < 100]
    for n_examples in (100, 250):
        more(records[0], n_examples)
    without(records[1], "codes")
    text = write(records, tmp_path)
    gaps = next(line for line in text.splitlines() if "Measured on some tasks only" in line)
    lacking = ", ".join(titles[1:])
    assert f"training examples 100, training examples 250 (not on {lacking})" in gaps
    assert f"(not on {titles[1]})" in gaps
    assert "Going from 5 to 250 training examples" in text
    assert "Going from 5 to 50 training examples" in text
    assert f"(varied on {len(records) - 1})" in text
    assert "| training examples | 250 |" in text
    own = text.split(f"### {titles[1]}\n")[1].split("\n### ")[0]
    assert "| training examples | 250 |" not in own
    assert own.count("| codes |") == 1, "the paper's own value is all that is left"
    words = text.split("## What we find here")[1].split("## Beside the controls")[0]
    one = next(line for line in words.split(f"- **{titles[1]}.**")[1].splitlines()[1:])
    assert " codes " not in one


def test_tasks_that_have_all_say_nothing_of_gaps(
    records: list[dict[str, Any]], tmp_path: Path
) -> None:
    text = write([records[0], copy.deepcopy(records[0])], tmp_path)
    assert "Measured on some tasks only" not in text
    assert "varied on" not in text
