"""By how much what replaces a writer's term differs from the term, at the positions that count."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint._core.progress import Bar
from needlepoint.circuits.ablation import PairBatch
from needlepoint.circuits.attribution.memory import piece_size
from needlepoint.circuits.graph.terms import heard
from needlepoint.circuits.methods import Question
from needlepoint.models.back_off import BackOff
from needlepoint.models.model import Batch, Model

Answer = TypeVar("Answer")


@dataclass(frozen=True, eq=False)
class Differences:
    """The changes of all writers of a piece of pairs, one row for each position that counts."""

    pairs: PairBatch
    """Without the positions that are padding in every pair."""
    rows: Int[Tensor, " row"]
    """Places among all positions of all pairs, pair by pair."""
    changes: Float[Tensor, "writer row d_model"]
    """The replacement less the writer's own term."""

    @property
    def pair_of(self) -> Int[Tensor, " row"]:
        """The pair that each row belongs to."""
        return self.rows // self.pairs.clean.ids.shape[1]


def differences(question: Question, piece: PairBatch) -> Differences:
    """The changes of all writers on a piece of pairs: one or two passes without gradients.

    Rows where every change is zero, or the gradient of the metric is, are left out: padding, and
    for corrupt prompts what comes before the first token in which they differ from the clean one.

    Args:
        question: Says what replaces terms.
        piece: The pairs; memory is `memory_bytes` for so many.
    """
    model, piece = question.model, trimmed(piece)
    rows = _counted(model, piece, resampled=question.replaced is None)
    shape = (question.graph.n_writers, len(rows), model.shape.d_model)
    changes = torch.empty(shape, dtype=model.dtype, device=model.device)
    if question.replaced is None:
        each_term(model, piece.corrupt, rows, lambda some, term: changes[some].copy_(term))
    else:
        changes.copy_(question.replaced(piece).flatten(0, 1)[rows].movedim(1, 0))
    each_term(model, piece.clean, rows, lambda some, term: changes[some].sub_(term))
    return Differences(piece, rows, changes)


def over_pieces(
    question: Question, label: str, run: Callable[[Differences], Answer], *, copies: int = 1
) -> Iterator[Answer]:
    """What a function makes of the changes, in pieces of a size that keeps memory bounded.

    If memory runs out all the same, a piece is cut smaller and run again.

    Args:
        question: The pairs, and what replaces terms.
        label: What a progress bar calls the work.
        run: The function; it must leave nothing behind when it fails.
        copies: How often the clean prompts go through the model at once.

    Raises:
        MemoryFullError: If one pair alone does not fit into memory.
    """
    pairs, in_parts = question.pairs, BackOff("pairs")

    def run_on(some: Sequence[int]) -> Answer:
        return run(differences(question, pairs.rows(slice(some[0], some[-1] + 1))))

    with Bar(label, total=len(pairs)) as bar:
        for index, piece in pairs.parts(piece_size(question.model, pairs, copies=copies)):
            yield from in_parts(range(index.start, index.stop), run_on)
            bar.advance(len(piece))


def each_term(
    model: Model,
    batch: Batch,
    rows: Int[Tensor, " row"],
    use: Callable[[slice, Float[Tensor, "writer row d_model"]], object],
) -> None:
    """Call a function with the terms of some writers at a time, at some rows of one pass."""
    n_written = 0

    def hear(layer: int, term: Tensor) -> None:
        nonlocal n_written
        n_written = 0 if layer < 0 else n_written
        some = slice(n_written, n_written + term.shape[2])
        n_written = some.stop
        use(some, term.flatten(0, 1)[rows].movedim(1, 0))

    with heard(model, embedding=hear, heads=hear, mlp=hear):
        model.hidden(batch)


def trimmed(piece: PairBatch) -> PairBatch:
    """The same pairs without the positions that are padding in every one of them."""
    width = int(piece.clean.lengths.max())
    clean, corrupt = (
        Batch(batch.ids[:, :width], batch.lengths) for batch in (piece.clean, piece.corrupt)
    )
    return replace(piece, clean=clean, corrupt=corrupt)


def _counted(model: Model, piece: PairBatch, *, resampled: bool) -> Int[Tensor, " row"]:
    counts = piece.clean.mask
    if resampled and model.causal:
        differs = (piece.clean.ids != piece.corrupt.ids) & counts
        counts = counts & (differs.cumsum(1) > 0)
    return counts.flatten().nonzero()[:, 0]
