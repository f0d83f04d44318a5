"""The compiled fits of `one_neuron`: a pass over the rows of a layer for each Newton step.

Neurons are fitted many at a time, sixteen side by side, where they lie: nothing is laid out anew
but what few of them still need. Examples are read as they lie too, `PIECE` after `PIECE`;
of a piece the positives come first, so that label and weight change once. Values are float32; sums
are float32 over a piece and float64 beyond.
"""

from __future__ import annotations

import math

import numpy as np

from needlepoint._core.compiled import compiled, f32, inlined, watchful
from needlepoint._core.lanes import LANES, over_rows

PIECE = 256
"""Examples of which the positives come first, and that are summed in float32."""
BLOCK = 16
"""Examples that sixteen neurons take before the next sixteen have their turn."""
EVEN = LANES * BLOCK
"""Neurons whose lines come out even over the rows of a block."""
SAMPLE = 64
"""First examples, that a neuron's mean is guessed from."""
SMALLEST, LARGEST = 1e-30, 1e30
"""Mean squares between which float32 loses no digits of them."""
LEAST = 1e-37
"""Distance from the mean that float32 cannot tell from none."""
LOG2_E = 1.4426950408889634
FURTHEST = 80.0
"""Powers of two beyond which a sigmoid is as good as 0 or 1."""

AT, BIAS, STEP_AT, STEP_BIAS, SLOPE, REACH, SD = range(7)
"""What is known of each neuron while it is fitted: rows of its state."""


POWERS = 4
"""Moments known of each neuron before it is fitted; its reach stands in the row after them."""


def _moments(x, positive, given, sums):
    """Powers of all values, about a centre, their largest size, and powers of the positives."""
    u = x - given[0]
    square = u * u
    powers = u, square, square * u, square * square
    whole = [so_far + more for so_far, more in zip(sums[:POWERS], powers, strict=True)]
    upper = [
        so_far + positive * more for so_far, more in zip(sums[POWERS + 1 :], powers, strict=True)
    ]
    return [*whole, sums[POWERS].larger(u.size()), *upper]


def _terms(x, _, given, sums):
    """What a step needs of one class, from `log2(e)` times the log-odds of being told right.

    With p how far an example is from being told right and u its value, about a centre:
    `p u`, `p`, `p (1-p) u u`, `p (1-p) u`, `p (1-p)` and `log(1-p)`. Of the latter, what is less
    than an even chance costs is kept as the product of all `1-p` and how far that is from 1.
    """
    centre, slope, shift = given
    u = x - centre
    right = (slope * u + shift).larger(-FURTHEST).smaller(FURTHEST)
    odds = right.two_to()
    wrong = 1.0 / (odds + 1.0)
    correct = odds * wrong
    curve = correct * wrong
    both = curve * u
    off, product = sums[6], sums[7]
    least = wrong.smaller(correct)
    return (
        sums[0] + wrong * u,
        sums[1] + wrong,
        sums[2] + both * u,
        sums[3] + both,
        sums[4] + curve,
        sums[5] + right.smaller(0.0) * (1 / LOG2_E),
        least.times_plus(product, off),
        (0.0 - least).times_plus(product, product),
    )


def _logs(sums):
    """The logarithm of the product, which near 1 is known better by how far from 1 it is."""
    off, product = sums[6], sums[7]
    near = 1.0 - off
    rounding = off.below(0.5, (1.0 - near) - off, off * 0.0)
    value = off.below(0.5, near, product).log() + rounding
    return [*sums[:5], sums[5] + value, off * 0.0, product * 0.0 + 1.0]


_add_moments = over_rows(_moments, given=1, sums=2 * POWERS + 1)
_add_terms = over_rows(_terms, given=3, sums=8, finish=_logs)


@inlined
def _ahead(column, last, group, groups):
    """What to have on its way while a group of neurons takes a block of rows: of the next block.

    As many lines as the block has rows: neighbours in a row where that comes out even, as that is
    how memory is laid out, and elsewhere those of the group itself.
    """
    if groups % BLOCK == 0:
        shares = groups // BLOCK
        return last + group // shares, column + group % shares * BLOCK * LANES, 0, LANES
    return last, column + group * LANES, 1, 0


@inlined
def _of_piece(piece, cut, label, n):
    """Where the rows of a class begin and end in a piece."""
    start = piece * PIECE
    if label == 0:
        return start, start + cut
    return start + cut, min(start + PIECE, n)


@compiled
def _arranged(label):
    """Examples, of each piece the positives first, how many those are, and 1 for each of them."""
    n = len(label)
    rows, cuts = np.empty(n, np.int64), np.zeros(-(-n // PIECE), np.int64)
    positive = label.astype(np.float32)
    for piece in range(len(cuts)):
        place, stop = piece * PIECE, min(piece * PIECE + PIECE, n)
        for wanted in (True, False):
            for i in range(piece * PIECE, stop):
                if label[i] == wanted:
                    rows[place] = i
                    place += 1
            if wanted:
                cuts[piece] = place - piece * PIECE
    return rows, cuts, positive


@watchful
def _sum_moments(x, column, rows, positive, width, given, part, into):
    """The sums of `_moments` over some rows, as rows of `into`."""
    groups = width // LANES
    part[:], into[:] = f32(0), 0.0
    for start in range(0, len(rows), PIECE):
        stop = min(start + PIECE, len(rows))
        for first in range(start, stop, BLOCK):
            last = min(first + BLOCK, stop)
            for group in range(groups):
                lane, ahead = group * LANES, _ahead(column, last, group, groups)
                _add_moments(
                    x, column + lane, rows, first, last, positive, given, part, lane, ahead
                )
        for s in range(len(part)):
            if s != POWERS:
                for j in range(width):
                    into[s, j] += part[s, j]
                    part[s, j] = f32(0)
    into[POWERS] = part[POWERS]


@compiled
def _sum_terms(x, column, rows, cuts, positive, groups, given, part, into):
    """The six sums of `_terms` for some groups of neurons: `[class, sum, neuron]`.

    What is given of neurons is `[class, given, neuron]`.
    """
    part[:], into[:] = f32(0), 0.0
    part[:, 7] = f32(1)
    for piece in range(len(cuts)):
        for label in range(2):
            start, stop = _of_piece(piece, cuts[piece], label, len(rows))
            sums, of_class = part[label], given[label]
            for first in range(start, stop, BLOCK):
                last = min(first + BLOCK, stop)
                for group in groups:
                    lane, ahead = group * LANES, _ahead(column, last, group, len(groups))
                    _add_terms(
                        x, column + lane, rows, first, last, positive, of_class, sums, lane, ahead
                    )
            for group in groups:
                for s in range(6):
                    for j in range(group * LANES, (group + 1) * LANES):
                        into[label, s, j] += sums[s, j]
                        sums[s, j] = f32(0)


@watchful
def _guess_means(x, column, width, into):
    """The mean of each neuron over some of the examples, within the range of its values."""
    n = min(len(x), SAMPLE)
    total = np.zeros(width)
    for i in range(n):
        for j in range(width):
            total[j] += x[i, column + j]
    for j in range(width):
        into[0, j] = f32(total[j] / n)


@watchful
def _know(moments, n, width, guess, middle, known, strange):
    """Centre, spread and reach of neurons, from their moments about a guess.

    A constant neuron has no reach, and unit spread. Neurons whose values are not finite, or whose
    squares float32 cannot hold, are marked as strange.
    """
    known[:] = 0.0
    for j in range(width):
        off, square, reach = moments[0, j] / n, moments[1, j] / n, moments[POWERS, j]
        middle[j] = f32(guess[0, j] + off)
        known[SD, j] = 1.0
        strange[j] = not (math.isfinite(square) and math.isfinite(off))
        if strange[j]:
            middle[j] = f32(0)
        elif reach > LEAST:
            variance = square - off * off
            strange[j] = not (SMALLEST < square < LARGEST) or variance < 1e-4 * off * off
            if not strange[j]:
                known[SD, j] = math.sqrt(variance)
                known[REACH, j] = (reach + abs(off)) / known[SD, j]


@compiled
def _pack(x, column, kept, room):
    """Some columns of a matrix in whole lanes, filled up with zeros: a view of `room`."""
    n, wide = len(x), -(-len(kept) // LANES) * LANES
    packed = room[: n * wide].reshape(n, wide)
    for i in range(n):
        for j in range(len(kept)):
            packed[i, j] = x[i, column + kept[j]]
        for j in range(len(kept), wide):
            packed[i, j] = f32(0)
    return packed


@compiled
def _forget(state, given, first, last):
    """Lanes that hold no neuron."""
    for j in range(first, last):
        given[:, 0, j] = f32(0)
        for s in range(len(state)):
            state[s, j] = 0.0
        state[SD, j] = 1.0


@compiled
def _discriminant(above, n_positive, n, odds, l2):
    """Linear discriminant of a neuron, shrunk by the ridge: weight and bias near the minimum.

    `above` is the sum of its standardised values over the positives.
    """
    upper, lower = above / n_positive, -above / (n - n_positive)
    share = n_positive / n
    within = 1 - share * (1 - share) * (upper - lower) ** 2
    at = (upper - lower) / (max(within, 1e-3) + 4 * l2)
    # A start beyond the minimum lies where the loss is flat, and steps from there go astray.
    at = min(max(at, -3.0), 3.0)
    return at, math.log(odds) - at * (upper + lower) / 2


@compiled
def _standard_moments(moments, off, sd, count, into):
    """Sums of powers 0 to 4 of standardised values, from those about another centre."""
    a, b, c, d = moments[0], moments[1], moments[2], moments[3]
    into[0] = count
    into[1] = (a - off * count) / sd
    into[2] = (b - off * (2 * a - off * count)) / sd**2
    into[3] = (c - off * (3 * b - off * (3 * a - off * count))) / sd**3
    into[4] = (d - off * (4 * c - off * (6 * b - off * (4 * a - off * count)))) / sd**4


@compiled
def _slopes(at_bias, sign, weight, into):
    """The first four derivatives of an example's loss by its log-odds."""
    wrong = 1 / (1 + math.exp(sign * at_bias))
    curve = wrong * (1 - wrong)
    into[0] = -sign * weight * wrong
    into[1] = weight * curve
    into[2] = -sign * weight * curve * (1 - 2 * wrong)
    into[3] = weight * curve * ((1 - 2 * wrong) ** 2 - 2 * curve)


@watchful
def _start(above, below, slopes, n, l2, reach):
    """Weight and move of the bias where the loss, to its fourth power, is least; and if that is so.

    It is the loss about the weight 0, as moments of both classes give it: good to the sixth power
    of what a neuron moves the log-odds by, if that is small for every example.
    """
    at, move = 0.0, 0.0
    for _ in range(3):
        by_at, by_move, ww, wb, bb = l2 * at, 0.0, l2, 0.0, 0.0
        for label in range(2):
            m, s = (above, slopes[0]) if label == 0 else (below, slopes[1])
            s1, s2, s3, s4 = s[0] / n, s[1] / n, s[2] / n, s[3] / n
            # mean powers of what moves the log-odds, d, alone and times z and z z
            d1 = at * m[1] + move * m[0]
            d1z = at * m[2] + move * m[1]
            d1zz = at * m[3] + move * m[2]
            d2 = at * d1z + move * d1
            d2z = at * d1zz + move * d1z
            d2zz = at * (at * m[4] + move * m[3]) + move * d1zz
            d3, d3z = at * d2z + move * d2, at * d2zz + move * d2z
            by_at += s1 * m[1] + s2 * d1z + s3 * d2z / 2 + s4 * d3z / 6
            by_move += s1 * m[0] + s2 * d1 + s3 * d2 / 2 + s4 * d3 / 6
            ww += s2 * m[2] + s3 * d1zz + s4 * d2zz / 2
            wb += s2 * m[1] + s3 * d1z + s4 * d2z / 2
            bb += s2 * m[0] + s3 * d1 + s4 * d2 / 2
        determinant = ww * bb - wb * wb
        at += (wb * by_move - bb * by_at) / determinant
        move += (wb * by_at - ww * by_move) / determinant
    return at, move, abs(at) * reach + abs(move) < 1.0


@watchful
def _begin(above, whole, middle, guess, n_positive, n, weights, l2, width, state):
    """Where to start from, for each neuron: near the minimum, from moments of the positives."""
    slopes, of = np.empty((2, 4)), np.empty((3, POWERS + 1))
    odds = weights[0] * n_positive / (weights[1] * (n - n_positive))
    bias = math.log(odds)
    for label in range(2):
        _slopes(bias, 1.0 - 2.0 * label, weights[label], slopes[label])
    for j in range(width):
        off, sd = float(middle[j]) - float(guess[0, j]), state[SD, j]
        _standard_moments(above[:, j], off, sd, n_positive, of[0])
        _standard_moments(whole[:, j], off, sd, n, of[2])
        of[1] = of[2] - of[0]
        at, move, good = _start(of[0], of[1], slopes, n, l2, state[REACH, j])
        if good:
            state[AT, j], state[BIAS, j] = at, bias + move
        else:
            state[AT, j], state[BIAS, j] = _discriminant(of[0, 1], n_positive, n, odds, l2)


@compiled
def _sum_classes(x, column, examples, weights, groups, state, given, scratch, total):
    """The sums of a step over both classes, in units of the standardised neurons."""
    rows, cuts, positive = examples
    part, of_class = scratch
    width = (groups[-1] + 1) * LANES
    for label in range(2):
        for j in range(width):
            sign = LOG2_E if label == 0 else -LOG2_E
            given[label, 1, j] = f32(sign * state[AT, j] / state[SD, j])
            given[label, 2, j] = f32(sign * state[BIAS, j])
    _sum_terms(x, column, rows, cuts, positive, groups, given, part, of_class)
    upper, lower = weights
    for j in range(width):
        sd, yes, no = state[SD, j], of_class[0, :, j], of_class[1, :, j]
        total[0, j] = (upper * yes[0] - lower * no[0]) / sd
        total[1, j] = upper * yes[1] - lower * no[1]
        total[2, j] = (upper * yes[2] + lower * no[2]) / (sd * sd)
        total[3, j] = (upper * yes[3] + lower * no[3]) / sd
        total[4, j] = upper * yes[4] + lower * no[4]
        total[5, j] = -(upper * yes[5] + lower * no[5])


@compiled
def _step(of, sums, n, l2, near):
    """Move one neuron by a step; whether it has arrived, and its loss there if so.

    The step and its safeguard are those of `one_neuron._newton`.
    """
    at, bias = of[AT], of[BIAS]
    loss = sums[5] / n + l2 / 2 * at * at
    by_at, by_bias = l2 * at - sums[0] / n, -sums[1] / n
    ww, wb, bb = l2 + sums[2] / n, sums[3] / n, max(sums[4] / n, 1e-12)
    if by_at * of[STEP_AT] + by_bias * of[STEP_BIAS] > abs(of[SLOPE]) / 2:
        furthest = max(abs(of[STEP_AT]) * of[REACH] + abs(of[STEP_BIAS]), 1e-300)
        back = math.log1p(furthest) / furthest - 1
        of[AT] += back * of[STEP_AT]
        of[BIAS] += back * of[STEP_BIAS]
        of[STEP_AT] = of[STEP_BIAS] = of[SLOPE] = 0.0
        return False, loss
    determinant = max(ww * bb - wb * wb, 1e-12 * ww * bb)
    step_at = (wb * by_bias - bb * by_at) / determinant
    step_bias = (wb * by_at - ww * by_bias) / determinant
    slope = by_at * step_at + by_bias * step_bias
    of[AT], of[BIAS] = at + step_at, bias + step_bias
    of[STEP_AT], of[STEP_BIAS], of[SLOPE] = step_at, step_bias, slope
    far = abs(step_at) * of[REACH] + abs(step_bias)
    # A Newton step of reach r leaves at most this share of what it promised (Bach 2010).
    r = min(max(far, 1e-9), 20.0)
    left = math.exp(r) * ((math.expm1(r) - r) / r) ** 2 * abs(slope) / 2
    # Of the last step the loss needs no further pass: half its slope, but for `left`.
    return far <= near[0] or left <= near[1], loss + slope / 2


@compiled
def _newton(
    x, column, examples, weights, strange, state, given, l2, most, near, room, scratch, out
):
    """Fit neurons side by side from their starts; weight, bias, loss, arrival and steps to `out`.

    Sixteen stop when all of them have arrived; a few that go on are copied beside one another.
    """
    n, total = len(x), np.empty((6, state.shape[1]))
    which, under_way = np.arange(len(strange)), ~strange
    for taken in range(1, most + 2):
        if not under_way.any():
            return
        groups = np.unique(np.flatnonzero(under_way) // LANES)
        _sum_classes(x, column, examples, weights, groups, state, given, scratch, total)
        for j in np.flatnonzero(under_way):
            at, bias, to = state[AT, j], state[BIAS, j], which[j]
            arrived, loss = False, total[5, j] / n + l2 / 2 * at * at
            if taken <= most:
                arrived, loss = _step(state[:, j], total[:, j], n, l2, near)
                at, bias = state[AT, j], state[BIAS, j]
            if arrived or taken > most:
                under_way[j] = False
                out[0, to] = at / state[SD, j] if state[REACH, j] > 0 else 0.0
                out[1, to] = bias - out[0, to] * given[0, 0, j]
                out[2, to], out[3, to], out[4, to] = loss, arrived, min(taken, most)
        kept = np.flatnonzero(under_way)
        wide = -(-len(kept) // LANES) * LANES
        if 0 < 4 * wide <= len(which) and n * wide <= len(room):
            x, column = _pack(x, column, kept, room), 0
            for to, before in enumerate(kept):
                state[:, to], given[:, 0, to] = state[:, before], given[:, 0, before]
            _forget(state, given, len(kept), wide)
            which, under_way = which[kept], np.ones(len(kept), dtype=np.bool_)


@compiled
def fit_columns(x, before, lo, hi, labels, weights, l2, most, near, width, room, out, strange):
    """Fit neurons `lo` to `hi` for every feature, of a matrix that begins with neuron `before`.

    `labels` are `[feature, example]`; `weights` those of an example of either class,
    `[feature, 2]`; `near` the move of a log-odds and the loss that do not count; `width` how many
    neurons are fitted at a time, in whole lanes, and `room` is for copies of few of them. Weight,
    bias, loss, whether it arrived and steps go to `out`, `[5, feature, neuron]`. Neurons whose
    values are not finite, or too small or large to be squared in float32, are marked in `strange`,
    `[neuron]`, and left out.
    """
    n, everyone = len(x), np.arange(len(x))
    part, scratch = np.zeros((9, width), np.float32), np.zeros((2, 8, width), np.float32)
    given, guess = np.zeros((2, 3, width), np.float32), np.zeros((1, width), np.float32)
    known, state, of_class = np.zeros((7, width)), np.zeros((7, width)), np.zeros((2, 6, width))
    moments, whole, middle = np.zeros((9, width)), np.zeros((5, width)), np.zeros(width, np.float32)
    first, these = lo, 0
    while first + these < hi:
        first += these
        these = min(width, hi - first)
        these -= these % (EVEN if these >= EVEN else min(these, LANES))
        wide, odd = -(-these // LANES) * LANES, strange[first : first + these]
        for k in range(len(labels)):
            rows, cuts, positive = _arranged(labels[k])
            values, column = x, first - before
            if wide > these:
                values, column = _pack(x, column, np.arange(these), room), 0
            if k == 0:
                _guess_means(values, column, wide, guess)
            asked = everyone if k == 0 else np.flatnonzero(labels[k])
            _sum_moments(values, column, asked, positive, wide, guess, part, moments)
            if k == 0:
                whole[:] = moments[: POWERS + 1]
                _know(whole, n, these, guess, middle, known, odd)
                known[SD, these:] = 1.0
            state[:], given[:, 0] = known, middle
            n_positive, above = cuts.sum(), moments[POWERS + 1 :]
            _begin(above, whole, middle, guess, n_positive, n, weights[k], l2, these, state)
            _newton(
                values, column, (rows, cuts, positive), weights[k], odd, state, given,
                l2, most, near, room, (scratch, of_class), out[:, k, first : first + these],
            )  # fmt: skip
