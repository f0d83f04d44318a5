"""The compiled loops of `bins` and `class_histograms`: the bin of a value, and counts by bin."""

from __future__ import annotations

import numpy as np

from needlepoint._core.compiled import compiled, f32, to_the_bit

UNITS = 64
"""Units whose bins are laid out together: a line of the caches holds as many of a row."""


@to_the_bit
def find_bins(x, centre, inverse, table, out):
    """The bin of each value of some rows, by a table of the cells of each unit."""
    n_units, n_cells = table.shape
    half, most = f32(n_cells // 2), f32(n_cells - 1)
    one, none = f32(1), f32(0)
    cells = np.empty(n_units, dtype=np.int32)
    for i in range(len(x)):
        row = x[i]
        for j in range(n_units):
            # In this order, as in `bins`: each step keeps order when rounded.
            z = (row[j] - centre[j]) * inverse[j]
            squeezed = one - one / (abs(z) + one)
            squeezed = -squeezed if z < none else squeezed
            cells[j] = np.int32(min(max((squeezed + one) * half, none), most))
        for j in range(n_units):
            out[i, j] = table[j, cells[j]]


@compiled
def count(codes, columns, n_bins, lo, hi, counts):
    """Add the columns of each row to the cell of its bin, for units `lo` to `hi`.

    `codes` are `[row, unit]`, `columns` `[row, column]` of ones and zeros, padded with columns of
    zeros to whole vectors, and `counts` `[unit * n_bins + bin, column]`. All columns of a row are
    added at once, whatever they hold, in a table of the unit's own that stays in the nearest cache.
    """
    n_rows, n_columns = len(columns), counts.shape[1]
    bins = np.empty((UNITS, n_rows), dtype=np.uint8)
    found = np.empty((n_bins, columns.shape[1]), dtype=counts.dtype)
    for first in range(lo, hi, UNITS):
        some = min(UNITS, hi - first)
        for i in range(n_rows):
            row = codes[i, first : first + some]
            for j in range(some):
                bins[j, i] = row[j]
        for j in range(some):
            found[:] = 0
            for i in range(n_rows):
                cell = bins[j, i]
                for k in range(columns.shape[1]):
                    found[cell, k] += columns[i, k]
            for cell in range(n_bins):
                into = (first + j) * n_bins + cell
                for k in range(n_columns):
                    counts[into, k] += found[cell, k]
