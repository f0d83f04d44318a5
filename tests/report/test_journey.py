"""The page in a real browser, opened from the disk as a reader would."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Literal

import pytest

from needlepoint.testing.browser import Opened, open_page

pytestmark = [pytest.mark.journey, pytest.mark.usefixtures("chromium")]


@pytest.fixture(scope="module")
def opened(page: Path) -> Iterator[Opened]:
    """One reader, who goes on with the page as the test before has left it."""
    with open_page(page, width=1280) as found:
        yield found


@contextmanager
def seen(
    opened: Opened, *, width: int = 1280, colours: Literal["light", "dark"] = "light"
) -> Iterator[None]:
    """The same page on another screen, for a while."""
    opened.page.set_viewport_size({"width": width, "height": 900})
    opened.page.emulate_media(color_scheme=colours)
    try:
        yield
    finally:
        opened.page.evaluate("document.documentElement.removeAttribute('data-theme')")
        opened.page.emulate_media(color_scheme="light")
        opened.page.set_viewport_size({"width": 1280, "height": 900})


def draw_everything(opened: Opened) -> None:
    opened.page.evaluate("document.querySelectorAll('details.card').forEach(d => d.open = true)")
    opened.page.evaluate("needlepoint.drawAll()")


def first_id(opened: Opened, ending: str) -> str:
    found = opened.page.locator(f"[data-figure$='{ending}']").first.get_attribute("data-figure")
    assert found is not None
    return found


def test_the_page_is_quiet_and_complete(opened: Opened, sample: ModuleType) -> None:
    draw_everything(opened)
    drawn = opened.page.evaluate(
        "Array.from(document.querySelectorAll('.plot'))"
        ".map(p => [p.id, p.querySelectorAll('.overplot path, .overplot image').length])"
    )
    assert len(drawn) >= 25
    assert [name for name, marks in drawn if marks == 0] == []
    shown = opened.page.inner_text("main")
    for token in sample.NASTY:
        if token.isascii() and token.isprintable():
            assert token in shown
    assert "<b>Shell</b> & co" in (opened.page.text_content("[data-figure$='-overview']") or "")
    assert opened.page.evaluate("window.pwned") is None
    assert opened.errors == []
    assert opened.foreign_requests == []
    usable, figures = (
        opened.page.evaluate(f"performance.getEntriesByName('{name}')[0].startTime")
        for name in ("interactive", "figures")
    )
    print(f"\ninteractive after {usable:.0f} ms, {len(drawn)} figures ready after {figures:.0f} ms")
    assert usable < figures < 15_000


def test_the_menu_changes_the_figure(opened: Opened) -> None:
    block = first_id(opened, "-scores")
    place = opened.page.locator(f"#{block}-plot")
    place.scroll_into_view_if_needed()
    opened.wait_until(f"document.getElementById('{block}-plot').data")
    read = f"JSON.stringify(document.getElementById('{block}-plot').data[0].z)"
    before, title = opened.page.evaluate(read), place.get_attribute("aria-label")
    opened.page.select_option(f"[data-choose='{block}']", label="random scores")
    opened.wait_until(f"{read} !== {json.dumps(before)}")
    assert place.get_attribute("aria-label") != title
    assert "random scores" in opened.page.inner_text(f"#{block} [data-title]")


def test_what_is_said_under_a_figure_is_of_the_choice_that_is_shown(opened: Opened) -> None:
    draw_everything(opened)
    changed = []
    for choose in opened.page.locator("select[data-choose]").all():
        block = choose.get_attribute("data-choose")
        words = f"document.querySelectorAll('#{block} details.words dd')"
        said = []
        for option in (choose.locator("option").all()[0], choose.locator("option").all()[-1]):
            choose.select_option(option.get_attribute("value"), force=True)
            said.append(opened.page.evaluate(f"Array.from({words}, d => d.textContent)"))
        if not said[1]:
            continue
        kept = opened.page.evaluate(f"document.getElementById('data-{block}').textContent")
        last = json.loads(kept)[-1]["words"]
        assert said[1] == [last[part] for part in ("shows", "read", "limits")]
        changed += [block] if said[0] != said[1] else []
    assert changed, "some choices are of another measure"


def test_tables_sort_by_keyboard_and_unfold(opened: Opened) -> None:
    table = opened.page.locator(".tablebox[id$='-headtable']")
    assert table.locator("tbody tr:visible").count() == 10
    table.get_by_role("button", name="effect (logits)").focus()
    opened.page.keyboard.press("Enter")
    values = table.locator("tbody tr:visible td:nth-child(2)").all_inner_texts()
    assert values[0].startswith("0.84")
    opened.page.keyboard.press("Enter")
    values = table.locator("tbody tr:visible td:nth-child(2)").all_inner_texts()
    assert values[0].startswith("\u22122.31")
    assert table.locator("th").nth(1).get_attribute("aria-sort") == "ascending"
    table.get_by_role("button", name="show all 270").click()
    assert table.locator("tbody tr:visible").count() == 270
    assert table.locator("tbody tr td:nth-child(2)").last.inner_text() == "not defined"


def download(opened: Opened, block: str, kind: str) -> str:
    box = opened.page.locator(f"#{block}")
    opened.unfold(box.locator(".numbers").first)
    with opened.page.expect_download() as waiting:
        box.get_by_role("button", name=kind, exact=True).click()
    return Path(waiting.value.path()).read_text(encoding="utf-8")


def test_downloads_hold_the_drawn_numbers(opened: Opened) -> None:
    block = first_id(opened, "-map")
    opened.page.locator(f"#{block}-plot").scroll_into_view_if_needed()
    opened.wait_until(f"document.getElementById('{block}-plot').data")
    drawn = opened.page.evaluate(f"document.getElementById('{block}-plot').data[0].z")
    rows = list(csv.DictReader(io.StringIO(download(opened, block, "CSV"))))
    assert len(rows) == 270
    for row in rows:
        shown = drawn[int(row["layer"])][int(row["head"])]
        if row["effect"] == "":
            assert shown is None
        else:
            assert shown == pytest.approx(float(row["effect"]), rel=1e-4)
    data = json.loads(download(opened, block, "JSON"))
    assert data["columns"][:4] == ["layer", "head", "site", "effect"]
    assert len(data["rows"]) == 270


def test_excerpts_download_tokens_exactly(opened: Opened, sample: ModuleType) -> None:
    draw_everything(opened)
    opened.unfold(opened.page.locator(".excerpts .numbers").first)
    with opened.page.expect_download() as waiting:
        opened.page.locator(".excerpts [data-download=csv]").first.click()
    text = Path(waiting.value.path()).read_bytes().decode("utf-8")
    tokens = {row["token"] for row in csv.DictReader(io.StringIO(text, newline=""))}
    assert set(sample.NASTY) - {"\x00"} <= tokens


def test_dark_and_light_follow_the_reader_and_the_button(opened: Opened) -> None:
    with seen(opened, colours="dark"):
        block = first_id(opened, "-map")
        opened.page.locator(f"#{block}-plot").scroll_into_view_if_needed()
        opened.wait_until(f"document.getElementById('{block}-plot').data")
        paper = "getComputedStyle(document.body).backgroundColor"
        ink = f"document.getElementById('{block}-plot').layout.font.color"
        dark = opened.page.evaluate(paper), opened.page.evaluate(ink)
        opened.page.get_by_role("button", name="Switch to light colours").click()
        opened.wait_until(f"{ink} !== {json.dumps(dark[1])}")
        assert opened.page.evaluate(paper) != dark[0]
        opened.page.get_by_role("button", name="Switch to dark colours").click()
        opened.wait_until(f"{ink} === {json.dumps(dark[1])}")
        assert opened.page.evaluate(paper) == dark[0]
        assert opened.errors == []


def test_a_narrow_screen_needs_no_sideways_scrolling(opened: Opened) -> None:
    with seen(opened, width=390):
        draw_everything(opened)
        widths = opened.page.evaluate(
            "[document.documentElement.scrollWidth, document.body.scrollWidth]"
        )
        assert max(widths) <= 390
        assert opened.errors == []


def test_pointing_at_a_token_shows_its_activation(opened: Opened) -> None:
    token = opened.page.locator(".t").nth(3)
    token.scroll_into_view_if_needed()
    token.hover()
    assert opened.page.locator("#tip").inner_text() == token.get_attribute("data-r")


def test_print_is_complete_and_on_light_paper(opened: Opened) -> None:
    closed = "document.querySelectorAll('details.card').forEach((d, n) => d.open = n === 0)"
    opened.page.evaluate(closed)
    with seen(opened, colours="dark"):
        opened.page.emulate_media(media="print", color_scheme="dark")
        opened.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        paper = "getComputedStyle(document.body).backgroundColor"
        assert opened.page.evaluate(paper) == "rgb(255, 255, 255)"
        assert opened.page.locator("details.card:not([open])").count() == 0
        assert opened.page.locator(".toc").is_hidden()
        opened.page.emulate_media(media="screen", color_scheme="dark")
        opened.page.evaluate("window.dispatchEvent(new Event('afterprint'))")
        assert opened.page.evaluate(paper) == "rgb(16, 19, 22)"
        assert opened.page.locator("details.card[open]").count() == 1, "as it was before"
        assert opened.page.locator(".onpaper").count() == 0
