"""From the positions of a text to rows: mean, max, first, last, over a span or each position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.models.model import Batch

Reduce = Literal["mean", "max", "first", "last"]


@dataclass(frozen=True)
class Rows:
    """Which positions of which text become one row, and how.

    Positions are counted without the first token that the model puts in front, which is never
    part of a row unless a row starts at -1.
    """

    text: Int[Tensor, " example"]
    start: Int[Tensor, " example"]
    end: Int[Tensor, " example"]
    """One past the last position."""
    reduce: Reduce = "mean"

    def __post_init__(self) -> None:
        if self.reduce not in get_args(Reduce):
            raise DataError(f"reduce {self.reduce!r} is not one of {', '.join(get_args(Reduce))}.")
        if bool((self.end <= self.start).any()):
            first = int((self.end <= self.start).nonzero()[0])
            raise DataError(f"row {first} covers no position; its end must lie after its start.")

    def __len__(self) -> int:
        return len(self.text)

    @classmethod
    def of(cls, spans: Int[np.ndarray, "example 3"], reduce: Reduce) -> Rows:
        """Rows from an array of text, start, end."""
        columns = torch.as_tensor(np.asarray(spans), dtype=torch.long)
        return cls(columns[:, 0], columns[:, 1], columns[:, 2], reduce)

    @classmethod
    def whole(
        cls, ids: Sequence[Sequence[int]], reduce: Reduce = "mean", *, first: bool = False
    ) -> Rows:
        """One row for each text, over all of it; `first` adds the first token to it."""
        lengths = torch.tensor([len(row) for row in ids])
        begin = torch.full_like(lengths, -1 if first else 0)
        return cls(torch.arange(len(lengths)), begin, lengths, reduce)

    @classmethod
    def each(cls, ids: Sequence[Sequence[int]]) -> Rows:
        """One row for every position of every text."""
        text = torch.repeat_interleave(
            torch.arange(len(ids)), torch.tensor([len(row) for row in ids])
        )
        start = torch.cat([torch.arange(len(row)) for row in ids])
        return cls(text, start, start + 1, "last")


class Reducer:
    """Turns the activations of one batch into the rows that lie in it.

    Means, first and last positions are one weighted sum, so they cost one pass over the
    activation; nothing of the size of the activation is allocated.
    """

    def __init__(self, rows: Rows, here: Tensor, place: Tensor, batch: Batch, shift: int) -> None:
        """Prepare for the rows numbered `here`, whose texts stand at `place` in the batch."""
        device = batch.ids.device
        self.reduce = rows.reduce
        self.place = place.to(device)
        self.start = rows.start[here].to(device) + shift
        self.end = rows.end[here].to(device) + shift
        self.positions = torch.arange(batch.ids.shape[1], device=device)
        one_each = torch.equal(self.place, torch.arange(batch.ids.shape[0], device=device))
        self.weights = self._weights() if one_each and rows.reduce == "mean" else None

    def __call__(self, activation: Float[Tensor, "batch pos ..."]) -> Float[Tensor, "span ..."]:
        """Rows of this batch, in the order in which they were numbered."""
        self._follow(activation.device)
        flat = activation.reshape(*activation.shape[:2], -1)
        return self._reduced(flat).reshape(len(self.place), *activation.shape[2:])

    def _follow(self, device: torch.device) -> None:
        """Go where the layer is, in a model whose layers are on several devices."""
        if self.place.device != device:
            self.place, self.start = self.place.to(device), self.start.to(device)
            self.end, self.positions = self.end.to(device), self.positions.to(device)
            self.weights = None if self.weights is None else self.weights.to(device)

    def _reduced(self, flat: Tensor) -> Tensor:
        if self.weights is not None:
            return torch.bmm(self.weights[:, None].to(flat.dtype), flat)[:, 0]
        if self.reduce == "first":
            return flat[self.place, self.start]
        if self.reduce == "last" or bool((self.end - self.start == 1).all()):
            return flat[self.place, self.end - 1]
        return torch.stack([self._span(flat, row) for row in range(len(self.place))])

    def _span(self, flat: Tensor, row: int) -> Tensor:
        span = flat[self.place[row], self.start[row] : self.end[row]]
        return span.amax(0) if self.reduce == "max" else span.float().mean(0).to(flat.dtype)

    def _weights(self) -> Tensor:
        inside = (self.positions >= self.start[:, None]) & (self.positions < self.end[:, None])
        return inside / inside.sum(1, keepdim=True)
