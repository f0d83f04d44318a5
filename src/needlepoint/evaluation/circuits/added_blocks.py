"""Whether what a circuit was last made larger by is needed: minimality along a ranking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint.evaluation.circuits.draws import random_subsets, size_matched
from needlepoint.evaluation.intervals import Interval, percentile_interval

UNDEFINED = float("nan")


@dataclass(frozen=True)
class MinimalityCurve:
    """What the units that a circuit gained last do for it, at each size, against units outside.

    Wang et al. call a circuit minimal if for each of its units v there is a part K of it without
    which the unit matters: `|f(C without K and v) - f(C without K)|` is large. Here v is the block
    of units by which the circuit of one size exceeds that of the size before, the first exceeding
    the empty one, and K are the parts that were tried: none, and random ones of the circuit before.
    What `minimality` says of single units this says of blocks, at every size.
    """

    shares: tuple[float, ...]
    sizes: tuple[int, ...]
    n_blocks: int
    n_subsets: int
    added: tuple[Interval, ...]
    """Faithfulness less that of the circuit of the size before, with an interval over pairs: the
    change with no part K taken out, and with its sign."""
    change: tuple[float, ...]
    """The largest size of the change over the parts K."""
    random: tuple[Interval, ...]
    """The same of random blocks of as many units from outside, put in the place of the block: the
    2.5 %, 50 % and 97.5 % points. NaN where no unit was added, or too few are left outside."""
    p: tuple[float, ...]
    """Share of those blocks that change as much or more, the block itself counted in; or NaN."""

    def frame(self) -> pd.DataFrame:
        """One row for each size.

        Returns:
            `added` with `_low` and `_high` over pairs, `change, change_p`, and the points of random
            blocks, `block_low, block_median, block_high`.
        """
        return pd.DataFrame(
            {
                "added": [one.estimate for one in self.added],
                "added_low": [one.low for one in self.added],
                "added_high": [one.high for one in self.added],
                "change": self.change,
                "change_p": self.p,
                "block_low": [one.low for one in self.random],
                "block_median": [one.estimate for one in self.random],
                "block_high": [one.high for one in self.random],
            }
        )


@dataclass(frozen=True, eq=False)
class AddedBlocks:
    """The circuits that minimality along a ranking compares; what they keep is for others to run.

    At each size come the circuit before without each part K, then the same with the block put in,
    then with each random block.
    """

    circuits: Bool[Tensor, "value row resample unit"]
    """By size; the circuit before, that with the block, those with random ones; part; unit."""
    defined: tuple[bool, ...]
    """Whether there is a block, and enough units outside to draw others from."""

    @classmethod
    def drawn(
        cls,
        nested: Bool[Tensor, "row unit"],
        n_blocks: int,
        n_subsets: int,
        generator: torch.Generator,
    ) -> AddedBlocks:
        """Draw parts and blocks for circuits each of which contains the one before."""
        before = torch.cat([torch.zeros_like(nested[:1]), nested[:-1]])
        found, defined = [], []
        for old, new in zip(before, nested, strict=True):
            n, outside = int((new & ~old).sum()), ~new
            defined.append(0 < n <= int(outside.sum()))
            blocks = _within(outside, n if defined[-1] else 0, n_blocks, generator)
            bases = old & ~_parts(old, n_subsets, generator)
            put_in = torch.cat([torch.zeros_like(old)[None], (new & ~old)[None], blocks])
            found.append(bases[None] | put_in[:, None])
        return cls(torch.stack(found), tuple(defined))

    @property
    def rows(self) -> Bool[Tensor, "row unit"]:
        """All circuits, one after another."""
        return self.circuits.flatten(0, 2)

    def curve(
        self,
        draws: Float[Tensor, "resample row"],
        shares: Sequence[float],
        sizes: Sequence[int],
    ) -> MinimalityCurve:
        """From the faithfulness of `rows` on resamples of the pairs, the first row on all."""
        faithful = draws.reshape(len(draws), *self.circuits.shape[:3])
        moved = faithful[:, :, 1:] - faithful[:, :, :1]
        added = [percentile_interval(one[1:], float(one[0])) for one in moved[:, :, 0, 0].unbind(1)]
        largest = moved[0].abs().amax(2)
        own, null = largest[:, 0], largest[:, 1:]
        p = ((null >= own[:, None] - 1e-9).sum(1) + 1) / (null.shape[1] + 1)
        points = torch.quantile(null, torch.tensor([0.025, 0.5, 0.975]).to(null), dim=1).T
        return MinimalityCurve(
            tuple(shares),
            tuple(sizes),
            null.shape[1],
            self.circuits.shape[2] - 1,
            tuple(added),
            tuple(own.tolist()),
            tuple(
                Interval(*(one.tolist() if known else [UNDEFINED] * 3))
                for one, known in zip(points, self.defined, strict=True)
            ),
            tuple(
                float(one) if known else UNDEFINED
                for one, known in zip(p, self.defined, strict=True)
            ),
        )


def _parts(
    kept: Bool[Tensor, " unit"], n: int, generator: torch.Generator
) -> Bool[Tensor, "resample unit"]:
    """No part of a circuit, then random ones; of the empty circuit all are none."""
    none = torch.zeros(1, len(kept), dtype=torch.bool)
    if n == 0 or not bool(kept.any()):
        return none.expand(n + 1, -1)
    return torch.cat([none, random_subsets(kept, n, generator)])


def _within(
    pool: Bool[Tensor, " unit"], size: int, n: int, generator: torch.Generator
) -> Bool[Tensor, "resample unit"]:
    """Random sets of so many units out of a pool."""
    places = pool.nonzero()[:, 0]
    drawn = torch.zeros(n, len(pool), dtype=torch.bool)
    drawn[:, places] = size_matched(torch.arange(len(places)) < size, n, generator)
    return drawn
