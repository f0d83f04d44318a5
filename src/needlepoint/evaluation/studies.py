"""The kinds of study there are: for each kind of config what it is called and what runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from needlepoint.evaluation.case_studies.configs import (
    CompoundsConfig,
    ContextConfig,
    ScalingConfig,
    SuperpositionConfig,
    WeightsConfig,
)
from needlepoint.evaluation.configs import HeadsConfig, NeuronsConfig
from needlepoint.evaluation.dossier.config import DossierConfig


@dataclass(frozen=True)
class StudyKind:
    """How one kind of study is called and run. Functions are named, and imported when needed."""

    part: str
    """Name of its settings in `run.json`."""
    kind: str
    """Kind of its records."""
    question: str
    """Field of the config that says what is asked; it names the cell."""
    find: str
    """`module:function` of the model and the config that returns the `Study`."""

    def subject(self, config: Any) -> str:
        """What the study is about, in a word or two."""
        value = getattr(config, self.question)
        return " ".join(value) if isinstance(value, tuple) else str(value)


STUDIES: dict[type, StudyKind] = {
    HeadsConfig: StudyKind(
        part="heads",
        kind="circuit",
        question="task",
        find="needlepoint.evaluation.find_heads:find_heads",
    ),
    NeuronsConfig: StudyKind(
        part="neurons",
        kind="probe",
        question="features",
        find="needlepoint.evaluation.find_neurons:find_neurons",
    ),
    DossierConfig: StudyKind(
        part="dossier",
        kind="neuron",
        question="neurons",
        find="needlepoint.evaluation.dossier.find:find_dossier",
    ),
    SuperpositionConfig: StudyKind(
        part="superposition",
        kind="superposition",
        question="question",
        find="needlepoint.evaluation.case_studies.superposition:find_superposition",
    ),
    CompoundsConfig: StudyKind(
        part="superposition",
        kind="compounds",
        question="compounds",
        find="needlepoint.evaluation.case_studies.compounds:find_compounds",
    ),
    ContextConfig: StudyKind(
        part="context",
        kind="context",
        question="features",
        find="needlepoint.evaluation.case_studies.context:find_context_neurons",
    ),
    WeightsConfig: StudyKind(
        part="weights",
        kind="weights",
        question="question",
        find="needlepoint.evaluation.case_studies.weights_by_depth:find_weights_by_depth",
    ),
    ScalingConfig: StudyKind(
        part="scaling",
        kind="scaling",
        question="models",
        find="needlepoint.evaluation.case_studies.scaling:compare_models",
    ),
}


def named(path: str) -> Callable[..., Any]:
    """The function at `module:function`, imported now."""
    module, _, name = path.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found
