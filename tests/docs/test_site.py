"""The built documentation: strict, whole, and it asks no one else for anything."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytestmark = pytest.mark.journey

FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "object": "data"}
LINKS_FETCHED = {"stylesheet", "icon", "preload", "prefetch", "modulepreload", "preconnect"}


class Tags(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))


def pages(site: Path) -> Iterator[tuple[Path, Tags]]:
    for path in sorted(site.rglob("*.html")):
        yield path, Tags(path.read_text(encoding="utf-8"))


def fetched(tags: Tags) -> Iterator[str]:
    """What a browser loads by itself when it opens the page."""
    for tag, attributes in tags.found:
        if tag in FETCHED and attributes.get(FETCHED[tag]):
            yield attributes[FETCHED[tag]]
        if tag == "link" and LINKS_FETCHED & set(attributes.get("rel", "").split()):
            yield attributes.get("href", "")


def is_foreign(address: str) -> bool:
    return bool(urlsplit(address).netloc)


def test_a_foreign_address_would_be_seen() -> None:
    text = '<link rel="stylesheet" href="//x.org/a.css"><script src="https://x.org/a.js"></script>'
    assert [is_foreign(one) for one in fetched(Tags(text))] == [True, True]
    assert not any(is_foreign(one) for one in fetched(Tags('<a href="https://x.org">x</a>')))


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    found = {(path.name, one) for path, tags in pages(site) for one in fetched(tags)}
    assert len(found) > 50
    assert not [one for one in found if is_foreign(one[1])]
    for sheet in site.rglob("*.css"):
        named = re.findall(r"(?:url\(|@import)\s*['\"]?([^'\")\s;]+)", sheet.read_text("utf-8"))
        assert not [one for one in named if is_foreign(one)], sheet


def test_every_file_and_page_that_is_linked_is_there(site: Path) -> None:
    missing = []
    for path, tags in pages(site):
        links = [attributes.get("href", "") for tag, attributes in tags.found if tag == "a"]
        for address in [*links, *fetched(tags)]:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc or not parts.path:
                continue
            if not (path.parent / unquote(parts.path)).exists():
                missing.append((path.name, address))
    assert not missing


def test_formulas_are_there_without_a_script(site: Path) -> None:
    text = (site / "methods" / "optimal_probes.html").read_text(encoding="utf-8")
    assert text.count("<math ") >= 5
    means = (site / "methods" / "faithfulness.html").read_text(encoding="utf-8")
    assert means.count('<mrow class="mean">') == 4, "bars that do not grow with what they are over"
    scripts = [attributes.get("src", "") for tag, attributes in Tags(text).found if tag == "script"]
    assert not [one for one in scripts if "math" in one.lower()]
    for page in (site / "methods").glob("*.html"):
        words = re.sub(r"<[^>]*>", " ", page.read_text(encoding="utf-8"))
        assert not re.search(r"\$\$|\\(frac|sum|lVert|operatorname)\b", words), page.name


SOURCE = Path(__file__).parents[2] / "src" / "needlepoint"
PACKAGES = ("", "tasks", "features", "probing", "report", "report/figures")
PACKAGES += ("circuits/attribution", "circuits/search")
"""Folders whose `__init__` says in `__all__` what is public."""


def public_names(folder: str) -> set[str]:
    """What `__all__` lists, read and not imported: the libraries behind it take seconds to load."""
    tree = ast.parse((SOURCE / folder / "__init__.py").read_text("utf-8"))
    lists = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    return set(ast.literal_eval(lists[0]))


def test_the_reference_has_every_public_name_and_the_shapes(site: Path) -> None:
    text = "".join(page.read_text("utf-8") for page in (site / "reference").glob("*.html"))
    anchors = set(re.findall(r'id="needlepoint(?:\.[a-z_]+)*\.([A-Za-z_]+)"', text))
    public = set().union(*map(public_names, PACKAGES)) - {"__version__"}
    assert len(public) > 70
    assert not public - anchors
    words = unescape(re.sub(r"<[^>]*>", "", text))
    assert "acts (Float[Tensor, 'example neuron'])" in words
