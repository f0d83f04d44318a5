"""Sums over rows by sixteen columns, and the functions that formulas may use."""

import numpy as np
import pytest

from needlepoint._core.compiled import compiled
from needlepoint._core.lanes import LANES, over_rows


def of_each(formula):
    """The values of a formula for sixteen numbers at a time."""
    go = over_rows(lambda x, of_row, given, sums: [formula(x)], given=1, sums=1)

    @compiled
    def run(x, out):
        given, rows = np.zeros((1, LANES), np.float32), np.arange(len(x))
        for i in range(len(x)):
            go(x, 0, rows, i, i + 1, x[:, 0], given, out[i : i + 1], 0, (i, 0, 0, 0))

    def values(numbers):
        x = np.resize(np.asarray(numbers, np.float32), (-(-len(numbers) // LANES), LANES))
        out = np.empty_like(x)
        run(x, out)
        return out.reshape(-1)[: len(numbers)].astype(np.float64)

    return values


def test_powers_of_two():
    x = np.linspace(-80, 80, 4001).astype(np.float32)
    np.testing.assert_allclose(of_each(lambda v: v.two_to())(x), np.exp2(x.astype(float)), 2e-7)


def test_logarithms_keep_their_digits_also_near_one():
    near = 1 + np.concatenate([-(2.0 ** -np.arange(2, 24)), 2.0 ** -np.arange(2, 23)])
    x = np.concatenate([np.geomspace(2.0**-100, 2.0**100, 4001), near]).astype(np.float32)
    np.testing.assert_allclose(of_each(lambda v: v.log())(x), np.log(x.astype(float)), 3e-7)


@pytest.mark.parametrize(
    ("formula", "wanted"),
    [
        (lambda v: 1.0 / (v * v + 2.0), lambda x: 1 / (x * x + 2)),
        (lambda v: (0.5 - v).larger(-1.0).smaller(1.0), lambda x: np.clip(0.5 - x, -1, 1)),
        (lambda v: v.size() - 1.0, lambda x: np.abs(x) - 1),
        (lambda v: v.below(0.25, v, v * 2.0), lambda x: np.where(x < 0.25, x, 2 * x)),
        (lambda v: v.polynomial((2.0, -3.0, 0.5)), lambda x: 2 * x * x - 3 * x + 0.5),
    ],
)
def test_operators_are_those_of_numbers(formula, wanted):
    x = np.random.default_rng(0).normal(size=37).astype(np.float32)
    np.testing.assert_allclose(of_each(formula)(x), wanted(x.astype(float)), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("start", [0, 3])
@pytest.mark.parametrize("ahead", [(0, 0, 0, 0), (8, 5, 1, 0), (100, 0, 0, LANES)])
def test_sums_are_over_the_rows_and_columns_asked_for(start, ahead):
    rng = np.random.default_rng(1)
    x, centre = rng.normal(size=(9, 40)).astype(np.float32), rng.normal(size=(2, 48))
    rows = np.array([8, 0, 3, 3, 7, 1])
    go = over_rows(
        lambda v, of_row, given, sums: [
            sums[0] + of_row * (v - given[1]),
            sums[1].larger(v * given[0]),
        ],
        given=2,
        sums=2,
        finish=lambda sums: [sums[0] * 2.0, sums[1]],
    )

    @compiled
    def run(x, rows, start, of_rows, given, into, ahead):
        go(x, 5, rows, start, 6, of_rows, given, into, 16, ahead)

    given, into = centre.astype(np.float32), np.full((2, 48), -7, np.float32)
    of_rows = np.arange(9, dtype=np.float32)
    run(x, rows, start, of_rows, given, into, ahead)
    picked, given = x[rows[start:], 5:21].astype(float), given[:, 16:32]
    summed = 2 * (rows[start:] @ (picked - given[1]) - 7)
    np.testing.assert_allclose(into[0, 16:32], summed, rtol=1e-5, atol=1e-5)
    most = np.maximum((picked * given[0]).max(0), -7)
    np.testing.assert_allclose(into[1, 16:32], most, rtol=1e-6)
    assert (into[:, :16] == -7).all()
    assert (into[:, 32:] == -7).all()


def test_a_value_that_is_not_finite_stays_in_its_lane():
    x = np.ones((4, LANES), np.float32)
    x[2, 3] = np.nan
    go = over_rows(lambda v, of_row, given, sums: [sums[0] + v], given=1, sums=1)

    @compiled
    def run(x, rows, given, into):
        go(x, 0, rows, 0, 4, x[:, 0], given, into, 0, (0, 0, 0, 0))

    into = np.zeros((1, LANES), np.float32)
    run(x, np.arange(4), into.copy(), into)
    assert np.isnan(into[0, 3])
    assert (np.delete(into[0], 3) == 4).all()
