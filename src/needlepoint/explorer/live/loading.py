"""A model that is being loaded while the pages over runs can be read already."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from needlepoint._core.errors import ModelError, NeedlepointError
from needlepoint.explorer.questions import (
    CodebookCard,
    Contrast,
    LiveService,
    SiteCard,
    TextAnswer,
    TextQuestion,
)


class LoadingModel:
    """Answers as the model does that it loads; the first answers wait for it.

    Example:
        >>> def broken():
        ...     raise ModelError("there is no such model.")
        >>> LoadingModel(broken, "x").card()
        Traceback (most recent call last):
        needlepoint._core.errors.ModelError: there is no such model.
    """

    def __init__(self, load: Callable[[], LiveService], source: str) -> None:
        self.source = source
        self._load = load
        self._live: LiveService | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def card(self) -> Mapping[str, Any]:
        """What the model is.

        Raises:
            NeedlepointError: If it could not be loaded, here and in the methods below.
        """
        return self._loaded().card()

    def answer(self, question: TextQuestion) -> TextAnswer:
        """Look at a text."""
        return self._loaded().answer(question)

    def site(self, name: str) -> SiteCard:
        """A neuron or head by its name, if the model has it."""
        return self._loaded().site(name)

    def example(self, task: str, number: int) -> tuple[str, Contrast]:
        """A prompt of a built-in task, and what it is held against."""
        return self._loaded().example(task, number)

    def fit_codebook(self, task: str) -> CodebookCard:
        """Fit a discrete dictionary on the prompts of a built-in task."""
        return self._loaded().fit_codebook(task)

    def _run(self) -> None:
        try:
            self._live = self._load()
        except Exception as error:  # told to whoever asks
            self._error = error

    def _loaded(self) -> LiveService:
        self._thread.join()
        if isinstance(self._error, NeedlepointError):
            raise self._error
        if self._live is None:
            raise ModelError(f"{self.source} could not be loaded: {self._error}.")
        return self._live
