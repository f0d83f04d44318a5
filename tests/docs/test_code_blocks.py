"""The Python blocks of the documentation run, page by page, as a reader would type them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import needlepoint

DOCS = Path(__file__).parents[2] / "docs"
NOT_RUN = {"ray.md": "asks for a cluster"}
"""Pages whose blocks are only read, and why."""


def blocks(page: Path) -> str:
    """All Python blocks of a page, one after the other."""
    found = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return "\n".join(found)


def pages() -> list[object]:
    """Pages with Python blocks; those that load the default model are journeys."""
    found = []
    for page in sorted(DOCS.rglob("*.md")):
        if code := blocks(page):
            marks = [pytest.mark.journey] if '"smollm2"' in code else []
            found.append(pytest.param(page, marks=marks, id=str(page.relative_to(DOCS))))
    return found


@pytest.mark.parametrize("page", pages())
def test_the_python_of_the_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = compile(blocks(page), str(page), "exec")
    if page.name in NOT_RUN:
        pytest.skip(NOT_RUN[page.name])
    exec(code, {"__name__": page.stem})


def test_the_start_keeps_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second block of the start, with a study of nothing in the place of the real one."""
    monkeypatch.chdir(tmp_path)
    code = blocks(DOCS / "start.md")
    kept = code[code.index("from pathlib import Path") :]
    record = needlepoint.Record("circuit.x", "circuit", "skipped", reason="nothing was asked.")
    exec(kept, {"npt": needlepoint, "study": needlepoint.Study(record, {})})
    assert (tmp_path / "my-run" / "report.html").exists()
