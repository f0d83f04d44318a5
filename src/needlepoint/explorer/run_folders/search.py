"""Heads and neurons of all runs that a few words ask for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from needlepoint._core.errors import DataError, NeedlepointError
from needlepoint.explorer.run_folders.library import Library, Run
from needlepoint.explorer.run_folders.units import Unit, units_of

MOST = 200
"""Rows that are shown."""
LONGEST = 200
"""Characters of a query."""
_WHOLE = re.compile(r"(L\d{1,4}\.[HN]\d{1,6})(?:\.Z)?")
_SITE = re.compile(r"L\d+(\.[HN]\d*)?|[HN]\d+", re.IGNORECASE)


@dataclass(frozen=True)
class Hit:
    """A unit that was asked for, and where it was found."""

    run: str
    cell: str
    kind: str
    model: str
    unit: Unit


@dataclass(frozen=True)
class Found:
    """What a search gives."""

    hits: tuple[Hit, ...]
    total: int
    """How many there are, shown or not."""
    unread: tuple[str, ...] = ()
    """Runs that could not be read, one sentence each."""


def search(
    library: Library, query: str, *, kind: str = "", run: str = "", most: int = MOST
) -> Found:
    """Units whose site, subject, run or verdict has every word of a query, the strongest first.

    Within one measure the largest values come first, whatever their sign; heads that matter and
    chosen neurons come before the others.

    Args:
        library: Where to look.
        query: Words apart by spaces. One like `L12.N345`, `L3.H5`, `L3`, `H5` or `L3.H` is a site
            or the beginning of one; any other is looked for in names and verdicts.
        kind: `head`, `neuron`, or both if empty.
        run: Name of one run; all if empty.
        most: Units to return.

    Raises:
        DataError: If the query is too long.
    """
    if len(query) > LONGEST:
        raise DataError(f"a search of {len(query)} characters is too long; give up to {LONGEST}.")
    words = query.split()
    hits: list[Hit] = []
    unread: list[str] = []
    for one in library.runs():
        if run and one.id != run:
            continue
        try:
            hits += [hit for hit in _hits(one) if _wanted(hit, words, kind)]
        except (NeedlepointError, KeyError, TypeError, ValueError) as error:
            unread.append(f"{one.id} was left out: {error}")
    hits.sort(key=_order)
    return Found(tuple(hits[:most]), len(hits), tuple(unread))


def site_in(query: str) -> str:
    """The first word of a query that names one neuron or head; empty if none does.

    Example:
        >>> site_in("french l12.n345"), site_in("L12 H3")
        ('L12.N345', '')
    """
    found = (_WHOLE.fullmatch(word.upper()) for word in query.split())
    return next((match[1] for match in found if match), "")


def put_forward(library: Library, site: str) -> bool:
    """Whether any run says something of a neuron or head."""
    return search(library, site, most=1).total > 0


def is_head(site: str) -> bool:
    """Whether a site is a head.

    Example:
        >>> is_head("L3.H5"), is_head("L12.N345")
        (True, False)
    """
    return ".H" in site


def _hits(run: Run) -> list[Hit]:
    folder = run.folder
    model = str((folder.header.get("model") or {}).get("name", ""))
    return [
        Hit(run.id, record.cell, record.kind, model, unit)
        for record in folder.records()
        for unit in units_of(run, record)
    ]


def _wanted(hit: Hit, words: Sequence[str], kind: str) -> bool:
    if kind and kind != ("head" if is_head(hit.unit.site) else "neuron"):
        return False
    return all(_matches(hit, word) for word in words)


def _matches(hit: Hit, word: str) -> bool:
    site = hit.unit.site.upper()
    if _SITE.fullmatch(word):
        word = word.upper()
        if word[0] != "L":
            return site.endswith(f".{word}")
        return (
            site == word
            or (not word[-1].isdigit() and site.startswith(word))
            or ("." not in word and site.startswith(f"{word}."))
        )
    text = f"{hit.unit.subject} {hit.run} {hit.cell} {hit.unit.note} {hit.model}".lower()
    return word.lower() in text


def _order(hit: Hit) -> tuple[bool, str, float]:
    value = hit.unit.value
    return (
        not hit.unit.note.startswith(("matters", "chosen")),
        hit.unit.measure,
        -abs(value or 0.0),
    )
