"""Documents of the Pile from an un-gated copy on the hub."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from needlepoint.features.hub import HubData, hub_rows

PILE = HubData("monology/pile-uncopyrighted", "terms of each document", split="test")
"""The Pile without the parts that were taken down, its test split; `zstandard` unpacks it."""
MOST = 200_000
"""No more documents are looked at."""


def pile_documents(*, subset: str | None = None, n: int) -> Iterator[tuple[str, str]]:
    """Name and text of the first documents, of one subset or of all.

    Args:
        subset: Name of a part as the Pile spells it, `ArXiv` for instance.
        n: At most so many documents.

    Raises:
        SourceError: If the data set cannot be had.
    """
    rows = enumerate(hub_rows(PILE, at_most=MOST))
    found = (
        (f"pile/{number}", row["text"])
        for number, row in rows
        if subset in (None, row["meta"]["pile_set_name"])
    )
    yield from islice(found, n)
