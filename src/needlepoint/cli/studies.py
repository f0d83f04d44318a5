"""The studies that a command can run: for each kind of config what checks, runs and shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from needlepoint.evaluation.case_studies.configs import (
    ContextConfig,
    ScalingConfig,
    SuperpositionConfig,
    WeightsConfig,
)
from needlepoint.evaluation.configs import HeadsConfig, NeuronsConfig
from needlepoint.evaluation.dossier.config import DossierConfig


@dataclass(frozen=True)
class StudyKind:
    """How one kind of study is run by a command. Functions are named, and imported when needed."""

    part: str
    """Name of its settings in `run.json`."""
    kind: str
    """Kind of its records."""
    question: str
    """Field of the config that says what is asked; it names the cell."""
    check: str
    """`module:function` of the config that raises before a model is loaded, or empty."""
    find: str
    """`module:function` of the model and the config that returns the `Study`."""
    show: str
    """`module:function` of the console, run folder and record that prints what was found."""

    def subject(self, config: Any) -> str:
        """What the study is about, in a word or two."""
        value = getattr(config, self.question)
        return " ".join(value) if isinstance(value, tuple) else str(value)


STUDIES: dict[type, StudyKind] = {
    HeadsConfig: StudyKind(
        part="heads",
        kind="circuit",
        question="task",
        check="needlepoint.cli.checks:check_heads",
        find="needlepoint.evaluation.find_heads:find_heads",
        show="needlepoint.cli.show_circuit:show_circuit",
    ),
    NeuronsConfig: StudyKind(
        part="neurons",
        kind="probe",
        question="features",
        check="needlepoint.cli.checks:check_neurons",
        find="needlepoint.evaluation.find_neurons:find_neurons",
        show="needlepoint.cli.show:show_probe",
    ),
    DossierConfig: StudyKind(
        part="dossier",
        kind="neuron",
        question="neurons",
        check="needlepoint.cli.neuron:check_dossier",
        find="needlepoint.evaluation.dossier.find:find_dossier",
        show="needlepoint.cli.neuron:show_dossier",
    ),
    SuperpositionConfig: StudyKind(
        part="superposition",
        kind="superposition",
        question="question",
        check="needlepoint.cli.superposition:check_superposition",
        find="needlepoint.evaluation.case_studies.superposition:find_superposition",
        show="needlepoint.cli.superposition:show_superposition",
    ),
    ContextConfig: StudyKind(
        part="context",
        kind="context",
        question="features",
        check="needlepoint.cli.context:check_context",
        find="needlepoint.evaluation.case_studies.context:find_context_neurons",
        show="needlepoint.cli.context:show_context",
    ),
    WeightsConfig: StudyKind(
        part="weights",
        kind="weights",
        question="question",
        check="",
        find="needlepoint.evaluation.case_studies.weights_by_depth:find_weights_by_depth",
        show="needlepoint.cli.weights:show_weights",
    ),
    ScalingConfig: StudyKind(
        part="scaling",
        kind="scaling",
        question="models",
        check="needlepoint.cli.scaling:check_scaling",
        find="needlepoint.evaluation.case_studies.scaling:compare_models",
        show="needlepoint.cli.scaling:show_scaling",
    ),
}


def study_of(kind: str) -> StudyKind | None:
    """The kind of study that a record is of, if it is known.

    Example:
        >>> study_of("probe").part
        'neurons'
    """
    return next((study for study in STUDIES.values() if study.kind == kind), None)


def named(path: str) -> Callable[..., Any]:
    """The function at `module:function`, imported now."""
    module, _, name = path.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found
