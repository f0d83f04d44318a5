"""A browser for tests of pages: the system's Chromium, watched for errors and requests."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from needlepoint._core.errors import NeedlepointError

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
)
LOCAL = ("file:", "data:", "blob:")


class BrowserError(NeedlepointError):
    """No browser to test pages with."""


@dataclass
class Opened:
    """A page in a browser, and what it has done so far."""

    page: Page
    errors: list[str] = field(default_factory=list)
    """Messages of level error on the console, and exceptions that nothing caught."""

    requests: list[str] = field(default_factory=list)
    """Every address that was asked for."""

    def wait_until(self, expression: str, *, seconds: float = 20.0) -> None:
        """Wait until a JavaScript expression holds on the page; its content policy may be strict.

        Args:
            expression: Asked again every 50 ms.
            seconds: How long to wait at most.

        Raises:
            BrowserError: If it still does not hold; the message has the expression.
        """
        end = time.monotonic() + seconds
        while not self.page.evaluate(f"Boolean({expression})"):
            if time.monotonic() > end:
                raise BrowserError(
                    f"after {seconds} s the page still does not satisfy {expression}."
                )
            self.page.wait_for_timeout(50)

    def unfold(self, details: Locator, *, tries: int = 5) -> None:
        """Open a `<details>` element by its summary, again if the page moved under the click.

        Figures are drawn as they come into view and may push what stands below them.

        Raises:
            BrowserError: If it does not stay open.
        """
        for _ in range(tries):
            if details.get_attribute("open") is not None:
                return
            details.locator("> summary").click()
            self.page.wait_for_timeout(50)
        if details.get_attribute("open") is None:
            raise BrowserError("a menu of the page does not open when its summary is clicked.")

    @property
    def foreign_requests(self) -> list[str]:
        """Requests that would have left this machine; a self-contained page has none."""
        return [url for url in self.requests if not url.startswith(LOCAL)]


def find_browser(*, install: bool = True) -> str:
    """Path of a Chromium on this system.

    Where there is none and the process is root on Debian, it is installed with `apt-get`.

    Args:
        install: Whether it may be installed.

    Raises:
        BrowserError: If there is none and it could not be installed; the message says how to.
    """
    found = _on_path()
    if found is None and install and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["apt-get", "update"], ["apt-get", "install", "-y", "chromium"]):
            subprocess.run(command, capture_output=True, check=False)
        found = _on_path()
    if found is None:
        raise BrowserError(
            "the tests of pages need the browser Chromium: run 'sudo apt-get install chromium'."
        )
    return found


@contextmanager
def open_page(
    path: Path,
    *,
    width: int = 1280,
    height: int = 900,
    colours: Literal["light", "dark"] = "light",
) -> Iterator[Opened]:
    """Open a local page in a fresh browser profile; it is closed at the end.

    Args:
        path: The HTML file, opened as `file://`.
        width: Of the window, in CSS pixels.
        height: Of the window, in CSS pixels.
        colours: What the reader's system prefers.

    Raises:
        BrowserError: If there is no browser.
    """
    from playwright.sync_api import sync_playwright

    executable = find_browser()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        try:
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=colours
            )
            opened = Opened(context.new_page())
            _watch(opened)
            opened.page.goto(path.resolve().as_uri())
            yield opened
        finally:
            browser.close()


def _on_path() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def _watch(opened: Opened) -> None:
    def on_console(message: object) -> None:
        if getattr(message, "type", "") == "error":
            opened.errors.append(str(getattr(message, "text", message)))

    opened.page.on("console", on_console)
    opened.page.on("pageerror", lambda error: opened.errors.append(str(error)))
    opened.page.on("request", lambda request: opened.requests.append(request.url))
