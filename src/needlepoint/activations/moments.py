"""Running moments of activations: mean, variance and range of each unit. No row is kept.

Everything accumulates in float64 about the mean of each batch and is joined by the update of
Chan, Golub and LeVeque, so a mean that is large beside the spread costs no digits.

References:
    Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
    Variances", 1979.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError


class Moments:
    """Count, mean, variance, least and greatest value of each unit, over rows seen so far.

    The result does not depend on how rows were cut into batches, on their order, or on which
    were merged from elsewhere, except in the last digits: means agree to 1e-12 of the largest
    absolute value, variances to 1e-9 of themselves while |mean| / std is below 1e6.

    Example:
        >>> moments = Moments()
        >>> moments.update(torch.tensor([[1.0, 5.0]]))
        >>> moments.update(torch.tensor([[3.0, 5.0]]))
        >>> moments.count, moments.mean.tolist(), moments.variance.tolist()
        (2, [2.0, 5.0], [1.0, 0.0])
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean = torch.zeros(0, dtype=torch.float64)
        self._squares = self._low = self._high = self._mean

    @classmethod
    def known(
        cls,
        count: int,
        mean: Float[Tensor, " unit"],
        squares: Float[Tensor, " unit"],
        low: Float[Tensor, " unit"],
        high: Float[Tensor, " unit"],
    ) -> Moments:
        """Moments of rows that someone else has summed; `squares` are about the mean."""
        moments = cls()
        moments.count = count
        moments._mean, moments._squares, moments._low, moments._high = mean, squares, low, high
        return moments

    def update(self, x: Float[Tensor, "example unit"]) -> None:
        """Take in some rows, in any floating dtype; the state lives on their device.

        Raises:
            DataError: If a value is NaN or infinite (nothing is taken in then), or the number of
                units is not that of the rows before.
        """
        if len(x) == 0:
            return
        check_finite(x, self.count)
        batch, rows = Moments(), x.detach().double()
        batch.count = len(rows)
        batch._mean = rows.mean(0)
        batch._squares = (rows - batch._mean).square().sum(0)
        batch._low, batch._high = rows.amin(0), rows.amax(0)
        self.merge(batch)

    def merge(self, other: Moments) -> None:
        """Take in the rows that `other` has seen; `other` is left as it was.

        Raises:
            DataError: If the two are of different numbers of units.
        """
        if other.count == 0:
            return
        device = self._mean.device if self.count else other._mean.device
        mean, squares, low, high = (
            part.to(device) for part in (other._mean, other._squares, other._low, other._high)
        )
        if self.count == 0:
            self.count = other.count
            self._mean, self._squares, self._low, self._high = mean, squares, low, high
            return
        check_width(self._mean.shape[-1], mean.shape[-1])
        self._mean, self._squares = join(
            torch.tensor(self.count), self._mean, self._squares,
            torch.tensor(other.count), mean, squares,
        )  # fmt: skip
        self._low = torch.minimum(self._low, low)
        self._high = torch.maximum(self._high, high)
        self.count += other.count

    @property
    def mean(self) -> Float[Tensor, " unit"]:
        """Mean of each unit."""
        self._check_any()
        return self._mean

    @property
    def variance(self) -> Float[Tensor, " unit"]:
        """Variance of each unit over the rows seen: divided by their number, not one less."""
        self._check_any()
        return self._squares / self.count

    @property
    def std(self) -> Float[Tensor, " unit"]:
        """Square root of `variance`, in the units of the activations."""
        return self.variance.sqrt()

    @property
    def min(self) -> Float[Tensor, " unit"]:
        """Least value of each unit, exact."""
        self._check_any()
        return self._low

    @property
    def max(self) -> Float[Tensor, " unit"]:
        """Greatest value of each unit, exact."""
        self._check_any()
        return self._high

    def _check_any(self) -> None:
        if self.count == 0:
            raise DataError("no rows were seen, so there is no mean; call update with some first.")


def join(
    n: Int[Tensor, "..."],
    mean: Float[Tensor, "... unit"],
    squares: Float[Tensor, "... unit"],
    more_n: Int[Tensor, "..."],
    more_mean: Float[Tensor, "... unit"],
    more_squares: Float[Tensor, "... unit"],
) -> tuple[Float[Tensor, "... unit"], Float[Tensor, "... unit"]]:
    """Mean, and sum of squares about it, of two sets of rows taken together.

    Args:
        n: Rows of the first set; broadcast against the means.
        mean: Its mean.
        squares: Its sum of squared distances from its mean.
        more_n: Rows of the second set. The mean of no rows is left open.
        more_mean: Its mean.
        more_squares: Its sum of squared distances from its mean.
    """
    n, more_n = n.to(mean.device), more_n.to(mean.device)
    share = more_n.double() / (n + more_n).clamp(min=1)
    gap = more_mean - mean
    joined = torch.where(n > 0, mean + gap * share, more_mean)
    return joined, squares + more_squares + gap.square() * n * share


def check_finite(x: Float[Tensor, "example unit"], before: int) -> None:
    """Refuse rows with a value that is NaN or infinite.

    Raises:
        DataError: With its column, and its row if `before` rows came earlier.
    """
    # One pass without a copy: a sum is not finite if an entry is not; only then look closer.
    if bool(torch.isfinite(x.sum(dtype=torch.promote_types(x.dtype, torch.float32)))):
        return
    bad = ~torch.isfinite(x)
    if bool(bad.any()):
        column = int(bad.any(0).nonzero()[0])
        row = int(bad[:, column].nonzero()[0])
        raise DataError(
            f"column {column} holds {x[row, column].item()} at row {before + row}; statistics of "
            "it would mean nothing: run the model in float32, or leave the column out."
        )


def check_width(mine: int, other: int) -> None:
    """Refuse to join statistics of different numbers of units.

    Raises:
        DataError: If the numbers differ.
    """
    if mine != other:
        raise DataError(
            f"rows of {other} units cannot be joined to rows of {mine}; one statistic is of one "
            "site."
        )
