"""Where cells are computed: one model is held, and its cells are run on it one after another."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from needlepoint._core.errors import ModelError, NeedlepointError, StoreBusyError, StoreError
from needlepoint._core.progress import say
from needlepoint.activations.extract import Reading
from needlepoint.evaluation.attempt import attempt
from needlepoint.evaluation.configs import HeadsConfig, NeuronsConfig
from needlepoint.evaluation.grid.cells import Cell
from needlepoint.evaluation.studies import STUDIES, named
from needlepoint.evaluation.study import Study
from needlepoint.models.model import Model
from needlepoint.models.spread import DeviceMap

_PATIENCE = 1.0
"""Seconds between two looks at a store that another process writes."""


@dataclass(frozen=True)
class Job:
    """A cell with all that it takes to compute it anywhere."""

    cell: Cell
    model: str
    """What the model is loaded from."""
    dtype: str
    question: str
    """What the task or the collection is loaded from."""
    source: str = ""
    """What a built-in collection is made from, if not as usual."""
    sha256: str = ""
    """What the loaded model has to say its hash is, if it comes from the hub and was seen."""

    @property
    def config(self) -> HeadsConfig | NeuronsConfig:
        """What the study is asked, with paths as they are on this disk."""
        if isinstance(self.cell.config, HeadsConfig):
            return replace(self.cell.config, task=self.question)
        return replace(self.cell.config, features=self.question, source=self.source)


@dataclass(frozen=True)
class Ended:
    """How one cell ended: its record and tables, not yet written, and the model's card."""

    cell: Cell
    study: Study
    model: dict[str, Any] | None = None
    """Of the model that was loaded; None if none could be."""


class Bench:
    """Holds one model, and loads another when a cell asks for it.

    Args:
        device: Where models are loaded to, as `load_model` takes it.
    """

    def __init__(self, device: str | DeviceMap | None = None) -> None:
        self._device = device
        self._source: tuple[str, str] | None = None
        self._model: Model | NeedlepointError | None = None

    def run(self, job: Job) -> Ended:
        """Compute one cell; whatever goes wrong with it is in its record.

        Raises:
            StorageFullError: If the disk is full.
        """
        cell = job.cell
        study = attempt(cell.name, cell.kind, lambda: self._find_when_free(job))
        record = replace(
            study.record,
            cell=cell.name,
            config=asdict(cell.config),
            place={"threads": torch.get_num_threads()},
        )
        card = self._model.card() if isinstance(self._model, Model) else None
        return Ended(cell, replace(study, record=record), card)

    def _find_when_free(self, job: Job) -> Study:
        """The study, when no other process writes the activations that it reads."""
        told = False
        while True:
            try:
                return self._find(job)
            except StoreBusyError as busy:
                if not told:
                    say(f"{job.cell.name} waits: {busy}")
                told = True
                time.sleep(_PATIENCE)

    def _find(self, job: Job) -> Study:
        model = self._load(job)
        find = named(STUDIES[type(job.config)].find)
        study: Study = find(model, job.config)
        return study

    def reading(self, job: Job) -> tuple[Model, Reading]:
        """What of the store a study of neurons reads, and the model that it is read from.

        Raises:
            NeedlepointError: If the model or the texts cannot be had.
        """
        from needlepoint.evaluation.find_neurons import ask_collection
        from needlepoint.evaluation.read_neurons import cut_to_fit, neuron_reading

        model, config = self._load(job), job.config
        assert isinstance(config, NeuronsConfig)
        return model, neuron_reading(
            model, cut_to_fit(model, ask_collection(config, model.encoder))
        )

    def _load(self, job: Job) -> Model:
        from needlepoint.models.load import load_model

        if self._source != (job.model, job.dtype):
            self._source, self._model = (job.model, job.dtype), None  # the old one goes first
            try:
                self._model = load_model(job.model, dtype=job.dtype, device=self._device)
            except NeedlepointError as error:
                self._model = error
        if isinstance(self._model, NeedlepointError):
            raise ModelError(str(self._model))
        if self._model is None:  # a defect ended its loading before: let it show itself again
            self._source = None
            return self._load(job)
        found = str(self._model.provenance.get("sha256") or "")
        if job.sha256 and found != job.sha256:
            raise StoreError(
                f"the model {job.cell.model} has changed since the run was begun ({found[:16]}, "
                f"before {job.sha256[:16]}): start a new run."
            )
        return self._model
