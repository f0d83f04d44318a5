"""What heads change from clean to corrupt, position by position, beside the stream they write to.

A head's change counts for what it is beside the residual stream it is added to, since every norm
downstream divides by that. Changes are averaged over pairs at each position before their size is
taken, so what differs from pair to pair, such as which name stands there, averages out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError


@dataclass(frozen=True, eq=False)
class HeadChanges:
    """How consistently each head changes from clean to corrupt, and what that does to the answer.

    Nothing here is an effect: no run of the model was changed, and no gradient taken.
    """

    consistent: Float[Tensor, " head"]
    """Squared size of the mean change, clean less corrupt, as a share of the squared size of the
    residual stream after the layer; summed over positions, counted from the end. What independent
    changes with random signs would give is taken off exactly, so it may be below 0."""
    turned: Float[Tensor, " head"]
    """The same with the sign of each pair as its answers have it along the one direction in which
    answers differ most: consistent too where half of the pairs go from "he" to "she"."""
    energy: Float[Tensor, " head"]
    """Mean squared size of the changes in the same units, consistent or not."""
    direct: Float[Tensor, "pair head"] | None
    """By how much each head's change moves the logit difference at the end of the clean prompt
    through the residual stream alone, in logits; None if weights or answers were not at hand."""
    n_pairs: int

    def take_heads(self, heads: Int[Tensor, " head"]) -> HeadChanges:
        """The same for some of the heads, or for all of them in another order."""
        parts = (self.consistent[heads], self.turned[heads], self.energy[heads])
        direct = None if self.direct is None else self.direct[:, heads]
        return HeadChanges(*parts, direct, self.n_pairs)


class ChangeSums:
    """Running sums over pairs that `HeadChanges` is made of; memory does not grow with pairs.

    Example:
        >>> sums = ChangeSums(torch.eye(2)[None])
        >>> change = torch.tensor([[[1.0, 0.0]]])
        >>> for _ in range(2):
        ...     sums.add(change, torch.ones(1, 1), torch.tensor(1.0))
        >>> found = sums.finish(None)
        >>> found.consistent.tolist(), found.energy.tolist()
        ([1.0], [1.0])
    """

    def __init__(self, W_O: Float[Tensor, "head d_head d_model"]) -> None:
        """Start at nothing.

        Args:
            W_O: Output projection of each head.
        """
        self.upper = torch.linalg.qr(W_O.double().mT, mode="r").R
        width = self.upper.shape[1]
        self.sums = torch.zeros(2, 0, len(W_O), width, dtype=torch.float64)
        self.energy = torch.zeros(0, len(W_O), dtype=torch.float64)
        self.n_pairs = 0

    def add(
        self,
        change: Float[Tensor, "pos head d_head"],
        size: Float[Tensor, "pos head"],
        sign: Float[Tensor, ""],
    ) -> None:
        """Take in one pair.

        Args:
            change: z of each head on the clean prompt less that on the corrupt, by position.
            size: Norm of the residual stream that each head has written to, on the clean prompt.
            sign: Which way the pair's answers point, 1 or -1.

        Raises:
            DataError: If a change or a size is not finite, or a size is 0.
        """
        if not bool(torch.isfinite(change).all() & torch.isfinite(size).all() & (size > 0).all()):
            raise DataError(
                f"pair {self.n_pairs + 1} has a change or a residual stream that is not finite, or "
                "is 0: look for an overflow, or load the model in float32."
            )
        written = torch.einsum("phd,hwd->phw", change.double(), self.upper) / size[..., None]
        written = written.flip(0)
        self._reach(len(written))
        self.sums[0, : len(written)] += written
        self.sums[1, : len(written)] += sign * written
        self.energy[: len(written)] += written.square().sum(-1)
        self.n_pairs += 1

    def merge(self, other: ChangeSums) -> None:
        """Take in the pairs of another."""
        self._reach(len(other.energy))
        self.sums[:, : len(other.energy)] += other.sums
        self.energy[: len(other.energy)] += other.energy
        self.n_pairs += other.n_pairs

    def finish(self, direct: Float[Tensor, "pair head"] | None) -> HeadChanges:
        """What the sums come to.

        Raises:
            DataError: If there are fewer than two pairs.
        """
        if self.n_pairs < 2:
            raise DataError(f"there is only {self.n_pairs} pair: give at least 2.")
        apart = self.n_pairs * (self.n_pairs - 1)
        squared = self.sums.square().sum(-1) - self.energy
        consistent, turned = squared.sum(1) / apart
        energy = self.energy.sum(0) / self.n_pairs
        return HeadChanges(consistent, turned, energy, direct, self.n_pairs)

    def _reach(self, n_positions: int) -> None:
        """Make room for longer prompts."""
        more = n_positions - len(self.energy)
        if more > 0:
            self.sums = torch.cat(
                [self.sums, self.sums.new_zeros(2, more, *self.sums.shape[2:])], 1
            )
            self.energy = torch.cat([self.energy, self.energy.new_zeros(more, len(self.upper))])


def answer_signs(directions: Float[Tensor, "pair d_model"]) -> Float[Tensor, " pair"]:
    """Which way each pair points along the direction that the pairs' answers differ most in.

    Where one half asks for "he" and the other for "she", the signs tell the halves apart. Which
    half is positive is arbitrary.

    Example:
        >>> signs = answer_signs(torch.tensor([[2.0, 0.0], [-1.0, 0.1], [3.0, 0.0]]))
        >>> bool(signs[0] == signs[2]), bool(signs[0] == signs[1])
        (True, False)
    """
    leading = torch.linalg.svd(directions.double(), full_matrices=False).Vh[0]
    along = directions.double() @ leading
    return torch.where(along < 0, -1.0, 1.0)
