"""What a command adds to a study: what checks its config beforehand, and what shows its record."""

from __future__ import annotations

from dataclasses import dataclass

from needlepoint.evaluation.case_studies.configs import (
    CompoundsConfig,
    ContextConfig,
    ScalingConfig,
    SuperpositionConfig,
    WeightsConfig,
)
from needlepoint.evaluation.configs import HeadsConfig, NeuronsConfig
from needlepoint.evaluation.dossier.config import DossierConfig
from needlepoint.evaluation.studies import STUDIES


@dataclass(frozen=True)
class StudyCommand:
    """Two functions of one kind of study, by name, and imported when needed."""

    check: str
    """`module:function` of the config that raises before a model is loaded, or empty."""
    show: str
    """`module:function` of the console, run folder and record that prints what was found."""


COMMANDS: dict[type, StudyCommand] = {
    HeadsConfig: StudyCommand(
        check="needlepoint.evaluation.checks:check_heads",
        show="needlepoint.cli.show_circuit:show_circuit",
    ),
    NeuronsConfig: StudyCommand(
        check="needlepoint.evaluation.checks:check_neurons",
        show="needlepoint.cli.show:show_probe",
    ),
    DossierConfig: StudyCommand(
        check="needlepoint.cli.neuron:check_dossier",
        show="needlepoint.cli.neuron:show_dossier",
    ),
    SuperpositionConfig: StudyCommand(
        check="needlepoint.cli.superposition:check_superposition",
        show="needlepoint.cli.superposition:show_superposition",
    ),
    CompoundsConfig: StudyCommand(
        check="needlepoint.cli.superposition:check_compounds",
        show="needlepoint.cli.superposition:show_compounds",
    ),
    ContextConfig: StudyCommand(
        check="needlepoint.cli.context:check_context",
        show="needlepoint.cli.context:show_context",
    ),
    WeightsConfig: StudyCommand(check="", show="needlepoint.cli.weights:show_weights"),
    ScalingConfig: StudyCommand(
        check="needlepoint.cli.scaling:check_scaling",
        show="needlepoint.cli.scaling:show_scaling",
    ),
}


def command_of(kind: str) -> StudyCommand | None:
    """What a command adds to the study that a record is of, if it is known.

    Example:
        >>> command_of("probe").show
        'needlepoint.cli.show:show_probe'
    """
    return next((COMMANDS[config] for config, one in STUDIES.items() if one.kind == kind), None)
