"""Histograms of activations by class, for many features at once. No row is kept."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.activations.bins import Bins
from needlepoint.activations.moments import check_finite

_MOST = torch.iinfo(torch.int16).max


class ClassHistograms:
    """How many rows with each feature, and of those asked, fall into each bin of each unit.

    Counts are exact and do not depend on batches, order or merging. Rows that have the feature
    are counted one by one, or those that have it not where they are fewer; the rows asked are
    counted once for all features of a group, so the cost goes with the rarer classes. Counts
    are kept in 16 bits while no more than 32,767 rows were seen, then in 32.

    Example:
        >>> acts = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
        >>> histograms = ClassHistograms(Bins.of(acts, 2), groups=[0])
        >>> histograms.update(acts, torch.tensor([[False], [False], [True], [True]]))
        >>> histograms.positive[0, :, 0].tolist(), histograms.negative(0)[:, 0].tolist()
        ([0, 2], [2, 0])
    """

    def __init__(self, bins: Bins, groups: Sequence[int]) -> None:
        """Prepare for features, of which those of the same group are asked on the same rows.

        Args:
            bins: Where the bins of each unit lie.
            groups: The group of each feature, counted from 0.
        """
        self.bins = bins
        self.groups = tuple(groups)
        self.rows = 0
        """Rows seen, whatever their members."""
        self._first = tuple(self.groups.index(group) for group in range(max(self.groups) + 1))
        units, device = len(bins.centre), bins.centre.device
        shape = (bins.n_bins, units)
        self.positive: Int[Tensor, "feature bin unit"] = torch.zeros(
            len(self.groups), *shape, dtype=torch.int16, device=device
        )
        """Rows that have the feature."""
        self.asked: Int[Tensor, "_ bin unit"] = torch.zeros(
            len(self._first), *shape, dtype=torch.int16, device=device
        )
        """Rows that count for the features of a group."""

    def negative(self, feature: int) -> Int[Tensor, "bin unit"]:
        """Rows that count for a feature and do not have it."""
        return self.asked[self.groups[feature]] - self.positive[feature]

    def update(
        self,
        x: Tensor,
        labels: Bool[Tensor, "example feature"],
        members: Bool[Tensor, "example feature"] | None = None,
    ) -> None:
        """Take in some rows, `[example, unit]` in any floating dtype.

        Raises:
            DataError: If a value is NaN or infinite, the number of units or features is not that
                of the histograms, or features of one group are asked on different rows. Nothing
                is taken in then.
        """
        if len(x) == 0:
            return
        check_finite(x, self.rows)
        device = self.positive.device
        labels = labels.to(device)
        asked = self._asked_rows(labels, members)
        codes = self.bins.of_values(x.detach().to(device))
        self._widen(self.rows + len(x))
        self.rows += len(x)
        units = torch.arange(codes.shape[1], device=device)
        keys = codes.long().mul_(codes.shape[1]).add_(units)
        self._count(keys, labels, asked)

    def merge(self, other: ClassHistograms) -> None:
        """Take in the rows that `other` has seen; `other` is left as it was.

        Raises:
            DataError: If the two do not have the same bins and groups.
        """
        same = self.bins is other.bins or (
            self.bins.table.shape == other.bins.table.shape
            and torch.equal(self.bins.table, other.bins.table.to(self.bins.table.device))
            and torch.equal(self.bins.centre, other.bins.centre.to(self.bins.centre.device))
            and torch.equal(self.bins.scale, other.bins.scale.to(self.bins.scale.device))
        )
        if not same or self.groups != other.groups:
            raise DataError(
                "histograms of other bins or features cannot be joined; use one Bins for all "
                "parts, and the same features in the same groups."
            )
        self._widen(self.rows + other.rows)
        self.rows += other.rows
        self.positive += other.positive.to(self.positive)
        self.asked += other.asked.to(self.asked)

    def _asked_rows(
        self, labels: Bool[Tensor, "example feature"], members: Tensor | None
    ) -> Bool[Tensor, "example _"]:
        """Which rows each group is asked on."""
        if labels.shape[1] != len(self.groups):
            raise DataError(
                f"labels of {labels.shape[1]} features cannot be put into histograms of "
                f"{len(self.groups)}; pass the same features each time."
            )
        if members is None:
            return torch.ones_like(labels[:, list(self._first)])
        members = members.to(labels.device)
        asked = members[:, list(self._first)]
        if not torch.equal(asked[:, list(self.groups)], members):
            raise DataError("features of one group are asked on different rows; part the groups.")
        return asked

    def _count(
        self,
        keys: Int[Tensor, "example unit"],
        labels: Bool[Tensor, "example feature"],
        asked: Bool[Tensor, "example _"],
    ) -> None:
        """Add rows, given by where each of their units is counted, to all histograms."""
        ones = torch.ones_like(keys, dtype=self.positive.dtype).view(-1)
        fresh = torch.zeros_like(self.asked)
        for group, rows in enumerate(asked.T):
            _add(fresh[group], keys, rows, ones)
        self.asked += fresh
        for feature, group in enumerate(self.groups):
            with_it = labels[:, feature] & asked[:, group]
            without = asked[:, group] & ~with_it
            if int(with_it.sum()) <= int(without.sum()):
                _add(self.positive[feature], keys, with_it, ones)
            else:
                self.positive[feature] += fresh[group]
                _add(self.positive[feature], keys, without, -ones)

    def _widen(self, rows: int) -> None:
        """Make room for counts up to a number of rows."""
        if rows > _MOST and self.positive.dtype == torch.int16:
            self.positive, self.asked = self.positive.int(), self.asked.int()


def _add(
    counts: Int[Tensor, "bin unit"],
    keys: Int[Tensor, "example unit"],
    rows: Bool[Tensor, " example"],
    ones: Int[Tensor, " value"],
) -> None:
    """Count some rows, in place."""
    chosen = keys[rows].view(-1)
    counts.view(-1).scatter_add_(0, chosen, ones[: len(chosen)])
