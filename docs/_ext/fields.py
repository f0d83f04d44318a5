"""The fields of a dataclass are listed once, below it, each with its type and what it says."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

_DATACLASSES: set[str] = set()
"""Full names of the dataclasses that were met."""


def noted(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Remember a dataclass by its full name."""
    if what == "class" and is_dataclass(obj):
        _DATACLASSES.add(name)


def said_once(app: Sphinx, domain: str, kind: str, content: nodes.Element) -> None:
    """Forget the types of the arguments of a dataclass before a list of them is made."""
    if domain == "py" and kind == "class" and content.parent is not None:
        signature = content.parent[0]
        name = f"{signature.get('module')}.{signature.get('fullname')}"
        if name in _DATACLASSES:
            app.env.current_document.autodoc_annotations.pop(name, None)


def setup(app: Sphinx) -> dict[str, bool]:
    """Listen before the types are written into the descriptions."""
    app.connect("autodoc-process-docstring", noted)
    app.connect("object-description-transform", said_once, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
