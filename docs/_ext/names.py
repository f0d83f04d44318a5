"""A directive that lists what is registered under a name: `{names} RANKINGS`."""

from __future__ import annotations

from importlib import import_module

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

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


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directive."""
    app.add_directive("names", Names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
