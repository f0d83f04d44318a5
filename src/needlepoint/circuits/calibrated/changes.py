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
from needlepoint.circuits.calibrated.change_rows import ChangeRows


@dataclass(frozen=True, eq=False)
class HeadChanges:
    """How consistently each head changes from clean to corrupt, and what that does to the answer.

    Nothing here is an effect: no run of the model was changed, and no gradient taken.
    """

    consistent: Float[Tensor, " head"]
    """Squared size of the mean change, clean less corrupt, as a share of the squared size of the
    residual stream after the layer, both with the gains of the norm that reads the stream next;
    summed over positions, counted from the end. What independent changes with random signs would
    give is taken off exactly, so it may be below 0."""
    turned: Float[Tensor, " head"]
    """The same with the sign of each pair as its answers have it along the one direction in which
    answers differ most, times the share of their differences that lies along it: all of it where
    half of the pairs go from "he" to "she", little where each pair has answers of its own."""
    energy: Float[Tensor, " head"]
    """Mean squared size of the changes in the same units, consistent or not."""
    direct: Float[Tensor, "pair head"] | None
    """By how much each head's change moves the logit difference at the end of the clean prompt
    through the residual stream alone, in logits; None if weights or answers were not at hand."""
    n_pairs: int
    answer: Float[Tensor, " pair"] | None = None
    """By how much the logit difference itself changes from clean to corrupt, in logits: what the
    direct effects are a share of. None if it was not read."""
    rows: ChangeRows | None = None
    """The changes themselves, for codes; None if they were not kept."""

    def take_heads(self, heads: Int[Tensor, " head"]) -> HeadChanges:
        """The same for some of the heads, or for all of them in another order."""
        parts = (self.consistent[heads], self.turned[heads], self.energy[heads])
        direct = None if self.direct is None else self.direct[:, heads]
        rows = None if self.rows is None else self.rows.take_heads(heads)
        return HeadChanges(*parts, direct, self.n_pairs, self.answer, rows)


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
        self.energy = torch.zeros(2, 0, len(W_O), dtype=torch.float64)
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
            sign: Which way the pair's answers point: of `answer_turns`.

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
        energy = written.square().sum(-1)
        self.energy[:, : len(written)] += torch.stack([energy, sign.square() * energy])
        self.n_pairs += 1

    def merge(self, other: ChangeSums) -> None:
        """Take in the pairs of another."""
        self._reach(n := other.energy.shape[1])
        self.sums[:, :n] += other.sums
        self.energy[:, :n] += other.energy
        self.n_pairs += other.n_pairs

    def finish(
        self,
        direct: Float[Tensor, "pair head"] | None,
        answer: Float[Tensor, " pair"] | None = None,
        rows: ChangeRows | None = None,
    ) -> HeadChanges:
        """What the sums come to, beside what else was read of the same pairs.

        Raises:
            DataError: If there are fewer than two pairs.
        """
        if self.n_pairs < 2:
            raise DataError(f"there is only {self.n_pairs} pair: give at least 2.")
        apart = self.n_pairs * (self.n_pairs - 1)
        squared = self.sums.square().sum(-1) - self.energy
        consistent, turned = squared.sum(1) / apart
        energy = self.energy[0].sum(0) / self.n_pairs
        return HeadChanges(consistent, turned, energy, direct, self.n_pairs, answer, rows)

    def _reach(self, n_positions: int) -> None:
        """Make room for longer prompts."""
        more = n_positions - self.energy.shape[1]
        if more > 0:
            self.sums, self.energy = (
                torch.cat([part, part.new_zeros(2, more, *part.shape[2:])], 1)
                for part in (self.sums, self.energy)
            )


def answer_turns(directions: Float[Tensor, "pair d_model"]) -> Float[Tensor, " pair"]:
    """Which way each pair points along the direction that the pairs' answers differ most in.

    Where one half asks for "he" and the other for "she", the signs tell the halves apart. Which
    half is positive is arbitrary. All have one size: the root of the share of the squared length of
    the directions that lies along the leading one, 1 if they have nothing but it in common, and
    near 0 if each pair has answers of its own.

    Example:
        >>> answer_turns(torch.tensor([[2.0, 0.0], [-1.0, 0.0], [3.0, 0.0]])).abs()
        tensor([1., 1., 1.], dtype=torch.float64)
        >>> turns = answer_turns(torch.tensor([[4.0, 0.0], [-4.0, 0.0], [0.0, 2.0]]))
        >>> bool(turns[0] == -turns[1]), round(float(turns[2].square()), 4)
        (True, 0.8889)
    """
    found = torch.linalg.svd(directions.double(), full_matrices=False)
    share = found.S[0].square() / found.S.square().sum().clamp(min=torch.finfo(found.S.dtype).tiny)
    signs = 1 - 2 * (directions.double() @ found.Vh[0] < 0).double()
    turns: Tensor = signs * share.sqrt()
    return turns
