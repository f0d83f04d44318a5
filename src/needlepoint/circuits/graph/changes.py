"""By how much the replacement of each writer differs from what it wrote, and mixtures of these.

A reader with cut edges sees the stream and, on top of it, the changes of the writers it is cut off
from. Most circuits cut nearly all edges or nearly none: the sum over the writers concerned is
taken over these alone, or over all writers less those that are kept; the sum over all is carried
on from reader to reader.

Every reader reads the changes of all writers before it. Autograd would keep them anew for each of
them; here they are kept once, and their gradients are added up in one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from needlepoint.models.products import product


class Changes:
    """Changes of the writers of some copies of some pairs, in the order in which they write.

    Args:
        replaced: What each writer is replaced by.
        n_copies: Copies of the pairs that go through the model together.
        below: Changes of the first writers, the same in all copies, where a run resumes above them.
        below_sum: Their sum, where it is known.
    """

    def __init__(
        self,
        replaced: Float[Tensor, "pair pos writer d_model"],
        n_copies: int,
        below: Float[Tensor, "unit pair pos d_model"] | None = None,
        below_sum: Float[Tensor, "pair pos d_model"] | None = None,
    ) -> None:
        self._replaced = replaced.movedim(2, 0)
        self._n_copies = n_copies
        self._below = self._replaced[:0] if below is None else below
        self._below_sum = below_sum
        self._own = replaced.new_empty(0)
        self._told: Tensor | None = None
        self.gradient: Tensor | None = None
        self.start()

    @property
    def resumes(self) -> bool:
        """Whether the first writers do not run again."""
        return len(self._below) > 0

    def start(self) -> None:
        """Forget all that was written since the first writers."""
        self._n_written = len(self._below)
        self._told = None
        known = (0, self._below.new_zeros(()))
        if self._below_sum is not None:
            known = len(self._below), self._below_sum.flatten()
        self._totals = [known] * self._n_copies
        if torch.is_grad_enabled() or not len(self._own):
            n = len(self._replaced) - len(self._below)
            self._own = self._replaced.new_empty(self._n_copies, n, *self._replaced.shape[1:])
        self.gradient = None

    def finish(self) -> None:
        """Nothing more is written or mixed; gradients may still be taken.

        The token leads to the graph of autograd, which leads back here: Python's collector does not
        see that ring, and all that was kept for the gradients would stay.
        """
        self._told = None

    def add(self, term: Float[Tensor, "example pos unit d_model"]) -> None:
        """Take note of what the next writers wrote."""
        stop = self._n_written + term.shape[2]
        some, self._n_written = slice(self._n_written, stop), stop
        self._told = _Write.apply(term, self._told, self, some)  # type: ignore[no-untyped-call]

    def write(self, term: Tensor, some: slice) -> None:
        """Put the changes of some writers where they belong."""
        shaped = term.reshape(self._n_copies, -1, *term.shape[1:]).movedim(3, 1)
        torch.sub(self._replaced[some], shaped, out=self._own[:, self._place(some)])

    def mixed(
        self, cut: Float[Tensor, "resample writer reader"]
    ) -> Float[Tensor, "resample reader pair pos d_model"]:
        """The sum of the changes of the first so many writers, each as far as it is cut."""
        shape = (len(cut), cut.shape[2], *self._replaced.shape[1:])
        found: Tensor = _Mix.apply(cut, self._told, self)  # type: ignore[no-untyped-call]
        return found.reshape(shape)

    def sums(self, cut: Tensor) -> Float[Tensor, "resample reader value"]:
        """The same, of what stands there now."""
        found = [self._sum(copy, weight) for copy, weight in enumerate(cut)]
        return found[0][None] if len(found) == 1 else torch.stack(found)

    def _sum(self, copy: int, weight: Float[Tensor, "writer reader"]) -> Tensor:
        some, rest = ((weight != value).any(1) for value in (0, 1))
        parts, n_some, n_rest = self._rows(copy, len(weight)), int(some.sum()), int(rest.sum())
        if n_rest < min(n_some, len(weight) // 2):
            return self._total(copy, len(weight)) - weighted_rows(parts, 1 - weight, rest)
        return weighted_rows(parts, weight, some if n_some < len(weight) // 2 else None)

    def _total(self, copy: int, n: int) -> Float[Tensor, " value"]:
        """The sum of the first `n` changes, from where it was last asked for."""
        first, total = self._totals[copy]
        if n < first:
            first, total = 0, total.new_zeros(())
        for rows in self._rows(copy, n, first):
            total = total + rows.sum(0)
        self._totals[copy] = n, total
        return total

    def take_gradient(self, given: Tensor, cut: Tensor) -> Float[Tensor, "resample writer reader"]:
        """Add to the gradients of the changes that were mixed, and return that of the cut."""
        if self.gradient is None:
            self.gradient = torch.zeros_like(self._own)
        first, found = len(self._below), torch.empty_like(cut)
        for copy, weight in enumerate(cut):
            parts = self._rows(copy, len(weight))
            found[copy] = torch.cat([product(rows, given[copy].T) for rows in parts])
            own = self.gradient[copy, : max(0, len(weight) - first)].flatten(1)
            own.addmm_(weight[first:], given[copy])
        return found

    def gradient_of(self, some: slice) -> Float[Tensor, "example pos unit d_model"]:
        """The gradient of what some writers wrote, once all that read it is accounted for."""
        assert self.gradient is not None
        return self.gradient[:, self._place(some)].movedim(1, 3).flatten(0, 1).neg()

    def _place(self, some: slice) -> slice:
        first = len(self._below)
        return slice(some.start - first, some.stop - first)

    def _rows(self, copy: int, n: int, first: int = 0) -> list[Tensor]:
        """Changes of the writers from `first` to `n` of one copy, in one or two stretches."""
        n_below = len(self._below)
        own = self._own[copy, max(0, first - n_below) : max(0, n - n_below)]
        return [part.flatten(1) for part in (self._below[first:n], own) if len(part)]


class _Write(torch.autograd.Function):
    """Notes what was written; returns a token that stands for all that has been so far."""

    @staticmethod
    def forward(
        ctx: Any, term: Tensor, before: Tensor | None, changes: Changes, some: slice
    ) -> Tensor:
        ctx.changes, ctx.some, ctx.follows = changes, some, before is not None
        changes.write(term, some)
        return term.new_zeros(())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, token: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        return ctx.changes.gradient_of(ctx.some), token if ctx.follows else None, None, None


class _Mix(torch.autograd.Function):
    """Mixes what was written; its gradient goes to the cut, and is noted for the writers."""

    @staticmethod
    def forward(ctx: Any, cut: Tensor, told: Tensor | None, changes: Changes) -> Tensor:
        ctx.save_for_backward(cut)
        ctx.changes = changes
        ctx.told = told is not None
        return changes.sums(cut)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor, Tensor | None, None]:
        (cut,) = ctx.saved_tensors
        token = given.new_zeros(()) if ctx.told else None
        return ctx.changes.take_gradient(given, cut), token, None


def weighted_rows(
    parts: Sequence[Float[Tensor, "_ value"]],
    weight: Float[Tensor, "writer reader"],
    which: Bool[Tensor, " writer"] | None = None,
) -> Float[Tensor, "reader value"]:
    """`weight.T` times the rows of all parts, or only those of some writers.

    Example:
        >>> parts = [torch.tensor([[1.0], [2.0]]), torch.tensor([[4.0]])]
        >>> weight = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 3.0]])
        >>> weighted_rows(parts, weight).tolist()
        [[7.0], [12.0]]
        >>> weighted_rows(parts, weight, torch.tensor([False, True, True])).tolist()
        [[6.0], [12.0]]
    """
    found: Tensor | None = None
    first = 0
    for rows in parts:
        own = slice(first, first + len(rows))
        first = own.stop
        share = weight[own]
        if which is not None:
            share, rows = share[which[own]], rows[which[own]]
        read = product(share.T, rows)
        found = read if found is None else found.add_(read)
    assert found is not None
    return found
