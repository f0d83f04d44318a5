"""The kinds of record that a page can show: what lays each out, and what its parts are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from needlepoint.report.blocks import FigureBlock, Numbers, PanelBlock, TableBlock
from needlepoint.report.circuit_section import circuit_section
from needlepoint.report.compounds_section import compounds_section
from needlepoint.report.context_section import context_section
from needlepoint.report.neuron_section import neuron_section
from needlepoint.report.probe_section import probe_section
from needlepoint.report.scaling_section import scaling_section
from needlepoint.report.superposition_section import superposition_section
from needlepoint.report.tables import CellTables
from needlepoint.report.weights_section import weights_section


@runtime_checkable
class SectionBody(Protocol):
    """What the template of one kind of record is given."""

    @property
    def blocks(self) -> Sequence[FigureBlock | TableBlock | PanelBlock | Numbers]:
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
            ("circuit", "What is the circuit?"),
            ("patterns", "What do its heads look at?"),
            ("methods", "Which method finds them?"),
            ("edges", "Which edges?"),
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
    "neuron": SectionKind(
        "Dossier", "neuron.html", neuron_section, (("neurons", "The neurons, one by one"),)
    ),
    "superposition": SectionKind(
        "Superposition",
        "study.html",
        superposition_section,
        (
            ("sum", "A few neurons together"),
            ("firing", "What else they fire on"),
            ("basis", "Are neurons special?"),
            ("pruning", "How often is it held?"),
        ),
    ),
    "compounds": SectionKind(
        "Superposition over compounds",
        "study.html",
        compounds_section,
        (
            ("windows", "The sum against one neuron"),
            ("tokens", "Every token, in other windows too"),
            ("basis", "Are neurons special?"),
            ("pruning", "How often is it held?"),
        ),
    ),
    "context": SectionKind(
        "Context neurons",
        "study.html",
        context_section,
        (
            ("neurons", "Which neuron tells each class?"),
            ("tokens", "Is it on throughout?"),
            ("ablation", "Does it do anything?"),
            ("effects", "Which next tokens change?"),
        ),
    ),
    "weights": SectionKind(
        "Weights",
        "study.html",
        weights_section,
        (("norm", "Input norm times bias"), ("others", "Norms and angles")),
    ),
    "scaling": SectionKind(
        "Scaling",
        "study.html",
        scaling_section,
        (
            ("curve", "Does F1 rise with size?"),
            ("sparsity", "Are features sparser?"),
            ("differences", "Do models differ?"),
            ("features", "Every feature"),
        ),
    ),
}
