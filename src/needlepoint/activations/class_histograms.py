"""Histograms of activations by class, for many features at once. No row is kept."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int, UInt
from torch import Tensor
from torch.nn.functional import embedding_bag, pad

from needlepoint._core.compiled import on_threads
from needlepoint._core.errors import DataError
from needlepoint.activations.bins import Bins
from needlepoint.activations.count_loops import UNITS, count
from needlepoint.activations.moments import check_finite

_MOST = torch.iinfo(torch.int16).max
HELD_ROWS = 1024
"""Rows whose bins are held until they are counted together."""
_AT_ONCE = 512
"""Rows counted together: no more are sorted without leaving the vector units."""
_CODES = 4096
"""Rows whose bins compiled loops lay out together."""
_UNITS = 64
"""Units counted together: their counts stay in the caches."""


class ClassHistograms:
    """How many rows with each feature, and of those asked, fall into each bin of each unit.

    Counts are exact and do not depend on batches, order or merging. On CPU a compiled loop adds the
    labels of a row, of all features at once, to the counts of its bin; elsewhere the rows of a
    unit are sorted by bin, once for all features, and the labels of the rows of each bin are added
    up together. The cost does not go with the share of rows that have a feature. About a thousand
    rows are held, a byte for each unit, and counted when there are more or a count is asked for.
    Counts are kept in 16 bits while no more than 32,767 rows were seen, then in 32.

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
        cells = len(bins.centre) * bins.n_bins
        self._counts: Int[Tensor, "cell column"] = torch.zeros(
            cells, len(self.groups) + len(self._first), dtype=torch.int16, device=bins.centre.device
        )
        """Of the rows counted so far: a column for each feature, then one for each group."""
        self._held: list[tuple[Tensor, Tensor]] = []
        """Bins of rows yet to be counted, and which columns count them."""

    @property
    def positive(self) -> Int[Tensor, "feature bin unit"]:
        """Rows that have the feature, in memory of their own; ask once for all features."""
        return self._columns(slice(None, len(self.groups)))

    @property
    def asked(self) -> Int[Tensor, "_ bin unit"]:
        """Rows that count for the features of a group, in memory of their own."""
        return self._columns(slice(len(self.groups), None))

    def negative(self, feature: int) -> Int[Tensor, "bin unit"]:
        """Rows that count for a feature and do not have it."""
        group = len(self.groups) + self.groups[feature]
        asked, positive = (self._columns(slice(at, at + 1))[0] for at in (group, feature))
        return asked - positive

    def cells(
        self,
    ) -> tuple[Int[Tensor, "cell column"], Int[Tensor, " feature"], Int[Tensor, " _"]]:
        """The counts themselves, and how many rows have each feature, and are asked, in all.

        A cell is a bin of a unit, unit after unit; a column is a feature, or after them a group.
        The counts are not copied: leave them as they are.
        """
        self._settle()
        totals = self._counts[: self.bins.n_bins].sum(0)
        return self._counts, totals[: len(self.groups)], totals[len(self.groups) :]

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
        device = self._counts.device
        labels = labels.to(device)
        asked = self._asked_rows(labels, members)
        codes = self.bins.of_values(x.detach().to(device))
        self.rows += len(x)
        counted = torch.cat([labels & asked[:, list(self.groups)], asked], dim=1)
        self._held.append((codes, counted))
        if sum(len(held) for held, _ in self._held) >= HELD_ROWS:
            self._settle()

    def merge(self, other: ClassHistograms) -> None:
        """Take in the rows that `other` has seen; `other` counts what it holds, no more.

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
        other._settle()
        self.rows += other.rows
        self._settle()
        self._counts += other._counts.to(self._counts)

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

    def _columns(self, which: slice) -> Int[Tensor, "column bin unit"]:
        """Some columns of the counts of all rows, each by bin and unit."""
        self._settle()
        units = len(self.bins.centre)
        counts = self._counts[:, which].contiguous().T.contiguous()
        return counts.view(len(counts), units, self.bins.n_bins).mT

    def _settle(self) -> None:
        """Count the rows that are held."""
        if self.rows > _MOST and self._counts.dtype == torch.int16:
            self._counts = self._counts.int()
        if not self._held:
            return
        codes, counted = (torch.cat(parts) for parts in zip(*self._held, strict=True))
        self._held.clear()
        if codes.device.type == "cpu":
            self._count(codes, counted)
            return
        parts = (torch.split(rows, _AT_ONCE) for rows in (codes, counted))
        for some, of_rows in zip(*parts, strict=True):
            columns = of_rows.half()  # exact up to 2048, and summed faster than 32 bits
            counts = torch.split(self._counts, _UNITS * self.bins.n_bins)
            for units, into in zip(torch.split(some.T.contiguous(), _UNITS), counts, strict=True):
                into += _by_bin(units, columns, self.bins.n_bins).float().to(into.dtype)

    def _count(
        self, codes: UInt[Tensor, "example unit"], columns: Bool[Tensor, "example _"]
    ) -> None:
        """Count rows by compiled loops: one addition of all columns for each value."""
        n_units, threads = codes.shape[1], torch.get_num_threads()
        whole = pad(columns.view(torch.uint8), (0, -columns.shape[1] % UNITS))
        share = max(1, -(-n_units // (threads * UNITS))) * UNITS

        def work(lo: int) -> None:
            hi = min(lo + share, n_units)
            for rows in zip(*(torch.split(part, _CODES) for part in (codes, whole)), strict=True):
                arrays = (part.numpy() for part in rows)
                count(*arrays, self.bins.n_bins, lo, hi, self._counts.numpy())

        on_threads(work, range(0, n_units, share), threads)


def _by_bin(
    codes: UInt[Tensor, "unit example"], columns: Float[Tensor, "example column"], n_bins: int
) -> Float[Tensor, "cell column"]:
    """Sums of the columns over the rows of each bin of each unit."""
    (n_units, n_rows), device = codes.shape, codes.device
    room = n_rows.bit_length()
    places = torch.arange(n_rows, dtype=torch.int32, device=device)
    keys = codes.int().bitwise_left_shift_(room).bitwise_or_(places)
    if device.type == "cpu":
        keys.numpy().sort(axis=1)
    else:
        keys = keys.sort(dim=1).values
    starts = torch.arange(n_bins, dtype=torch.int32, device=device) << room
    offsets = torch.searchsorted(keys, starts.expand(n_units, -1).contiguous(), out_int32=True)
    offsets += torch.arange(n_units, dtype=torch.int32, device=device)[:, None] * n_rows
    rows = keys.bitwise_and_((1 << room) - 1)
    return embedding_bag(rows.view(-1), columns, offsets.view(-1), mode="sum")
