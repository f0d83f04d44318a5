"""Directives that list what the code itself knows: `{names} RANKINGS`, and `{axes}`."""

from __future__ import annotations

from importlib import import_module

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from needlepoint._core.axes import AXES

HOMES = {
    "RANKINGS": "needlepoint.probing.ranking_methods",
    "SELECTORS": "needlepoint.probing.selectors",
    "HEAD_SCORES": "needlepoint.circuits.scores",
    "CIRCUIT_METHODS": "needlepoint.circuits.registered",
}


class Names(Directive):
    """A list of names with what the code itself says of each; none can be forgotten."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """One entry for each name."""
        registry = getattr(import_module(HOMES[self.arguments[0]]), self.arguments[0])
        found = nodes.definition_list()
        for name in registry:
            entry = registry[name]
            control = " (control)" if getattr(entry, "control", False) else ""
            term = nodes.term("", "", nodes.literal(text=name), nodes.Text(f" {entry.label}"))
            text = f"{entry.description.rstrip('.')}.{control}"
            said = nodes.definition("", nodes.paragraph(text=text[0].upper() + text[1:]))
            found += nodes.definition_list_item("", term, said)
        return [found]


class Axes(Directive):
    """The words that shapes are spelled with, in order of the alphabet."""

    def run(self) -> list[nodes.Node]:
        """One entry for each word."""
        found = nodes.definition_list()
        for word in sorted(AXES):
            said = nodes.definition(
                "", nodes.paragraph(text=f"{AXES[word][0].upper()}{AXES[word][1:]}.")
            )
            found += nodes.definition_list_item(
                "", nodes.term("", "", nodes.literal(text=word)), said
            )
        return [found]


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directives."""
    app.add_directive("names", Names)
    app.add_directive("axes", Axes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
