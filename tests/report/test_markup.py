"""Markup in tokens, labels, names of tasks, files and models is shown as the text that it is."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from needlepoint._core.records import Record, RunFolder
from needlepoint.report import build_report
from needlepoint.testing.markup import MARKUP, TAG, put_markup, stray_markup

LOOKED_UP = ("metric", "writer", "reader", "node")
"""What must be known to the page, which refuses anything else."""


def test_stray_markup_is_found_where_it_is_not_escaped() -> None:
    assert stray_markup(f"<p>{MARKUP}</p>")
    assert stray_markup(f'<p title="{MARKUP}">')
    assert stray_markup(f"<script>{MARKUP}</script>")
    assert not stray_markup("<p>&lt;np-stray&gt; <script>np-stray</script></p>")


def test_every_text_of_a_run_can_be_markup(sample: ModuleType, tmp_path: Path) -> None:
    folder = sample.write_sample_run(tmp_path / "run")
    assert put_markup(RunFolder.open(folder), LOOKED_UP) > 100
    page = build_report(folder).read_text(encoding="utf-8")
    assert page.count(TAG) > 100
    assert stray_markup(page) == []


def test_every_text_of_a_grid_can_be_markup(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", kind="grid", config={"models": ["one"]})
    place = {"model": "one", "question": "pairs", "method": "eap", "repeat": 0}
    summary = {"question": "Which?", "answer": "None.", "not_established": ["all"]}
    for status in ("done", "failed", "skipped"):
        record = Record(f"circuit.{status}", "circuit", status, "no", place=place, summary=summary)
        run.add(record)
    assert put_markup(run) > 12
    page = build_report(run.path).read_text(encoding="utf-8")
    assert page.count(TAG) > 12
    assert stray_markup(page) == []
