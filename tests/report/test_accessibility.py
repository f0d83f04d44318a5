"""The page can be used by everyone: axe finds nothing to object to, in light and in dark."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe

from needlepoint.testing.browser import Opened, open_page

pytestmark = [pytest.mark.journey, pytest.mark.usefixtures("chromium")]

ARTEFACTS = "NEEDLEPOINT_SCREENSHOTS"
"""Names a folder in which pictures of the page are left; nothing is left if it is not set."""


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


@pytest.mark.parametrize(("colours", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing(page: Path, colours: Literal["light", "dark"], width: int) -> None:
    with open_page(page, width=width, colours=colours) as opened:
        assert objections(opened) == []
        assert opened.errors == []
        assert opened.foreign_requests == []
        if folder := os.environ.get(ARTEFACTS):
            path = Path(folder) / f"report-{colours}-{width}.png"
            opened.page.screenshot(path=path, full_page=True)


def test_axe_objects_where_there_is_reason_to(page: Path) -> None:
    with open_page(page) as opened:
        opened.page.evaluate("document.getElementById('theme').removeAttribute('aria-label')")
        opened.page.evaluate("document.getElementById('theme').textContent = ''")
        found = Axe().run(opened.page, context="#theme")
        assert [one["id"] for one in found.response["violations"]] == ["button-name"]
