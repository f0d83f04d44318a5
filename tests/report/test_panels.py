"""The circuit's graph and the heads' patterns in a browser, as a reader works with them."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from needlepoint._core.records import RunFolder
from needlepoint.report.head_attention import HeadAttention
from needlepoint.testing.browser import Opened, open_page

pytestmark = [pytest.mark.journey, pytest.mark.usefixtures("chromium")]
CELL = "circuit.ioi"


@pytest.fixture(scope="module")
def opened(page: Path) -> Iterator[Opened]:
    with open_page(page, width=1280) as found:
        found.page.evaluate("needlepoint.drawAll()")
        yield found


def said(opened: Opened, part: str) -> str:
    return opened.page.locator(f"[data-panel] [data-part={part}]").first.inner_text()


def keep(opened: Opened, size: int, ranking: str = "causal effect (heads)") -> None:
    opened.page.select_option("[data-part=ranking]", label=ranking)
    slider = opened.page.locator("[data-part=size]")
    slider.evaluate(
        f"s => {{ s.value = {size}; s.dispatchEvent(new Event('input', {{bubbles: true}})) }}"
    )


def test_the_threshold_moves_the_nodes_and_all_three_numbers(opened: Opened) -> None:
    keep(opened, 6)
    assert said(opened, "count") == "6 of 32"
    assert said(opened, "faith") == "0.78 (0.71 to 0.85)"
    assert said(opened, "precision") == "1.00"
    assert said(opened, "random").endswith(", 95 % of 50")
    assert opened.page.locator(".curve .area").count() == 1
    assert opened.page.locator(".circuit .kept").count() == 6
    keep(opened, 16)
    assert opened.page.locator(".circuit .kept").count() == 16
    assert said(opened, "faith") == "1.03 (0.96 to 1.10)"
    assert said(opened, "random").endswith(", least to greatest of 5")
    assert said(opened, "precision") == "0.50"


def test_a_size_that_was_not_run_has_no_faithfulness(opened: Opened) -> None:
    keep(opened, 7)
    assert said(opened, "faith") == "not measured here; 0.78 with 6, 0.88 with 8"
    assert re.fullmatch(r"not measured here; .* with 6, .* with 8", said(opened, "random"))


def test_the_threshold_moves_by_keyboard(opened: Opened) -> None:
    keep(opened, 4)
    opened.page.locator("[data-part=size]").focus()
    opened.page.keyboard.press("ArrowRight")
    assert said(opened, "count") == "5 of 32"
    assert opened.page.locator(".circuit .kept").count() == 5


def test_edges_can_be_kept_instead(opened: Opened) -> None:
    keep(opened, 3, "eap (edges)")
    assert opened.page.locator(".edge").count() == 3
    ends = opened.page.locator(".circuit .kept").evaluate_all(
        "nodes => nodes.map(n => n.getAttribute('aria-label').split(',')[0]).sort()"
    )
    assert ends == ["L20.H0", "L23.H3", "L29.H1", "logits"]
    assert said(opened, "random") == "not measured for edges"
    assert "--curve-pairs 24" in opened.page.locator(".curves .nothing").inner_text()
    keep(opened, 200, "eap (edges)")
    assert opened.page.locator(".edge").count() >= 200, "more than the table lists: the array has"


def test_arrow_keys_walk_through_the_circuit_and_enter_opens_a_head(opened: Opened) -> None:
    keep(opened, 6)
    first = opened.page.locator(".circuit [tabindex='0']")
    assert first.count() == 1
    first.focus()
    assert "L23.H3" in said(opened, "detail")
    opened.page.keyboard.press("ArrowRight")
    assert "L20.H0" in said(opened, "detail")
    assert "discrete autoencoder" in said(opened, "detail")
    assert "L20.H0 → L23.H3.q" in said(opened, "detail")
    assert "Code 17: on 60 clean prompts, on no corrupt one" in said(opened, "detail")
    opened.page.keyboard.press("Enter")
    assert (
        opened.page.locator("[data-part=head]").evaluate("s => s.options[s.selectedIndex].text")
        == "L20.H0"
    )
    assert opened.page.evaluate("document.activeElement.dataset.part") == "head"


def test_pointing_at_one_map_shows_the_head_in_the_other_and_in_the_graph(opened: Opened) -> None:
    block = opened.page.locator("[data-figure$='-map']")
    block.scroll_into_view_if_needed()
    name = block.get_attribute("data-figure")
    assert name is not None
    other = name.replace("-map", "-scores")
    opened.wait_until(f"document.getElementById('{other}-plot').data")
    cell = opened.page.evaluate(
        f"(p => {{ const b = p.getBoundingClientRect(), l = p._fullLayout; return ["
        "b.x + l._size.l + l.xaxis.d2p(0), b.y + l._size.t + l.yaxis.d2p(16)] })"
        f"(document.getElementById('{name}-plot'))"
    )
    opened.page.mouse.move(*cell)
    opened.wait_until(f"document.querySelector('#{other}-plot .hovertext')")
    assert "L16.H0" in (opened.page.text_content(f"#{other}-plot .hovertext") or "")
    assert "L16.H0" in said(opened, "detail")


def looks(opened: Opened) -> list[float]:
    return [
        float(one)
        for one in opened.page.locator(".look").evaluate_all("nodes => nodes.map(n => n.dataset.r)")
    ]


def test_tokens_are_shaded_by_what_the_record_says(opened: Opened, run: Path) -> None:
    folder = RunFolder.open(run)
    tables = [folder.table(CELL, name) for name in ("shown_prompts", "attention", "codes")]
    display = HeadAttention(*tables)
    opened.page.select_option("[data-part=head]", label="L16.H0")
    opened.page.select_option("[data-part=prompt]", label="prompt 3, corrupt")
    pattern = display.pattern("L16.H0", 2, "corrupt")
    np.testing.assert_allclose(looks(opened), pattern[-1], atol=0.0075)
    opened.page.locator(".look").nth(5).click()
    np.testing.assert_allclose(looks(opened), pattern[5], atol=0.0075)
    opened.page.keyboard.press("ArrowLeft")
    np.testing.assert_allclose(looks(opened), pattern[4], atol=0.0075)
    top = display.shown["tokens"].iloc[5][int(pattern[4].argmax())]
    assert f"L16.H0 looks at \u2018{top}\u2019" in said(opened, "said")


def test_strange_tokens_stand_as_text(opened: Opened) -> None:
    opened.page.select_option("[data-part=prompt]", label="prompt 2, clean")
    shown = said(opened, "tokens")
    for token in ("<script>alert('x')</script>", "<img src=x onerror=window.pwned=1>"):
        assert token in shown
    assert "⟨U+200B⟩" in shown
    assert "<script>alert('x')</script>" in opened.page.inner_text("[data-part=codes]")
    assert opened.page.evaluate("window.pwned") is None


def download(opened: Opened, panel: str, kind: str) -> str:
    box = opened.page.locator(f"[data-panel={panel}]")
    opened.unfold(box.locator(".numbers"))
    with opened.page.expect_download() as waiting:
        box.locator(f"[data-download={kind}]").click()
    return Path(waiting.value.path()).read_bytes().decode("utf-8")


def test_the_downloaded_patterns_are_those_of_the_record(opened: Opened, run: Path) -> None:
    folder = RunFolder.open(run)
    display = HeadAttention(
        *(folder.table(CELL, name) for name in ("shown_prompts", "attention", "codes"))
    )
    text = download(opened, "attention", "csv")
    rows = pd.DataFrame(list(csv.DictReader(io.StringIO(text, newline=""))))
    frame = display.frame()
    assert list(rows.columns) == list(frame.columns)
    assert list(rows["to"]) == list(frame["to"])
    np.testing.assert_allclose(rows["weight"].astype(float), frame["weight"], atol=0.003)


def test_the_graph_gives_its_numbers_and_its_picture(opened: Opened) -> None:
    data = json.loads(download(opened, "graph", "json"))
    rows = pd.DataFrame(data["rows"], columns=data["columns"])
    heads = rows[rows["ranked_by"] == "causal effect"]
    assert list(heads["added"][:2]) == ["L23.H3", "L20.H0"]
    assert heads["faithfulness"].notna().sum() == 10
    picture = download(opened, "graph", "svg")
    assert picture.startswith("<svg")
    assert "var(--" not in picture.split("<title")[0]


def test_nothing_went_wrong_on_the_way(opened: Opened) -> None:
    assert opened.errors == []
    assert opened.foreign_requests == []


def test_dark_paper_redraws_the_graph(opened: Opened) -> None:
    read = "getComputedStyle(document.querySelector('.circuit .kept .mark')).fill"
    light = opened.page.evaluate(read)
    opened.page.get_by_role("button", name="Switch to dark colours").click()
    assert opened.page.evaluate(read) != light
    opened.page.get_by_role("button", name="Switch to light colours").click()
    assert opened.page.evaluate(read) == light
