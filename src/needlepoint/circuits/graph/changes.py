"""By how much the replacement of each writer differs from what it wrote, and mixtures of these.

A reader with cut edges sees the stream and, on top of it, the changes of the writers it is cut off
from. Most circuits cut nearly all edges or nearly none: the sum over the writers concerned is
taken over these alone, or over all writers less those that are kept.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


class Changes:
    """Changes of the writers of some copies of some pairs, in the order in which they write.

    Args:
        replaced: What each writer is replaced by.
        n_copies: Copies of the pairs that go through the model together.
        below: Changes of the first writers, the same in all copies, where a run resumes above them.
    """

    def __init__(
        self,
        replaced: Float[Tensor, "pair pos writer d_model"],
        n_copies: int,
        below: Float[Tensor, "unit pair pos d_model"] | None = None,
    ) -> None:
        self._replaced = replaced.movedim(2, 0)
        self._n_copies = n_copies
        self._below = self._replaced[:0] if below is None else below
        self._own: Tensor | None = None
        self.start()

    @property
    def resumes(self) -> bool:
        """Whether the first writers do not run again."""
        return len(self._below) > 0

    def start(self) -> None:
        """Forget all that was written since the first writers."""
        self._n_written = len(self._below)
        self._parts: list[Tensor] = []

    def add(self, term: Float[Tensor, "example pos node d_model"]) -> None:
        """Take note of what the next writers wrote."""
        some = slice(self._n_written, self._n_written + term.shape[2])
        shaped = term.reshape(self._n_copies, -1, *term.shape[1:]).movedim(3, 1)
        self._n_written = some.stop
        if torch.is_grad_enabled():
            self._parts.append(self._replaced[some] - shaped)
            return
        first = len(self._below)
        if self._own is None:
            n = len(self._replaced) - first
            self._own = term.new_empty(self._n_copies, n, *self._replaced.shape[1:])
        torch.sub(
            self._replaced[some], shaped, out=self._own[:, some.start - first :][:, : term.shape[2]]
        )

    def mixed(
        self, cut: Float[Tensor, "copy writer reader"]
    ) -> Float[Tensor, "copy reader pair pos d_model"]:
        """The sum of the changes of the first so many writers, each as far as it is cut."""
        shape = (len(cut), cut.shape[2], *self._replaced.shape[1:])
        if torch.is_grad_enabled():
            return self._smooth(cut).reshape(shape)
        first = len(self._below)
        own = self._replaced[None, :0] if self._own is None else self._own
        found = [
            _sum_of([(self._below, one[:first]), (rows, one[first:])])
            for rows, one in zip(own.expand(len(cut), *own.shape[1:]), cut, strict=True)
        ]
        return torch.stack(found).reshape(shape)

    def _smooth(self, cut: Tensor) -> Tensor:
        """The same, differentiable in the changes and in the cut."""
        if len(self._parts) > 1:
            self._parts = [torch.cat(self._parts, dim=1)]
        below = self._below.expand(len(cut), *self._below.shape)
        whole = torch.cat([below, *self._parts], dim=1)[:, : cut.shape[1]]
        return cut.mT @ whole.flatten(2)


def _sum_of(parts: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The sum of what the writers of some stretches give to each reader, `[reader entry]`."""
    found = [weighted_rows(rows[: len(cut)].flatten(1), cut) for rows, cut in parts if len(cut)]
    return torch.stack(found).sum(0) if len(found) > 1 else found[0]


def weighted_rows(
    rows: Float[Tensor, "writer entry"], weight: Float[Tensor, "writer reader"]
) -> Float[Tensor, "reader entry"]:
    """`weight.T @ rows`, reading as few rows as possible where most weights are 0, or 1.

    Example:
        >>> weight = torch.tensor([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> weighted_rows(torch.tensor([[1.0], [2.0], [4.0]]), weight).tolist()
        [[7.0], [5.0]]
    """
    some, rest = ((weight != value).any(1).nonzero()[:, 0] for value in (0, 1))
    if min(len(some), len(rest)) > len(rows) // 2:
        return weight.T @ rows
    if len(some) <= len(rest):
        return weight[some].T @ rows[some]
    kept = (1 - weight[rest]).T @ rows[rest]
    return rows.sum(0) - kept
