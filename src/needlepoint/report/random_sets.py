"""How far random sets of heads reach, at each size at which they were run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

Spread = tuple[float, float, float]
"""Lower end, median, upper end."""
MANY = 40
"""From so many draws on, a spread is where 95 % of them lie; of fewer, from least to greatest."""


@dataclass(frozen=True)
class RandomSets:
    """What random circuits keep of the behaviour: a band over all sizes, a bar at one.

    A few random orders of the heads are cut at every size; at the size of the circuit that is put
    forward there are more. A run of an earlier version has that one size only, and no band.
    """

    band: Mapping[int, Spread]
    """By size, of the orders that were cut at every size; empty if there is one size only."""
    n_orders: int
    bars: Mapping[int, Spread]
    """By size, the 2.5 %, 50 % and 97.5 % points where more were drawn than at other sizes."""
    n_drawn: int

    @classmethod
    def of(cls, runs: pd.DataFrame) -> RandomSets:
        """From the table `faithfulness` of a circuit record."""
        drawn = runs[runs["kind"] == "random"].dropna(subset=["faithfulness"])
        by_size = {
            int(str(size)): part.set_index("draw")["faithfulness"].astype(float)
            for size, part in drawn.groupby("size")
        }
        common = set.intersection(*(set(one.index) for one in by_size.values())) if by_size else {}
        followed = sorted(common) if len(by_size) > 1 else []
        bars = {size: one for size, one in by_size.items() if len(one) > len(followed)}
        return cls(
            {size: _spread(one.loc[followed]) for size, one in by_size.items() if followed},
            len(followed),
            {size: _middle(one) for size, one in bars.items()},
            max((len(one) for one in bars.values()), default=0),
        )

    @property
    def band_words(self) -> str:
        """What the band holds.

        Example:
            >>> RandomSets({1: (0.0, 0.1, 0.2)}, 5, {}, 0).band_words
            'least to greatest of 5'
        """
        return f"{'95 %' if self.n_orders >= MANY else 'least to greatest'} of {self.n_orders}"

    @property
    def bar_words(self) -> str:
        """What the bar holds."""
        return f"95 % of {self.n_drawn}"

    @property
    def sizes(self) -> list[int]:
        """Sizes at which random sets were run."""
        return sorted({*self.band, *self.bars})

    def at(self, size: int) -> tuple[Spread, int, str] | None:
        """The spread at a size, of how many draws, and what it holds; of most draws if of two."""
        if size in self.bars:
            return self.bars[size], self.n_drawn, self.bar_words
        if size in self.band:
            return self.band[size], self.n_orders, self.band_words
        return None


def _spread(values: pd.Series) -> Spread:
    if len(values) >= MANY:
        return _middle(values)
    return float(values.min()), float(values.median()), float(values.max())


def _middle(values: pd.Series) -> Spread:
    low, middle, high = np.quantile(values, [0.025, 0.5, 0.975])
    return float(low), float(middle), float(high)
