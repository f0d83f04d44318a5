"""Bins of activations, a few dozen for each unit, with edges that a pilot decides.

A unit's values are centred on the pilot's median, divided by its spread and squeezed into (-1, 1),
where they fall into one of 512 cells; runs of cells make a bin. A table of the cells of every unit
then turns a value into its bin by one look-up, which is several times faster than a search among
the edges. Nothing in it is rounded out of order, so a greater value never has a lower bin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int, UInt
from torch import Tensor

from needlepoint._core.compiled import on_threads
from needlepoint._core.errors import DataError
from needlepoint.activations.count_loops import find_bins
from needlepoint.activations.moments import check_finite, check_width

CELLS = 512
MOST_BINS = 256
_QUARTILE_ROWS = 128
"""Rows of the pilot that the median and the spread are taken from."""
_ROWS = 64
"""Rows that are worked on at once: what lies between the steps stays in the caches."""


@dataclass(frozen=True, eq=False)
class Bins:
    """Which bin each value of each unit falls into; the first and the last bin are open.

    Example:
        >>> pilot = torch.arange(100.0)[:, None]
        >>> bins = Bins.of(pilot, 4)
        >>> bins.of_values(torch.tensor([[-1e9], [20.0], [60.0], [99.0]])).tolist()
        [[0], [1], [2], [3]]
    """

    centre: Float[Tensor, " unit"]
    scale: Float[Tensor, " unit"]
    """How far a value of 0.5 in the squeezed range lies from the centre; never 0."""
    table: UInt[Tensor, "unit value"]
    """The bin of each cell."""
    n_bins: int

    @classmethod
    def of(cls, pilot: Float[Tensor, "example unit"], n_bins: int = 64) -> Bins:
        """Bins that hold about equal shares of a pilot in the middle, and smaller ones outwards.

        Shares follow the arcsine law, under which the outermost of 64 bins holds 0.06 % and the
        middle ones 2.5 %, so that a feature of few rows is not lumped with what lies below it.

        Args:
            pilot: Some rows, best a random part of all; a few hundred are enough.
            n_bins: Bins for each unit, 2 to 256.

        Raises:
            DataError: If there are no rows, a value is not finite, or `n_bins` is out of range.
        """
        if not 2 <= n_bins <= MOST_BINS:
            raise DataError(f"n_bins is {n_bins}; it may be 2 to {MOST_BINS}.")
        if len(pilot) == 0:
            raise DataError("a pilot needs at least one row to lay out bins by.")
        check_finite(pilot, 0)
        wide = pilot.float()
        centre, scale = _centre_and_scale(wide)
        cells = _cells(wide, centre, 1 / scale).T.long()
        counts = torch.zeros(wide.shape[1], CELLS, dtype=torch.int32, device=wide.device)
        counts.scatter_add_(1, cells, torch.ones_like(cells, dtype=torch.int32))
        share = (counts.cumsum(1) - counts / 2) / len(wide)
        level = share.clamp(0, 1).sqrt().asin() * (2 / math.pi)
        table = (level * n_bins).floor().clamp(0, n_bins - 1).to(torch.uint8)
        return cls(centre, scale, table, n_bins)

    def of_values(self, x: Float[Tensor, "example unit"]) -> UInt[Tensor, "example unit"]:
        """The bin of each value.

        Values have to be finite; this is not checked here.

        Raises:
            DataError: If the number of units is not that of the pilot.
        """
        check_width(len(self.centre), x.shape[1])
        out = torch.empty(x.shape, dtype=torch.uint8, device=x.device)
        table, inverse = self.table.view(-1), 1 / self.scale
        if x.device.type == "cpu":
            values, into = x.detach().float().contiguous().numpy(), out.numpy()
            of_units = [part.numpy() for part in (self.centre, inverse, self.table)]

            def work(lo: int) -> None:
                find_bins(values[lo : lo + _ROWS], *of_units, into[lo : lo + _ROWS])

            on_threads(work, range(0, len(x), _ROWS), torch.get_num_threads())
            return out
        for start in range(0, len(x), _ROWS):
            part = x[start : start + _ROWS].float()
            places = _cells(part, self.centre, inverse).add_(self._first)
            found = table.index_select(0, places.view(-1))
            out[start : start + _ROWS] = found.view(part.shape)
        return out

    @cached_property
    def _first(self) -> Int[Tensor, " unit"]:
        """Where the cells of each unit begin in the table."""
        units = torch.arange(len(self.centre), device=self.table.device, dtype=torch.int32)
        return units * CELLS


def _centre_and_scale(
    pilot: Float[Tensor, "example unit"],
) -> tuple[Float[Tensor, " unit"], Float[Tensor, " unit"]]:
    """The median, and the spread of the middle half; of what varies elsewhere, all its spread."""
    step = max(1, len(pilot) // _QUARTILE_ROWS)
    rising = pilot[::step].T.contiguous().sort(dim=1).values
    n = rising.shape[1]
    low, centre, high = (rising[:, n * quarter // 4] for quarter in (1, 2, 3))
    least, most = torch.aminmax(pilot, dim=0)
    scale = high - low
    scale = torch.where(scale > 0, scale, most - least)
    scale = torch.where(scale > 0, scale, centre.abs())
    limits = torch.finfo(torch.float32)
    scale = torch.where(scale > limits.tiny, scale, 1.0).clamp(max=limits.max / 4)
    return centre.contiguous(), scale


def _cells(
    x: Float[Tensor, "example unit"],
    centre: Float[Tensor, " unit"],
    inverse: Float[Tensor, " unit"],
) -> Int[Tensor, "example unit"]:
    """The cell of each value: `z / (1 + |z|)` in equal steps.

    It is computed as `1 - 1 / (1 + |z|)` with the sign of z, since each step of that keeps order
    when rounded; the quotient does not.
    """
    z = (x - centre).mul_(inverse)
    squeezed = z.abs().add_(1).reciprocal_().neg_().add_(1).copysign_(z)
    return squeezed.add_(1).mul_(CELLS / 2).clamp_(0, CELLS - 1).to(torch.int32)
