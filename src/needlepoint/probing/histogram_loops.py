"""The compiled loops of `histogram_scores`: all features of a unit side by side, bin by bin."""

from __future__ import annotations

import math

import numpy as np

from needlepoint._core.compiled import compiled, f32, inlined


@inlined
def _larger(a, b):
    return a if a > b else b


@inlined
def _inverse_spread(called, rows):
    """What the gain of a cut is multiplied by; a cut that calls all rows alike gains nothing."""
    return f32(1) / math.sqrt(_larger((rows - called) * called, f32(1)))


@compiled
def _cut(positive, asked, called, n_positive, n_rows, hits, sums, best):
    """Take in one bin of every feature, from the highest down.

    `hits` are the rows with the feature in it or higher, `called` all rows there; `sums` are what
    AUC and its error add up, and `best` the highest F1, halved, and correlation, not yet divided
    by the spread of the label: above a cut, below it, and with the best cuts within the bin.
    """
    for k in range(len(positive)):
        p, count, above = positive[k], asked[k], called[k]
        with_it, rows = n_positive[k], n_rows[k]
        without, negative = rows - with_it, count - p
        found = hits[k] + p
        hits[k] = found
        sums[0, k] += p * (rows / f32(2) - above + count / f32(2))
        sums[1, k] += p * negative
        total = above + with_it
        best[0, k] = _larger(best[0, k], found / total)
        best[1, k] = _larger(best[1, k], found / (total - negative))
        missed, total = with_it - found, with_it + rows - above
        best[2, k] = _larger(best[2, k], missed / total)
        best[3, k] = _larger(best[3, k], (missed + p) / (total + p))
        gain = found * rows - above * with_it
        at_edge = gain * _inverse_spread(above, rows)
        best[4, k] = _larger(best[4, k], at_edge)
        most = (gain + with_it * negative) * _inverse_spread(above - negative, rows)
        best[5, k] = _larger(best[5, k], most)
        best[6, k] = _larger(best[6, k], -at_edge)
        least = (gain - without * p) * _inverse_spread(above - p, rows)
        best[7, k] = _larger(best[7, k], -least)


@compiled
def score_units(counts, n_bins, lo, hi, groups, n_positive, n_rows, kept, logs, out):
    """Scores of units `lo` to `hi` for every feature, into `out`, `[11, feature, unit]`.

    `counts` are `[unit * n_bins + bin, column]`, a column for each feature and then one for each
    group; `groups`, `n_positive` and `n_rows` are of the features; `kept` is how many bins mutual
    information is taken over, and `logs` is `m log m` of every count. Written are the two rows of
    `sums`, the eight of `best`, and what of `m log m` the bins leave to the label.
    """
    n_features = len(groups)
    n_groups = counts.shape[1] - n_features
    positive, asked, called, hits = np.zeros((4, n_features), dtype=np.float32)
    sums, best = np.zeros((2, n_features)), np.zeros((8, n_features), dtype=np.float32)
    above = np.zeros(n_groups, dtype=np.int64)
    in_bin = np.zeros(n_groups, dtype=np.int64)
    with_it, left = np.zeros(n_features, dtype=np.int64), np.zeros(n_features)
    for unit in range(lo, hi):
        hits[:], sums[:], best[:], left[:] = 0, 0, 0, 0
        above[:], in_bin[:], with_it[:] = 0, 0, 0
        for cell in range(n_bins - 1, -1, -1):
            row = counts[unit * n_bins + cell]
            for g in range(n_groups):
                above[g] += row[n_features + g]
                in_bin[g] += row[n_features + g]
            for k in range(n_features):
                positive[k] = row[k]
                with_it[k] += row[k]
            for k in range(n_features):
                asked[k] = row[n_features + groups[k]]
                called[k] = above[groups[k]]
            _cut(positive, asked, called, n_positive, n_rows, hits, sums, best)
            # The bins of one merged bin end where the next lower belongs to another.
            if cell == 0 or (cell - 1) * kept // n_bins != cell * kept // n_bins:
                for k in range(n_features):
                    m, all_rows = with_it[k], in_bin[groups[k]]
                    left[k] += logs[m] + logs[all_rows - m] - logs[all_rows]
                with_it[:], in_bin[:] = 0, 0
        for k in range(n_features):
            for j in range(2):
                out[j, k, unit] = sums[j, k]
            for j in range(8):
                out[2 + j, k, unit] = best[j, k]
            out[10, k, unit] = left[k]
