"""Bins keep order, hold the shares that were promised, and refuse what they cannot lay out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from needlepoint._core.errors import DataError
from needlepoint.activations.bins import Bins, _cells


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_greater_value_never_has_a_lower_bin(data):
    """Also for neighbouring floats, spikes, outliers and values far beyond the pilot."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    offset = data.draw(st.sampled_from([0.0, 1.0, -1e4, 1e30]))
    power = data.draw(st.sampled_from([1, 5]))
    scale = data.draw(st.sampled_from([1e-30, 1e-3, 1.0, 1e6]))
    pilot = (offset + scale * rng.normal(size=(40, 1)) ** power).astype(np.float32)
    bins = Bins.of(torch.from_numpy(pilot), data.draw(st.integers(2, 256)))
    near = pilot[:8]
    for _ in range(6):
        near = np.concatenate([near, np.nextafter(near[-8:], np.float32(np.inf))])
    far = np.float32([[-3e38], [-1e9], [0.0], [1e-40], [1e9], [3e38]])
    values = np.sort(np.concatenate([pilot, near, far]), axis=0)
    codes = bins.of_values(torch.from_numpy(values))[:, 0].long()
    assert (codes.diff() >= 0).all()
    assert codes.max() < bins.n_bins


def test_shares_of_the_bins_follow_the_arcsine_law():
    rng = torch.Generator().manual_seed(0)
    pilot = torch.randn(20_000, 1, generator=rng)
    bins = Bins.of(pilot, 16)
    share = bins.of_values(pilot)[:, 0].long().bincount(minlength=16) / len(pilot)
    edges = torch.sin(torch.arange(17) / 16 * torch.pi / 2).square()
    torch.testing.assert_close(share, edges.diff(), atol=0.012, rtol=0)
    assert share[0] < 0.02 < 0.08 < share[8]


@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_outliers_do_not_take_the_bins_from_the_middle(shift):
    rng = torch.Generator().manual_seed(1)
    pilot = shift + torch.randn(512, 1, generator=rng)
    pilot[::100] += 300.0
    codes = Bins.of(pilot, 64).of_values(pilot)[:, 0]
    assert len(codes.unique()) > 40


def test_a_unit_that_is_constant_in_the_pilot_still_tells_more_from_less():
    bins = Bins.of(torch.tensor([[2.0, 0.0]] * 30), 8)
    codes = bins.of_values(torch.tensor([[1.0, -1.0], [2.0, 0.0], [3.0, 1.0]])).long()
    assert (codes.diff(dim=0) > 0).all()


def test_half_precision_values_have_the_bins_of_the_same_float32_values():
    rng = torch.Generator().manual_seed(2)
    values = torch.randn(200, 3, generator=rng).half()
    bins = Bins.of(values, 32)
    assert torch.equal(bins.of_values(values), bins.of_values(values.float()))


def test_rows_are_independent_of_one_another():
    rng = torch.Generator().manual_seed(3)
    values = torch.randn(150, 4, generator=rng)
    bins = Bins.of(values, 32)
    one_by_one = torch.cat([bins.of_values(row[None]) for row in values])
    assert torch.equal(bins.of_values(values), one_by_one)


def test_what_cannot_be_laid_out_is_refused():
    for n_bins in (1, 257):
        with pytest.raises(DataError, match=f"n_bins is {n_bins}; it may be 2 to 256"):
            Bins.of(torch.zeros(3, 2), n_bins)
    with pytest.raises(DataError, match="a pilot needs at least one row"):
        Bins.of(torch.zeros(0, 2))
    with pytest.raises(DataError, match="column 1 holds nan at row 2"):
        Bins.of(torch.tensor([[0.0, 1.0]] * 2 + [[0.0, torch.nan]]))
    with pytest.raises(DataError, match="rows of 3 units cannot be joined to rows of 2"):
        Bins.of(torch.zeros(3, 2)).of_values(torch.zeros(1, 3))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_compiled_bins_are_those_of_torch_to_the_bit(data):
    """Counts from different devices are merged, so a value has the same bin on each."""
    finite = st.floats(-(2.0**100), 2.0**100, width=32)
    x = torch.tensor(data.draw(st.lists(st.lists(finite, min_size=3, max_size=3), min_size=1)))
    pilot = torch.tensor(data.draw(st.lists(st.lists(finite, min_size=3, max_size=3), min_size=1)))
    bins = Bins.of(pilot, data.draw(st.integers(2, 256)))
    cells = _cells(x, bins.centre, 1 / bins.scale) + bins._first
    assert torch.equal(bins.of_values(x), bins.table.view(-1)[cells.long()])
