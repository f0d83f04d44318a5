"""Tables keep figures, intervals and names of neurons on one line, and break longer names."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

INTERVAL = re.compile(r"\([^() ]+ to [^() ]+\)")
LONG = 12
"""Letters of the longest name that is never broken."""
NO_BREAK = "\N{NO-BREAK SPACE}"


def keep_together(app: Sphinx, tree: nodes.document, name: str) -> None:
    """Mark cells of one word by its length, and tie the words of an interval together."""
    for cell in tree.findall(nodes.entry):
        text = cell.astext()
        if " " not in text:
            cell["classes"].append("one-line" if len(text) <= LONG else "long-word")
        if INTERVAL.search(text):
            for part in list(cell.findall(nodes.Text)):
                part.parent.replace(part, nodes.Text(INTERVAL.sub(_tied, part.astext())))


def _tied(found: re.Match[str]) -> str:
    return found[0].replace(" ", NO_BREAK)


def setup(app: Sphinx) -> dict[str, Any]:
    """Listen when a page has been read and linked."""
    app.connect("doctree-resolved", keep_together)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
