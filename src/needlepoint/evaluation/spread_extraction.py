"""One extraction by all workers of a Ray cluster, into one store."""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch

from needlepoint._core.errors import SourceError, StoreError
from needlepoint.activations.extract import Extraction, Reading
from needlepoint.activations.store import Store
from needlepoint.activations.writer import BlockWriter, Writer
from needlepoint.evaluation.on_ray import TRIES, Cluster, Crew, Lost
from needlepoint.models.load import load_model
from needlepoint.models.model import Model
from needlepoint.models.spread import device_here


def extract_on_ray(
    cluster: Cluster, source: str, reading: Reading, path: Path | str, worker: type | None = None
) -> Extraction:
    """The activations of a reading in one store, its blocks computed by all workers side by side.

    The finished files are the same bytes as those of `extract` on as many threads. What is there
    is not computed again: an extraction goes on wherever it was stopped, and a worker that dies
    costs the block it was at.

    Args:
        cluster: Where the workers are.
        source: What each worker loads the model from.
        reading: What is read.
        path: The store's folder, which all workers see under the same name, or its URL in object
            storage.
        worker: Class of the workers: `ReadingWorker`, or one that loads the model otherwise.

    Raises:
        SourceError: If a block was lost `TRIES` times with the worker at it.
        NeedlepointError: As `extract` does.
    """
    with Crew[int](cluster, worker or ReadingWorker, source, reading, str(path)) as crew:
        widths = _begun(crew)
        with Filling(path) as filling:
            while not filling.done:
                for number in crew.idle:
                    if (block := filling.take()) is not None:
                        crew.give(number, block, "fill", block)
                if (taken := crew.take()) is None:
                    continue
                _, block, answer = taken
                if isinstance(answer, Lost):
                    filling.lost(block, answer)
                else:
                    _answer(answer)
                    filling.wrote(block)
    found: Extraction = reading.extraction(filling.store, widths)
    return found


def _begun(crew: Crew[int]) -> Any:
    """Have some worker make the store; how long its rows are."""
    tries = 0
    while True:
        if crew.idle and not len(crew):
            crew.give(crew.idle[0], -1, "begin")
        if (taken := crew.take()) is None:
            continue
        tries += 1
        if not isinstance(taken[2], Lost) or tries == TRIES:
            return _answer(taken[2])


class Filling(AbstractContextManager["Filling"]):
    """A store whose blocks are given out to be written: which are left, and which are whole.

    While it is open no one else may say what is whole.

    Args:
        path: Where the store is; it has been made.

    Raises:
        StoreError: If it is not there, or damaged, or on entering, if it has another writer.
    """

    def __init__(self, path: Path | str) -> None:
        self.store = Store(path)
        self._writer = Writer(self.store)
        self._left: list[int] = []
        self._out: set[int] = set()
        self._lost = Counter[int]()

    def __enter__(self) -> Filling:
        self._writer.__enter__()
        missing = set(range(self.store.layout.blocks)) - self.store.whole
        self._left = sorted(missing, reverse=True)
        return self

    def __exit__(self, *error: Any) -> None:
        self._writer.__exit__(*error)

    @property
    def done(self) -> bool:
        """Whether nothing is left and nothing is being written."""
        return not self._left and not self._out

    def take(self) -> int | None:
        """A block that no one is at; None if there is none."""
        if not self._left:
            return None
        block = self._left.pop()
        self._out.add(block)
        return block

    def wrote(self, block: int) -> None:
        """Say that a block is whole."""
        self._out.remove(block)
        self._writer.commit(block)

    def lost(self, block: int, lost: Lost) -> None:
        """Say that the worker at a block died: it is left once more.

        Raises:
            SourceError: If that has happened `TRIES` times.
        """
        self._out.remove(block)
        self._lost[block] += 1
        if self._lost[block] == TRIES:
            raise _gave_up(lost)
        self._left.append(block)

    def give_up(self, block: int) -> None:
        """Say that a block cannot be written, so that no other need be."""
        self._out.remove(block)
        self.abandon()

    def abandon(self) -> None:
        """Give out no more blocks; those that are out may still come."""
        self._left.clear()


def _answer(answer: Any) -> Any:
    """What a worker answered, if it is no error."""
    if isinstance(answer, Exception):
        raise answer
    if isinstance(answer, Lost):
        raise _gave_up(answer)
    return answer


def _gave_up(lost: Lost) -> SourceError:
    return SourceError(
        f"{TRIES} workers died over the same rows, most often for want of memory: say how much "
        f"a worker needs, or use smaller batches. Ray says: {lost.reason}"
    )


class Filler:
    """Writes blocks of a store that lies somewhere, by a model that is at hand.

    Args:
        path: Where the store is.
        reading: What it is made of.
        model: Must be the one that the store was begun with.

    Raises:
        StoreError: If the model, or what runs it, is another.
    """

    def __init__(self, path: Path | str, reading: Reading, model: Model) -> None:
        self.store, self.reading, self.model = Store(path), reading, model
        request = reading.request(model)
        if request.key != self.store.request.key:
            raise StoreError(
                f"a worker would read something else into {self.store.place}: "
                f"{self.store.request.differences(request)}. Let all workers load the same model "
                "on the same kind of device."
            )

    def fill(self, block: int) -> None:
        """Write one block; whoever gave it out has to say that it is whole."""
        start, stop = self.store.layout.span(block)
        writer = BlockWriter(self.store, start, lambda _: None)
        self.reading.into(writer, self.model, start, stop)


class ReadingWorker:
    """Reads activations of the model it holds into blocks of a store."""

    def __init__(self, threads: int, source: str, reading: Reading, path: str) -> None:
        torch.set_num_threads(threads)
        self.source, self.reading, self.path = source, reading, path
        self.model: Model | None = None
        self.filler: Filler | None = None

    def begin(self) -> Any:
        """Make the store, and say how long its rows are."""
        try:
            model = self.load()
            self.reading.open(model, self.path)
            return self.reading.widths(model)
        except Exception as error:
            return error

    def fill(self, block: int) -> Any:
        """Write one block."""
        try:
            self.filler = self.filler or Filler(self.path, self.reading, self.load())
            self.filler.fill(block)
        except Exception as error:
            return error
        return None

    def load(self) -> Model:
        """The model, loaded once."""
        if self.model is None:
            self.model = load_model(self.source, dtype="float32", device=device_here())
        return self.model
