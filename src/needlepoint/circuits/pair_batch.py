"""Clean and corrupt prompts as a model is given them, and what is measured on their next token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.metric import Divergence, Measure
from needlepoint.models.model import Batch, Model

CHUNK = 32


@dataclass(frozen=True)
class PairBatch:
    """Clean prompts and their corrupt counterparts, position by position, on the model's device."""

    clean: Batch
    corrupt: Batch
    answers: Measure
    """What is measured on the next token: the task's answers, or the divergence from clean."""
    positions: Mapping[str, Int[Tensor, " pair"]] = field(default_factory=dict)
    """Named positions of each pair, counted as the model sees them: any first token is one."""

    def __post_init__(self) -> None:
        if not torch.equal(self.clean.lengths, self.corrupt.lengths):
            raise DataError(
                "clean and corrupt prompts must be of equal token length, pair by pair."
            )

    def __len__(self) -> int:
        return len(self.answers)

    def rows(self, index: slice | Tensor) -> PairBatch:
        """Some of the pairs, in the order of the index."""
        return PairBatch(
            self.clean.rows(index),
            self.corrupt.rows(index),
            self.answers.rows(index),
            {name: where[index] for name, where in self.positions.items()},
        )

    def spread(self, n: int) -> PairBatch:
        """So many of the pairs, taken evenly from first to last: they are sorted by length."""
        places = torch.linspace(0, len(self) - 1, min(n, len(self))).round().long()
        return self.rows(places.to(self.clean.ids.device))

    def parts(self, size: int = CHUNK) -> Iterator[tuple[slice, PairBatch]]:
        """The pairs in pieces, so that memory does not grow with their number."""
        for start in range(0, len(self), size):
            index = slice(start, min(start + size, len(self)))
            yield index, self.rows(index)

    def trimmed(self) -> PairBatch:
        """The same without the positions that are padding in every pair."""
        width = int(self.clean.lengths.max())
        clean, corrupt = (
            Batch(batch.ids[:, :width], batch.lengths) for batch in (self.clean, self.corrupt)
        )
        return replace(self, clean=clean, corrupt=corrupt)

    def swapped(self) -> PairBatch:
        """The same with clean called corrupt and corrupt called clean; the answers stay."""
        return replace(self, clean=self.corrupt, corrupt=self.clean)

    @property
    def first_difference(self) -> Int[Tensor, " pair"]:
        """First position at which the two prompts differ; the last one where they do not."""
        differs = (self.clean.ids != self.corrupt.ids) & self.clean.mask
        return torch.where(differs.any(1), differs.int().argmax(1), self.clean.last)

    def position(self, name: str) -> Int[Tensor, " pair"]:
        """A named position of each pair.

        Raises:
            DataError: If there is none of that name; the message lists those there are.
        """
        if name not in self.positions:
            known = ", ".join(self.positions) or "none"
            raise DataError(f"no position is called {name!r} here; the named ones are: {known}.")
        return self.positions[name]


def from_clean(model: Model, pairs: PairBatch) -> PairBatch:
    """The same pairs, judged by how far each prediction is from that of the clean prompt.

    The reference is the whole next-token distribution of the model as it is, so no answers are
    needed: the metric of the clean prompts is 0, and an ablation can only raise it.
    """
    with torch.no_grad():
        logits = [model.last_logits(piece.clean) for _, piece in pairs.parts()]
    return replace(pairs, answers=Divergence(torch.cat(logits)))


def clean_metric(model: Model, pairs: PairBatch) -> Float[Tensor, " pair"]:
    """The metric of each pair on its clean prompt."""
    return corrupt_metric(model, pairs.swapped())


def corrupt_metric(model: Model, pairs: PairBatch) -> Float[Tensor, " pair"]:
    """The metric of each pair on its corrupt prompt, where every head and every MLP is corrupt."""
    with torch.no_grad():
        found = [piece.answers(model.last_logits(piece.corrupt)) for _, piece in pairs.parts()]
    return torch.cat(found).cpu()
