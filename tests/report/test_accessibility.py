"""The pages can be used by everyone: axe finds nothing to object to, in light and in dark."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe

from needlepoint._core.records import Record, RunFolder
from needlepoint.report import build_report
from needlepoint.testing.browser import Opened, open_page

pytestmark = [pytest.mark.journey, pytest.mark.usefixtures("chromium")]

ARTEFACTS = "NEEDLEPOINT_SCREENSHOTS"
"""Names a folder in which pictures of the page are left; nothing is left if it is not set."""


@pytest.fixture(scope="module")
def grid(sample: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid of candidates that nobody ablated, of weights by depth, and of a cell left out."""
    run = RunFolder.create(tmp_path_factory.mktemp("grid") / "run", kind="grid", config={})
    place = {"model": "smollm2", "question": "ioi", "method": "", "repeat": 0}
    circuit, tables = sample.circuit_cell(np.random.default_rng(0))
    heads = tables["heads"].assign(effect=np.nan, effect_low=np.nan, effect_high=np.nan)
    summary = {**circuit.summary, "truth": None, "truth_reason": "Nothing was ablated."}
    summary |= {"circuit": None}
    kept = {"heads": heads.assign(matters=None), "methods": tables["methods"].assign(auc=np.nan)}
    run.add(replace(circuit, summary=summary, place=place), kept)
    run.add(weights(place), {"depth_weights": depth_weights()})
    run.add(Record("circuit.no", "circuit", "skipped", reason="too few pairs.", place=place))
    run.finish()
    return build_report(run.path)


def weights(place: dict[str, object]) -> Record:
    summary = {
        "question": "How do neurons differ by depth?",
        "answer": "By -0.10 (-0.20 to -0.05).",
        "fold": "folded",
        "n_layers": 3,
        "n_neurons": 30,
        "curves": {"norm_bias": {"label": "input norm times bias", "early": 0.1, "late": 0.2}},
        "norm_bias_early_minus_late": {"low": -0.2, "estimate": -0.1, "high": -0.05},
        "published_shape": "It falls.",
    }
    return Record("weights.depth", "weights", "done", summary=summary, place=place)


def depth_weights() -> pd.DataFrame:
    rows = [
        {"layer": layer, "depth": layer / 2, "statistic": statistic, "scaled": 1.0}
        | {"weights": kind, "p0_5": -1.0, "p20": -0.5, "p50": 0.1, "p80": 0.5, "p99_5": 1.0}
        for layer in range(3)
        for statistic in ("norm_bias", "cosine")
        for kind in ("trained", "untrained")
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module", params=["sample", "grid"])
def opened(request: pytest.FixtureRequest, page: Path, grid: Path) -> Iterator[Opened]:
    with open_page(page if request.param == "sample" else grid) as found:
        yield found


def objections(opened: Opened) -> list[str]:
    """What axe objects to, with the first element that it objects to."""
    opened.page.evaluate(
        "document.querySelectorAll('details:not(.card ~ .card)').forEach(d => d.open = true)"
    )
    opened.page.evaluate("needlepoint.drawAll()")
    found = Axe().run(opened.page, options={"resultTypes": ["violations"]})
    return [
        f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}"
        for one in found.response["violations"]
    ]


def test_axe_finds_nothing(opened: Opened, request: pytest.FixtureRequest) -> None:
    """Light on a wide screen, then dark on a narrow one, as the reader's system changes."""
    for colours, width in (("light", 1280), ("dark", 390)):
        opened.page.emulate_media(color_scheme=colours)  # type: ignore[arg-type]
        opened.page.set_viewport_size({"width": width, "height": 900})
        assert objections(opened) == []
        assert opened.errors == []
        assert opened.foreign_requests == []
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
        if folder := os.environ.get(ARTEFACTS):
            name = f"report-{request.node.callspec.params['opened']}-{colours}-{width}.png"
            opened.page.screenshot(path=Path(folder) / name, full_page=True)


def test_what_was_not_measured_is_a_sentence_and_no_empty_picture(opened: Opened) -> None:
    """Of the grid, in which no head was ablated; the sample has all of it."""
    said = opened.page.locator("[data-panel=graph] .curves .nothing").all_inner_texts()
    if opened.page.locator(".cells").count() == 0:
        assert said == []
        return
    assert len(said) == 2
    assert said[0].startswith("Faithfulness was not measured: no head was ablated")
    assert "--ablate-pairs 60" in said[1]
    assert said[0] in opened.page.locator("main").inner_text().replace("\n", " ")
    opened.page.locator(".cells a").first.click()
    assert opened.page.url.endswith("#s0")
    assert opened.page.locator("#s0 h2").inner_text() == "Heads: ioi, smollm2, repeat 0"


def test_axe_objects_where_there_is_reason_to(opened: Opened) -> None:
    opened.page.evaluate("document.getElementById('theme').removeAttribute('aria-label')")
    opened.page.evaluate("document.getElementById('theme').textContent = ''")
    found = Axe().run(opened.page, context="#theme")
    assert [one["id"] for one in found.response["violations"]] == ["button-name"]
