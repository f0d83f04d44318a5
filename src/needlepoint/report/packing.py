"""Large pages kept small: what is not looked at yet is compressed inside the page."""

from __future__ import annotations

import base64
import gzip

from markupsafe import Markup

from needlepoint.report.text import island

LARGE = 2_500_000
"""Characters of figures and numbers from which a page is packed."""
SHORT = 2_000
"""Characters below which packing gains nothing."""


def packed(text: str) -> str:
    """A text as base64 of gzip, the same every time; the page's script undoes it.

    Example:
        >>> unpacked(packed("ab" * 99)) == "ab" * 99, len(packed("ab" * 999)) < 99
        (True, True)
    """
    squeezed = gzip.compress(text.encode("utf-8"), compresslevel=6, mtime=0)
    return base64.b64encode(squeezed).decode("ascii")


def unpacked(text: str) -> str:
    """The text that `packed` was given."""
    return gzip.decompress(base64.b64decode(text)).decode("utf-8")


def packed_islands(islands: list[tuple[str, object]]) -> list[tuple[str, str, Markup]]:
    """Name, media type and text of each island; long ones of a large page are compressed."""
    written = [(name, island(value)) for name, value in islands]
    large = sum(len(text) for _, text in written) > LARGE
    return [
        (name, "application/gzip", Markup(packed(text)))
        if large and len(text) > SHORT
        else (name, "application/json", Markup(text))
        for name, text in written
    ]
