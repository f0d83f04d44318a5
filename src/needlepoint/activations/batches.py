"""Which texts are run together, and the order in which their rows come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from needlepoint.activations.reduce import Rows


@dataclass(frozen=True, eq=False)
class Batches:
    """All batches of a reading; they follow from the texts alone, wherever a reading is cut."""

    texts: list[list[int]]
    """Numbers of the texts of each batch: like lengths together, longest first."""
    order: Int[Tensor, " example"]
    """Numbers of the rows in the order in which they come."""
    starts: Int[Tensor, " batch"]
    """Where in that order the rows of each batch begin, and one place more: where they end."""

    @classmethod
    def of(cls, ids: Sequence[Sequence[int]], rows: Rows, batch_tokens: int) -> Batches:
        """The batches of some texts, with at most `batch_tokens` tokens, padding included.

        Example:
            >>> found = Batches.of([[1], [1, 2, 3]], Rows.each([[1], [1, 2, 3]]), 64)
            >>> found.texts, found.order, found.starts
            ([[1, 0]], tensor([1, 2, 3, 0]), tensor([0, 4]))
        """
        texts = list(length_batches([len(row) for row in ids], batch_tokens))
        place = np.empty(len(ids), dtype=np.int64)
        place[[text for batch in texts for text in batch]] = np.arange(len(ids))
        placed = place[rows.text.numpy()]
        order = np.argsort(placed, kind="stable")
        ends = np.cumsum([0, *map(len, texts)])
        starts = np.searchsorted(placed[order], ends)
        return cls(texts, torch.from_numpy(order), torch.from_numpy(starts))

    def between(self, start: int, stop: int) -> range:
        """Numbers of the batches that have rows from place `start` to before place `stop`."""
        if start >= stop:
            return range(0)
        starts = self.starts.numpy()
        first = int(np.searchsorted(starts, start, side="right")) - 1
        return range(max(first, 0), min(int(np.searchsorted(starts, stop)), len(self.texts)))

    def rows_of(self, batch: int) -> Int[Tensor, " example"]:
        """Numbers of the rows of one batch, text by text."""
        return self.order[int(self.starts[batch]) : int(self.starts[batch + 1])]


def length_batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Numbers of the texts of each batch: like lengths together, longest first.

    Example:
        >>> list(length_batches([2, 9, 3, 8], 20))
        [[1, 3], [2, 0]]
    """
    order = sorted(range(len(lengths)), key=lambda text: (-lengths[text], text))
    batch: list[int] = []
    for text in order:
        if batch and (len(batch) + 1) * (lengths[batch[0]] + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(text)
    if batch:
        yield batch
