"""The page of a large run is light, and answers soon: 270 heads, 46,080 neurons, 150 features."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from playwright.sync_api import CDPSession

from needlepoint._core.records import RunFolder
from needlepoint.testing.browser import Opened, open_page

pytestmark = [pytest.mark.journey, pytest.mark.usefixtures("chromium")]

N_FEATURES = 150
"""With one neuron on each card, where a run has three by default: that page has 3 MB more."""
MOST_MEGABYTES, MOST_SECONDS = 15.0 - 3.0, 2.0
BUILD = "import pathlib, sys, needlepoint.report as r; r.build_report(pathlib.Path(sys.argv[1]))"
"""In a process of its own, where no shapes are checked, which takes as long again."""


@pytest.fixture(scope="module")
def large(sample: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(0)
    run = RunFolder.create(tmp_path_factory.mktemp("large") / "run", kind="demo", config={})
    run.add(*sample.circuit_cell(random), sample.edge_arrays())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "FEATURES", [f"feature {n}" for n in range(N_FEATURES)])
        once = sample.feature_summary
        patch.setattr(sample, "feature_summary", lambda place, name: once(place % 8, name))
        record, tables = sample.probe_cell(random)
    run.add(record, tables)
    run.finish()
    subprocess.run([sys.executable, "-c", BUILD, str(run.path)], check=True)
    return run.path / "report.html"


def busy(page: Path, out: Path) -> float:
    """Seconds of processor time until text and tables answer, whatever else the machine does.

    They answer as soon as the page is read and its own script has run; plotly comes after that,
    and is left out here.
    """
    head, _, tail = page.read_text(encoding="utf-8").rpartition("<script>")
    out.write_text(head + tail.partition("</script>")[2], encoding="utf-8")
    with open_page(out) as opened:
        session = opened.page.context.new_cdp_session(opened.page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        before = metrics(session)
        opened.page.reload()
        assert opened.page.evaluate("performance.getEntriesByName('interactive').length") == 1
        assert opened.page.evaluate("typeof Plotly") == "undefined"
        return metrics(session) - before


def metrics(session: CDPSession) -> float:
    found = session.send("Performance.getMetrics")["metrics"]
    return float(next(one["value"] for one in found if one["name"] == "TaskDuration"))


def test_a_large_run_is_a_small_page_and_answers_soon(large: Path, tmp_path: Path) -> None:
    megabytes, usable = large.stat().st_size / 1e6, busy(large, tmp_path / "without.html")
    print(f"\n{megabytes:.1f} MB; answers after {usable:.2f} s of processor time")
    assert megabytes < MOST_MEGABYTES
    assert usable < MOST_SECONDS


def test_what_is_packed_opens_when_it_is_looked_at(large: Path) -> None:
    with open_page(large) as opened:
        cards = opened.page.locator("details.neuron")
        assert cards.count() == N_FEATURES
        opened.unfold(cards.last)
        opened.wait_until("document.querySelectorAll('details.neuron:last-of-type .t').length")
        table = opened.page.locator(".tablebox[id$='-testtable']")
        table.locator("[data-find]").fill("feature 149")
        opened.wait_until("document.querySelectorAll('[id$=testtable] tbody tr').length > 1000")
        assert {"feature 149"} == set(
            table.locator("tbody tr:visible td:first-child").all_inner_texts()
        )
        on_paper(opened)
        assert opened.errors == []


def on_paper(opened: Opened) -> None:
    """A print has every figure that stands outside the cards, at once, and counts the cards."""
    opened.wait_until("performance.getEntriesByName('printable').length")
    opened.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    drawn = opened.page.evaluate(
        "Array.from(document.querySelectorAll('.plot')).filter(p => !p.closest('details'))"
        ".map(p => [p.id, p.querySelectorAll('.main-svg').length])"
    )
    assert len(drawn) >= 8
    assert [name for name, pictures in drawn if pictures == 0] == []
    opened.page.emulate_media(media="print")
    said = opened.page.locator(".onpaper").inner_text()
    assert said.startswith(f"{N_FEATURES - 2} of {N_FEATURES} cards were left folded")
