"""Docstrings read as they were written: stars and bars outside backquotes are no markup."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

_ATTRIBUTES: dict[str, list[str]] = {}
"""What stands under attributes, by name, until napoleon is done."""


def plain(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Escape what reStructuredText would take for emphasis, substitutions or links."""
    in_example = False
    for place, line in enumerate(lines):
        in_example = line.lstrip().startswith(">>>") or (in_example and bool(line.strip()))
        if not in_example:
            lines[place] = "".join(_escaped(part) for part in re.split(r"(`[^`]*`)", line))
    if what in ("attribute", "property", "data"):
        _ATTRIBUTES[name] = list(lines)


def kept(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Words of an attribute before a colon are words, and no type, as napoleon has it."""
    if name in _ATTRIBUTES:
        lines[:] = _ATTRIBUTES.pop(name)


def _escaped(part: str) -> str:
    """The part with marks escaped; not at the end of the name of an attribute, before a colon."""
    return (
        part if part.startswith("`") else re.sub(r"([*|])|(?<=\w)_(?=[^\w:]|$)", r"\\\g<0>", part)
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Listen before napoleon does, and after it."""
    app.connect("autodoc-process-docstring", plain, priority=100)
    app.connect("autodoc-process-docstring", kept, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
