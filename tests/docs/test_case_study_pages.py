"""The pages of the case studies are what their records give, and say what the records say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
RECORDS = {
    path.name.removeprefix("case_study.").removesuffix(".json"): json.loads(
        path.read_text(encoding="utf-8")
    )
    for path in sorted((BENCHMARKS / "records").glob("case_study.*.json"))
}
WRITE = """
import json, study_cells
study_cells.save = lambda figure, name: study_cells.plt.close(figure)
import case_studies, case_studies_page as page
print(json.dumps(page.pages(case_studies.kept_records())))
"""


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    """The pages as the script would write them now, its figures left where they are."""
    done = subprocess.run(
        [sys.executable, "-c", WRITE], cwd=BENCHMARKS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_the_pages_are_as_their_records_make_them(written: dict[str, str]) -> None:
    assert written
    for name, text in written.items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == text, name


def test_every_figure_of_a_page_is_there(written: dict[str, str]) -> None:
    for text in written.values():
        for figure in re.findall(r"\]\((figures/\w+\.svg)\)", text):
            assert (ROOT / "docs" / figure).exists(), figure


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_says_where_when_and_how_it_was_made(name: str) -> None:
    record = RECORDS[name]
    for key in ("asked", "date", "machine", "versions", "seconds", "threads", "summary"):
        assert record[key], key
    assert record["name"] == name
    assert record["summary"]["answer"].endswith(".")


def compounds() -> list[dict[str, Any]]:
    return [record for record in RECORDS.values() if "table.compounds" in record]


@pytest.mark.parametrize("record", compounds(), ids=lambda record: record["name"])
def test_counts_over_compounds_follow_from_their_q_values(record: dict[str, Any]) -> None:
    """Benjamini-Hochberg by its definition: the largest rank whose p is below its share of 5 %."""
    rows, ahead = record["table.compounds"], record["summary"]["ahead"]
    for name, p_value, gap in (("windows", "p_value", "gap"), ("tokens", "ap_p", "ap_gap")):
        tried = sorted((row for row in rows if row[p_value] is not None), key=lambda x: x[p_value])
        ranks = [
            place + 1
            for place, row in enumerate(tried)
            if row[p_value] <= 0.05 * (place + 1) / len(tried)
        ]
        found = tried[: max(ranks, default=0)]
        assert ahead[name]["n"] == len(tried)
        assert ahead[name]["sum"] == sum(row[gap] > 0 for row in found)
        assert ahead[name]["neuron"] == sum(row[gap] < 0 for row in found)
