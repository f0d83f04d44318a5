"""Running correlations of many units with a few. No row is kept.

Sums accumulate in float64 about the mean of each batch and are joined by the update of Chan, Golub
and LeVeque, as in `activations.moments`.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint._core.errors import DataError

ROUNDING = 1e-24
"""Variance, as a part of the mean square, that counts as none."""


class CoMoments:
    """Correlation of every unit of many layers with each of a few, over rows seen so far.

    Example:
        >>> sums = CoMoments()
        >>> x = torch.tensor([[1.0, 5.0], [2.0, 4.0], [4.0, 2.0]])
        >>> sums.update([x], x[:, :1])
        >>> sums.correlation().round(decimals=6).tolist()
        [[1.0, -1.0]]
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean = self._other_mean = torch.zeros(0, dtype=torch.float64)
        self._squares = self._other_squares = self._mean
        self._products = torch.zeros(0, 0, dtype=torch.float64)

    def update(
        self, blocks: Iterable[Float[Tensor, "row _"]], others: Float[Tensor, "row k"]
    ) -> None:
        """Take in some rows.

        Args:
            blocks: The units, in as many blocks of columns as one likes, always the same.
            others: What they are correlated with.
        """
        rows = len(others)
        if rows == 0:
            return
        batch = CoMoments()
        batch.count = rows
        y = others.double()
        batch._other_mean = y.mean(0)
        y = y - batch._other_mean
        batch._other_squares = y.square().sum(0)
        parts = [_of_block(block, y) for block in blocks]
        mean, squares, products = (torch.cat(part, dim=-1) for part in zip(*parts, strict=True))
        batch._mean, batch._squares, batch._products = mean, squares, products
        self.merge(batch)

    def merge(self, other: CoMoments) -> None:
        """Take in the rows that `other` has seen; `other` is left as it was.

        Raises:
            DataError: If the two are of different numbers of units.
        """
        if other.count == 0:
            return
        if self.count == 0:
            vars(self).update(vars(other))
            return
        if self._products.shape != other._products.shape:
            raise DataError(
                f"sums of {tuple(other._products.shape)} cannot be joined to those of "
                f"{tuple(self._products.shape)}; pass the same units each time."
            )
        total = self.count + other.count
        weight = self.count * other.count / total
        gap, other_gap = other._mean - self._mean, other._other_mean - self._other_mean
        self._products = self._products + other._products + weight * torch.outer(other_gap, gap)
        self._squares = self._squares + other._squares + weight * gap.square()
        self._other_squares = (
            self._other_squares + other._other_squares + weight * other_gap.square()
        )
        self._mean = self._mean + gap * other.count / total
        self._other_mean = self._other_mean + other_gap * other.count / total
        self.count = total

    def correlation(self) -> Float[Tensor, "k unit"]:
        """Pearson correlation; NaN where one of the two does not vary.

        Raises:
            DataError: If no rows were seen.
        """
        if self.count == 0:
            raise DataError("no rows were seen, so nothing is correlated; call update first.")
        spread = _spread(self._squares, self._mean, self.count)
        other = _spread(self._other_squares, self._other_mean, self.count)
        return (self._products / (spread * other[:, None])).clamp(-1, 1)


def _of_block(
    block: Float[Tensor, "row unit"], y: Float[Tensor, "row k"]
) -> tuple[Tensor, Tensor, Tensor]:
    x = block.double()
    mean = x.mean(0)
    x = x - mean
    return mean, x.square().sum(0), y.T @ x


def _spread(squares: Tensor, mean: Tensor, count: int) -> Tensor:
    """Root of the squares about the mean; NaN where they are rounding alone."""
    nothing = squares <= ROUNDING * count * mean.square()
    return squares.masked_fill(nothing | (squares == 0), torch.nan).sqrt()
