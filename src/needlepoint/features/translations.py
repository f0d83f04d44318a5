"""Paragraphs of translated help pages and messages, without what was left in English."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from needlepoint._core.archives import members
from needlepoint._core.errors import SourceError
from needlepoint.features.windows import ClassText

MIN_CHARACTERS = 300
MIN_WORDS = 4
ENGLISH = "en"

_BLOCKS = ("title", "desc", "p")
"""Elements of a page of help that hold running text."""
_MARKUP = re.compile(r"</?[a-zA-Z][^<>]*>")


def help_pages(archive: Path, languages: Mapping[str, str], *, group: str) -> list[ClassText]:
    """Pages of help in the Mallard format, one document for each page and language.

    A paragraph that is word for word that of the English page was not translated, and is left
    out. Names of authors and translators are no paragraphs.

    Args:
        archive: A package with pages under `help/FOLDER/BOOK/`.
        languages: The language of each such folder.
        group: Where the documents are said to be from.

    Raises:
        SourceError: If the archive is damaged.
    """
    pages: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for path, content in members(archive, lambda name: name.endswith(".page")):
        folder, book, page = PurePosixPath(path).parts[-3:]
        if folder in languages:
            name = f"{book}/{page.removesuffix('.page')}"
            pages[name][languages[folder]] = page_paragraphs(content)
    return list(_translated(pages, group))


def page_paragraphs(content: bytes) -> list[str]:
    """The paragraphs of four words or more of a page of help; none if it cannot be parsed.

    Example:
        >>> page_paragraphs(b"<page><title>Help</title><p>Hold  <key>A</key> down now.</p></page>")
        ['Hold A down now.']
    """
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError:
        return []
    found = []
    for element in root.iter():
        if isinstance(element.tag, str) and element.tag.rpartition("}")[2] in _BLOCKS:
            found.append(" ".join("".join(element.itertext()).split()))
    return [paragraph for paragraph in found if len(paragraph.split()) >= MIN_WORDS]


def message_files(archive: Path, languages: Mapping[str, str], *, group: str) -> list[ClassText]:
    """Files of messages, `PAGE/LANGUAGE.json`: one document for each page and language.

    A message that is word for word the English one was not translated, and is left out, as are
    those of fewer than four words.

    Raises:
        SourceError: If the archive is damaged.
    """
    pages: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for path, content in members(archive, lambda name: name.endswith(".json")):
        parts = PurePosixPath(path)
        if parts.stem in languages and len(parts.parts) > 2:
            try:
                record = json.loads(content)
            except ValueError as error:
                raise SourceError(
                    f"{archive} is damaged ({path}: {error}); remove it and try again."
                ) from error
            pages[parts.parent.name][languages[parts.stem]] = messages(record)
    return list(_translated(pages, group))


def messages(record: Mapping[str, object]) -> list[str]:
    """The messages of a file that are sentences, without marks of HTML.

    Those that begin with a place to be filled in, such as `{name}`, are mostly lists of names.

    Example:
        >>> messages({"title": "Help", "body": "Click <b>here</b> to go on.", "n": 3})
        ['Click here to go on.']
    """
    texts = (value for value in record.values() if isinstance(value, str))
    plain = (" ".join(_MARKUP.sub("", text).split()) for text in texts)
    return [text for text in plain if len(text.split()) >= MIN_WORDS and text[0] != "{"]


def _translated(
    pages: Mapping[str, Mapping[str, Iterable[str]]], group: str
) -> Iterator[ClassText]:
    """The documents that are long enough once what is still English is gone."""
    for page, by_language in sorted(pages.items()):
        english = set(by_language.get(ENGLISH, ()))
        for language, paragraphs in sorted(by_language.items()):
            own = [each for each in paragraphs if language == ENGLISH or each not in english]
            text = "\n".join(dict.fromkeys(own))
            if len(text) >= MIN_CHARACTERS:
                yield ClassText(group, f"{group}/{page}.{language}", language, text)
