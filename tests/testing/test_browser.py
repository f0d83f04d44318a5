"""Finding a browser, and saying what to do where there is none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from needlepoint.testing import browser


def test_a_missing_browser_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(browser.BrowserError, match="run 'sudo apt-get install chromium'"):
        browser.find_browser(install=False)


def test_root_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def which(name: str) -> str | None:
        return f"/usr/bin/{name}" if ran or name == "apt-get" else None

    monkeypatch.setattr(shutil, "which", which)
    monkeypatch.setattr(browser.os, "geteuid", lambda: 0)
    monkeypatch.setattr(browser.subprocess, "run", lambda command, **_: ran.append(command))
    assert browser.find_browser() == "/usr/bin/chromium"
    assert ran[-1] == ["apt-get", "install", "-y", "chromium"]


def test_requests_that_leave_the_machine_are_told_apart() -> None:
    opened = browser.Opened(page=None, requests=["file:///a", "data:,", "blob:x", "https://a.b/c"])  # type: ignore[arg-type]
    assert opened.foreign_requests == ["https://a.b/c"]


@pytest.mark.journey
def test_errors_on_a_page_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("<script>console.error('one'); throw new Error('two')</script>")
    with browser.open_page(path) as opened:
        opened.page.wait_for_timeout(100)
        assert any("one" in error for error in opened.errors)
        assert any("two" in error for error in opened.errors)


@pytest.mark.journey
def test_waiting_in_vain_says_for_what(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("<p>hello</p>")
    with browser.open_page(path) as opened:
        opened.wait_until("document.body")
        with pytest.raises(browser.BrowserError, match=r"does not satisfy window\.never"):
            opened.wait_until("window.never", seconds=0.1)
