"""The kinds of record that a page can show: what lays each out, and what its parts are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from needlepoint.report.blocks import FigureBlock, Numbers, TableBlock
from needlepoint.report.circuit_section import circuit_section
from needlepoint.report.probe_section import probe_section
from needlepoint.report.tables import CellTables


@runtime_checkable
class SectionBody(Protocol):
    """What the template of one kind of record is given."""

    @property
    def blocks(self) -> Sequence[FigureBlock | TableBlock | Numbers]:
        """All pieces that give up numbers."""


@dataclass(frozen=True)
class SectionKind:
    """How records of one kind are shown."""

    words: str
    """What stands before the name of a cell."""
    template: str
    """A template with a macro `show(section)`."""
    lay_out: Callable[[str, Mapping[str, Any], CellTables], SectionBody]
    contents: tuple[tuple[str, str], ...]
    """Anchors below the section, without the section's own name, and their titles."""


SECTIONS: dict[str, SectionKind] = {
    "circuit": SectionKind(
        "Heads",
        "circuit.html",
        circuit_section,
        (
            ("behaviour", "Does the model do it?"),
            ("heads", "Which heads matter?"),
            ("methods", "Which method finds them?"),
            ("faithfulness", "Are they enough?"),
        ),
    ),
    "probe": SectionKind(
        "Neurons",
        "probe.html",
        probe_section,
        (
            ("features", "Single neurons"),
            ("curves", "How many neurons?"),
            ("depth", "At what depth?"),
            ("neurons", "The neurons themselves"),
        ),
    ),
}
