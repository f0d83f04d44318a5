"""Changes kept as they are, one row for each position of each pair, for codes to be made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint.circuits.baselines import STILL

MOST_BYTES = 2**28
"""What rows may take up; pairs that do not fit any more are not coded."""


@dataclass(frozen=True, eq=False)
class ChangeRows:
    """What heads change at each position of the first pairs, beside the stream they write to."""

    z: Float[Tensor, "row head d_head"]
    """Clean less corrupt, divided by the norm of the residual stream after the layer, with the
    gains of the norm that reads it next."""
    pair: Int[Tensor, " row"]
    place: Int[Tensor, " row"]
    """Position, counted from the end."""
    sign: Float[Tensor, " pair"]
    """Which way each pair's answers point: of `answer_turns`."""
    W_O: Float[Tensor, "head d_head d_model"]
    """By which z becomes what is added to the stream, with the same gains."""

    @property
    def n_pairs(self) -> int:
        """Number of pairs."""
        return len(self.sign)

    def take_heads(self, heads: Int[Tensor, " head"]) -> ChangeRows:
        """The same for some of the heads, or for all of them in another order."""
        return ChangeRows(self.z[:, heads], self.pair, self.place, self.sign, self.W_O[heads])

    def take_pairs(self, pairs: Int[Tensor, " pair"]) -> ChangeRows:
        """Some of the pairs, which keep their order and are counted anew."""
        wanted = torch.zeros(self.n_pairs, dtype=torch.bool)
        wanted[pairs] = True
        rows, anew = wanted[self.pair], wanted.cumsum(0) - 1
        return ChangeRows(
            self.z[rows], anew[self.pair[rows]], self.place[rows], self.sign[wanted], self.W_O
        )


class RowKeeper:
    """Takes in pairs one by one and keeps the rows of the first of them, in bfloat16.

    Example:
        >>> keeper = RowKeeper(torch.eye(2)[None], lengths=[1, 1])
        >>> for pair in (1, 0):
        ...     keeper.add(pair, torch.ones(1, 1, 2), torch.full((1, 1), 2.0))
        >>> rows = keeper.finish(torch.ones(2))
        >>> rows.pair.tolist(), rows.z[0, 0].tolist()
        ([0, 1], [0.5, 0.5])
    """

    def __init__(
        self,
        W_O: Float[Tensor, "head d_head d_model"],
        lengths: Sequence[int],
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """Find out how many pairs there is room for, and start with none.

        Args:
            W_O: By which z becomes what is added to the stream.
            lengths: Positions of each pair.
            most_bytes: What rows may take up.
        """
        self.gram = torch.einsum("hdm,hem->hde", W_O.float(), W_O.float())
        each = 2 * W_O.shape[0] * W_O.shape[1]
        room = (torch.tensor(list(lengths)).cumsum(0) * each <= most_bytes).sum()
        self.W_O, self.n_kept = W_O, int(room)
        self.rows: dict[int, Tensor] = {}

    def add(
        self,
        pair: int,
        change: Float[Tensor, "pos head d_head"],
        size: Float[Tensor, "pos head"],
    ) -> None:
        """Take in one pair: its change, and the norm of the stream that each head writes to.

        What is no larger than the rounding of that stream is no change.
        """
        if pair < self.n_kept:
            z = (change / size[..., None]).float()
            power = torch.einsum("phd,hde,phe->ph", z, self.gram, z)
            self.rows[pair] = z.masked_fill((power <= STILL**2)[..., None], 0).bfloat16()

    def finish(self, signs: Float[Tensor, " pair"]) -> ChangeRows | None:
        """The rows, pair by pair; None if there was room for fewer than two pairs."""
        if self.n_kept < 2:
            return None
        order = sorted(self.rows)
        lengths = torch.tensor([len(self.rows[pair]) for pair in order])
        places = [torch.arange(int(length)).flip(0) for length in lengths]
        return ChangeRows(
            torch.cat([self.rows[pair] for pair in order]),
            torch.tensor(order).repeat_interleave(lengths),
            torch.cat(places),
            signs[: self.n_kept],
            self.W_O,
        )
