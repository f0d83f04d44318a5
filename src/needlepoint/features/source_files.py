"""Source files that published packages carry, read out of their archives and never run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from needlepoint._core.archives import members
from needlepoint._core.packages import Package
from needlepoint.features.packaged_texts import at_most
from needlepoint.features.windows import ClassText

MIN_CHARACTERS = 300
MAX_CHARACTERS = 24_000
LONGEST_LINE = 300
FILES_PER_LANGUAGE = 96

SKIPPED = re.compile(
    r"\.output$|\.tmpl\.|[.-](?:min|rtl)\.|/(vendor|vendored|locale|i18n|migrations|messages|node_modules)/|jquery(-ui)?\.(js|css)$"
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
    "xml": r"|<\?xml.*?\?>|<!--.*?-->",
    "php": r"|<\?php\b" + _SLASH + _HASH,
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


def read_sources(sources: Iterable[Source], archives: Mapping[Package, Path]) -> list[ClassText]:
    """The files to use from all packages that were had.

    Of each language at most 96 files are taken, the projects taking turns. Which ones depends
    on the packages alone, not on any seed.

    Raises:
        SourceError: If a package is damaged.
    """
    had = [source for source in sources if source.package in archives]
    files = [file for source in had for file in files_of(source, archives[source.package])]
    return at_most(files, FILES_PER_LANGUAGE)


def files_of(source: Source, archive: Path) -> list[ClassText]:
    """The usable files of one archive.

    Raises:
        SourceError: If the archive cannot be read.
    """
    found = []
    for path, content in members(archive, lambda name: source.language(name) is not None):
        language = source.language(path)
        text = usable_text(content, language or "")
        if language and text:
            inside = path.partition("/")[2] if source.package.kind in ("sdist", "npm") else path
            project = source.package.name
            found.append(ClassText(project, f"{project}/{inside}", language, text))
    return found


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
