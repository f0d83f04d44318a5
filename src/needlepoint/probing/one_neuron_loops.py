"""The compiled fits of `one_neuron`: every value of a neuron is read from memory once.

A neuron's values stay in the nearest cache while its fit takes all its Newton steps, and a step
takes its five sums in one pass. Values are float32; sums are float32 over a thousand examples at
most, and float64 beyond.
"""

from __future__ import annotations

import math

import numpy as np

from needlepoint._core.compiled import (
    TILE,
    compiled,
    f32,
    fetch,
    inlined,
    largest,
    rounded,
    times_two_to,
    turn_tile,
    watchful,
)

PIECE = 1024
"""Examples summed in float32."""
TINY = 1e-30
"""Mean squares below which those of float32 lose digits."""
LEAST = 1e-37
"""Spread that float32 cannot be divided by: as good as none."""
LOG2_E = 1.4426950408889634
FURTHEST = 80.0
"""Powers of two beyond which a sigmoid is as good as 0 or 1."""


@inlined
def _two_to(power):
    """Two to a power of at most 80 in size, to 1e-7 of itself."""
    whole = rounded(power)
    f = power - whole
    near = f32(1.3276471873459247e-3)
    near = near * f + f32(9.675541333468885e-3)
    near = near * f + f32(5.550713273865548e-2)
    near = near * f + f32(0.24022119723864455)
    near = near * f + f32(0.693146967064536)
    near = near * f + f32(1.0)
    return times_two_to(near, whole)


@inlined
def _log_of_rest(x):
    """-log(1 - x) for x in 0 to 1/2, to 2e-7 of itself."""
    near = f32(1.184931194925983)
    near = near * x + f32(-1.0815396757049818)
    near = near * x + f32(0.7854306714874894)
    near = near * x + f32(3.801818374781432e-2)
    near = near * x + f32(0.27225051693336855)
    near = near * x + f32(0.33186262165652014)
    near = near * x + f32(0.5000365431725129)
    near = near * x + f32(1.0)
    return near * x


@compiled
def _sums(z, y, weight, signed, at, bias, into):
    """What a step needs, summed over the examples, each times its weight.

    With p how far an example is from being told right: `p y z`, `p y`, `p (1-p) z z`,
    `p (1-p) z`, `p (1-p)` and `-log(1-p)`.
    """
    slope, shift = f32(at * LOG2_E), f32(bias * LOG2_E)
    into[:] = 0.0
    for start in range(0, len(z), PIECE):
        stop = min(len(z), start + PIECE)
        some, ys, ws, ss = z[start:stop], y[start:stop], weight[start:stop], signed[start:stop]
        by_bias, by_weight, both, wide, flat, loss = f32(0), f32(0), f32(0), f32(0), f32(0), f32(0)
        for i in range(stop - start):
            x = some[i]
            right = min(max(ys[i] * (slope * x + shift), f32(-FURTHEST)), f32(FURTHEST))
            odds = _two_to(right)
            wrong = f32(1) / (f32(1) + odds)
            correct = odds * wrong
            curve = correct * wrong * ws[i]
            pull = wrong * ss[i]
            by_bias += pull
            by_weight += pull * x
            flat += curve
            both += curve * x
            wide += curve * x * x
            rest = _log_of_rest(min(wrong, correct))
            loss += ws[i] * (rest - min(right, f32(0)) * f32(1 / LOG2_E))
        into[0] += by_weight
        into[1] += by_bias
        into[2] += wide
        into[3] += both
        into[4] += flat
        into[5] += loss


@compiled
def _standardise(z):
    """Give a neuron mean 0 and spread 1 in place; its mean, spread and largest size since.

    A constant neuron gets its value as mean, unit spread, and zeros.
    """
    n, first = len(z), z[0]
    mean = _sum(z) / n
    rest, squares = _centre(z, f32(mean))
    rest /= n
    if squares < TINY * n:
        squares = _small_squares(z)
    sd = math.sqrt(max(squares / n - rest * rest, 0.0))
    if sd <= 1e-5 * abs(first) or sd < LEAST:
        # Only a spread of the size of rounding errors calls for a closer look.
        same = f32(first - f32(mean))
        if sd < LEAST or np.all(z == same):
            z[:] = f32(0)
            return float(first), 1.0, 0.0
    return mean + rest, sd, _scale(z, f32(rest), f32(1 / sd))


@compiled
def _sum(z):
    total = 0.0
    for start in range(0, len(z), PIECE):
        some = z[start : start + PIECE]
        part = f32(0)
        for i in range(len(some)):
            part += some[i]
        total += part
    return total


@watchful
def _can_be_squared(z):
    """Whether all values are finite, and the sum of their squares."""
    total = f32(0)
    for i in range(len(z)):
        total += z[i] * z[i]
    return math.isfinite(total)


@compiled
def _centre(z, mean):
    """Subtract about the mean; sum and sum of squares of what is left."""
    total, squares = 0.0, 0.0
    for start in range(0, len(z), PIECE):
        some = z[start : start + PIECE]
        part, square = f32(0), f32(0)
        for i in range(len(some)):
            x = some[i] - mean
            some[i] = x
            part += x
            square += x * x
        total += part
        squares += square
    return total, squares


@compiled
def _small_squares(z):
    """Sum of squares that float32 cannot hold."""
    total = 0.0
    for i in range(len(z)):
        x = np.float64(z[i])
        total += x * x
    return total


@compiled
def _scale(z, rest, by):
    """Subtract what is left of the mean, and scale; the largest size of a value since."""
    size = f32(0)
    for i in range(len(z)):
        x = (z[i] - rest) * by
        z[i] = x
        size = largest(size, abs(x))
    return float(size)


@compiled
def _start(z, y, n_positive, odds, l2):
    """Linear discriminant of a neuron, shrunk by the ridge: weight and bias near the minimum."""
    above = 0.0
    for start in range(0, len(z), PIECE):
        stop = min(len(z), start + PIECE)
        some, ys = z[start:stop], y[start:stop]
        part = f32(0)
        for i in range(stop - start):
            part += some[i] * ys[i]
        above += part / 2  # the two classes add up to 0
    n = len(z)
    upper, lower = above / n_positive, -above / (n - n_positive)
    share = n_positive / n
    within = 1 - share * (1 - share) * (upper - lower) ** 2
    at = (upper - lower) / (max(within, 1e-3) + 4 * l2)
    # A start beyond the minimum lies where the loss is flat, and steps from there go astray.
    at = min(max(at, -3.0), 3.0)
    return at, math.log(odds) - at * (upper + lower) / 2


@compiled
def _newton(z, y, weight, signed, at, bias, reach, l2, most, near):
    """The minimum from a start: weight, bias, loss, whether it arrived, and the steps taken.

    The steps and their safeguard are those of `one_neuron._newton`.
    """
    n = len(z)
    sums = np.empty(6)
    step_at, step_bias, slope = 0.0, 0.0, 0.0
    for taken in range(1, most + 1):
        _sums(z, y, weight, signed, at, bias, sums)
        loss = sums[5] / n + l2 / 2 * at * at
        by_at, by_bias = l2 * at - sums[0] / n, -sums[1] / n
        ww, wb, bb = l2 + sums[2] / n, sums[3] / n, max(sums[4] / n, 1e-12)
        if by_at * step_at + by_bias * step_bias > abs(slope) / 2:
            furthest = max(abs(step_at) * reach + abs(step_bias), 1e-300)
            back = math.log1p(furthest) / furthest - 1
            at, bias = at + back * step_at, bias + back * step_bias
            step_at, step_bias, slope = 0.0, 0.0, 0.0
            continue
        determinant = max(ww * bb - wb * wb, 1e-12 * ww * bb)
        step_at = (wb * by_bias - bb * by_at) / determinant
        step_bias = (wb * by_at - ww * by_bias) / determinant
        slope = by_at * step_at + by_bias * step_bias
        at, bias = at + step_at, bias + step_bias
        far = abs(step_at) * reach + abs(step_bias)
        # A Newton step of reach r leaves at most this share of what it promised (Bach 2010).
        r = min(max(far, 1e-9), 20.0)
        left = math.exp(r) * ((math.expm1(r) - r) / r) ** 2 * abs(slope) / 2
        if far <= near[0] or left <= near[1]:
            # Of the last step the loss needs no further pass: half its slope, but for `left`.
            return at, bias, loss + slope / 2, True, taken
    _sums(z, y, weight, signed, at, bias, sums)
    return at, bias, sums[5] / n + l2 / 2 * at * at, False, most


@compiled
def _columns(x, lo, hi, into):
    """Some columns of a matrix of rows, each laid out in a row.

    Rows of a wide matrix lie too far apart for the processor to guess the next.
    """
    n, last = len(x), len(x) - 1
    tiled_rows, tiled = n - n % TILE, hi - lo - (hi - lo) % TILE
    for i in range(0, tiled_rows, TILE):
        for ahead in range(i + TILE, i + 2 * TILE):
            for j in range(lo, hi, TILE):
                fetch(x, min(ahead, last), j)
        for j in range(0, tiled, TILE):
            turn_tile(x, i, lo + j, into, j, i)
    for i in range(n):
        first = tiled if i < tiled_rows else 0
        for j in range(first, hi - lo):
            into[j, i] = x[i, lo + j]


@compiled
def fit_columns(
    x, before, lo, hi, ys, weights, signed, n_positive, odds, l2, most, near, room, out, strange
):
    """Fit neurons `lo` to `hi` for every feature, of a matrix that begins with neuron `before`.

    `ys`, the labels as 1 and -1, the `weights` of the examples and their product `signed` are
    `[feature, example]`; `odds` are the weighted odds of each feature; `near` are the move of a
    log-odds and the loss that do not count; `room` holds a few neurons at a time. Weight, bias,
    loss, whether it arrived and steps go to `out`, `[5, feature, neuron]`. Neurons of values that
    are not finite, or too large for float32, are marked in `strange`, `[neuron]`, and left out.
    """
    width = len(room)
    for first in range(lo, hi, width):
        last = min(first + width, hi)
        _columns(x, first - before, last - before, room)
        for here in range(first, last):
            z = room[here - first]
            if not _can_be_squared(z):
                strange[here] = True
                continue
            mean, sd, reach = _standardise(z)
            for k in range(len(ys)):
                y, weight = ys[k], weights[k]
                at, bias = _start(z, y, n_positive[k], odds[k], l2)
                at, bias, loss, arrived, taken = _newton(
                    z, y, weight, signed[k], at, bias, reach, l2, most, near
                )
                at /= sd
                out[0, k, here] = at
                out[1, k, here] = bias - at * mean
                out[2, k, here] = loss
                out[3, k, here] = arrived
                out[4, k, here] = taken
