"""Moments agree with numpy on the whole matrix, however the rows arrive."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from needlepoint._core.errors import DataError
from needlepoint.activations.moments import Moments


def stream(x, cuts, order=None):
    """Moments of each piece of `x`, merged in the given order."""
    pieces = []
    for piece in np.split(x, sorted(cuts)):
        moments = Moments()
        moments.update(torch.from_numpy(piece))
        pieces.append(moments)
    total = Moments()
    for index in order or range(len(pieces)):
        total.merge(pieces[index])
    return total


def assert_equal_numpy(moments, x):
    x = x.astype(np.float64)
    scale = np.abs(x).max(0)
    assert moments.count == len(x)
    np.testing.assert_array_less(np.abs(moments.mean.numpy() - x.mean(0)), 1e-12 * scale + 1e-300)
    np.testing.assert_allclose(moments.variance.numpy(), x.var(0), rtol=1e-9)
    np.testing.assert_allclose(moments.std.numpy(), x.std(0), rtol=1e-9)
    np.testing.assert_array_equal(moments.min.numpy(), x.min(0))
    np.testing.assert_array_equal(moments.max.numpy(), x.max(0))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_cut_and_any_order_of_merging_equals_numpy(data):
    seed = data.draw(st.integers(0, 2**32 - 1))
    rows = data.draw(st.integers(2, 60))
    offset = data.draw(st.sampled_from([0.0, 3.0, -1e4, 1e6]))
    cuts = data.draw(st.lists(st.integers(0, rows), max_size=6))
    order = data.draw(st.permutations(range(len(cuts) + 1)))
    x = offset + np.random.default_rng(seed).normal(size=(rows, 3))
    assert_equal_numpy(stream(x, cuts, order), x)


def test_a_mean_a_million_times_the_spread_costs_no_digits_where_the_naive_formula_fails():
    x = 1e6 + np.random.default_rng(0).normal(size=(4000, 4)) * 1e-1
    moments = stream(x, range(37, 4000, 37))
    np.testing.assert_allclose(moments.variance.numpy(), x.var(0), rtol=1e-9)
    naive = (x**2).mean(0) - x.mean(0) ** 2
    assert np.abs(naive / x.var(0) - 1).max() > 1e-4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_low_precision_rows_accumulate_in_float64(dtype):
    x = torch.randn(5000, 2, generator=torch.Generator().manual_seed(0)).add(8).to(dtype)
    moments = Moments()
    for piece in x.split(17):
        moments.update(piece)
    assert moments.mean.dtype == torch.float64
    assert_equal_numpy(moments, x.double().numpy())


def test_merging_leaves_the_other_as_it_was_and_empty_is_neutral():
    one, other = Moments(), Moments()
    one.update(torch.tensor([[1.0], [2.0]]))
    other.update(torch.tensor([[9.0]]))
    one.merge(Moments())
    one.update(torch.empty(0, 1))
    one.merge(other)
    other.update(torch.tensor([[5.0]]))
    assert (one.count, one.mean.item(), other.count, other.mean.item()) == (3, 4.0, 2, 7.0)


def test_merging_into_an_empty_one_does_not_tie_the_two_together():
    one, other = Moments(), Moments()
    other.update(torch.tensor([[9.0]]))
    one.merge(other)
    one.update(torch.tensor([[1.0]]))
    assert other.mean.item() == 9.0
    assert other.max.item() == 9.0


@pytest.mark.parametrize("name", ["mean", "variance", "std", "min", "max"])
def test_no_rows_is_an_error(name):
    with pytest.raises(DataError, match="no rows were seen"):
        getattr(Moments(), name)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_value_that_is_not_finite_names_its_column_and_takes_nothing_in(bad):
    moments = Moments()
    moments.update(torch.zeros(10, 4))
    x = torch.zeros(3, 4)
    x[2, 1] = x[0, 3] = bad
    with pytest.raises(DataError, match=r"column 1 holds .* at row 12"):
        moments.update(x)
    assert moments.count == 10


def test_rows_of_another_width_are_refused():
    moments = Moments()
    moments.update(torch.zeros(1, 4))
    with pytest.raises(DataError, match="rows of 5 units cannot be joined to rows of 4"):
        moments.update(torch.zeros(1, 5))
    assert moments.count == 1
