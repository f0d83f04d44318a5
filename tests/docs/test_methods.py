"""Every registered method is explained on a page of its own kind."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

METHODS = Path(__file__).parents[2] / "docs" / "methods"
PAGES = {path.name: path.read_text(encoding="utf-8") for path in METHODS.glob("*.md")}
HOMES = {
    "RANKINGS": "needlepoint.probing.ranking_methods",
    "SELECTORS": "needlepoint.probing.selectors",
    "HEAD_SCORES": "needlepoint.circuits.scores",
    "CIRCUIT_METHODS": "needlepoint.circuits.registered",
}


@pytest.mark.parametrize("registry", HOMES)
def test_every_registered_name_is_explained(registry: str) -> None:
    names = list(getattr(import_module(HOMES[registry]), registry))
    assert len(names) >= 5
    text = "".join(page for name, page in PAGES.items() if name != "index.md")
    assert not [name for name in names if f"`{name}`" not in text]


def test_a_name_that_nobody_explains_would_be_seen() -> None:
    assert "`nothing_of_the_kind`" not in "".join(PAGES.values())


@pytest.mark.parametrize("page", sorted(set(PAGES) - {"index.md"}))
def test_each_page_says_what_it_costs_and_when_it_fails(page: str) -> None:
    for part in ("**Idea", "**Cost.**", "**When it fails.**", "$$"):
        assert part in PAGES[page] or (part == "$$" and "| $" in PAGES[page]), part


@pytest.mark.parametrize("page", sorted(set(PAGES) - {"index.md"}))
def test_each_page_can_be_found(page: str) -> None:
    assert f"\n{page.removesuffix('.md')}\n" in PAGES["index.md"]
