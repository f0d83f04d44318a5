"""One extraction by all workers of a Ray cluster, into one store."""

from __future__ import annotations

from collections import Counter
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


def extract_on_ray(
    cluster: Cluster, source: str, reading: Reading, path: Path, worker: type | None = None
) -> Extraction:
    """The activations of a reading in one store, its blocks computed by all workers side by side.

    The finished files are the same bytes as those of `extract` on as many threads. What is there
    is not computed again: an extraction goes on wherever it was stopped, and a worker that dies
    costs the block it was at.

    Args:
        cluster: Where the workers are.
        source: What each worker loads the model from.
        reading: What is read.
        path: The store's folder, which all workers see under the same name.
        worker: Class of the workers: `ReadingWorker`, or one that loads the model otherwise.

    Raises:
        SourceError: If a block was lost `TRIES` times with the worker at it.
        NeedlepointError: As `extract` does.
    """
    with Crew[int](cluster, worker or ReadingWorker) as crew:
        shared = crew.ray.put(reading)
        for _ in range(TRIES):
            crew.give(0, -1, "begin", source, shared, str(path))
            answer = crew.take()[2]
            if not isinstance(answer, Lost):
                break
        widths = _answer(answer)
        store, lost = Store(path), Counter[int]()
        with Writer(store) as writer:
            left = sorted(set(range(store.layout.blocks)) - store.whole, reverse=True)
            while left or len(crew):
                for number in crew.idle[: len(left)]:
                    block = left.pop()
                    crew.give(number, block, "fill", source, shared, str(path), block)
                _, block, answer = crew.take()
                if isinstance(answer, Lost) and lost[block] < TRIES - 1:
                    lost[block] += 1
                    left.append(block)
                    continue
                _answer(answer)
                writer.commit(block)
    found: Extraction = reading.extraction(store, widths)
    return found


def _answer(answer: Any) -> Any:
    """What a worker answered, if it is no error."""
    if isinstance(answer, Exception):
        raise answer
    if isinstance(answer, Lost):
        raise SourceError(
            f"{TRIES} workers died over the same rows, most often for want of memory: say how much "
            f"a worker needs, or use smaller batches. Ray says: {answer.reason}"
        )
    return answer


class ReadingWorker:
    """Reads activations of the model it holds into blocks of a store."""

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self.model: Model | None = None
        self.store: Store | None = None

    def begin(self, source: str, reading: Reading, path: str) -> Any:
        """Make the store, and say how long its rows are."""
        try:
            model = self.load(source)
            reading.open(model, Path(path))
            return reading.widths(model)
        except Exception as error:
            return error

    def fill(self, source: str, reading: Reading, path: str, block: int) -> Any:
        """Write one block."""
        try:
            model = self.load(source)
            if self.store is None:
                self.store = _same(Store(Path(path)), reading, model)
            start, stop = self.store.layout.span(block)
            writer = BlockWriter(self.store, start, lambda _: None)
            reading.into(writer, model, start, stop)
        except Exception as error:
            return error
        return None

    def load(self, source: str) -> Model:
        """The model, loaded once."""
        if self.model is None:
            self.model = load_model(source, dtype="float32")
        return self.model


def _same(store: Store, reading: Reading, model: Model) -> Store:
    """The store, if this worker would have made it too.

    Raises:
        StoreError: If its model, or what runs it, is another than that of the first worker.
    """
    request = reading.request(model)
    if request.key != store.request.key:
        raise StoreError(
            f"a worker would read something else into {store.path}: "
            f"{store.request.differences(request)}. Let all workers load the same model on the "
            "same kind of device."
        )
    return store
