"""Narrow coordinates keep the geometry of wide outputs; what does not fit is refused."""

from __future__ import annotations

import jaxtyping
import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.circuits.head_data import HeadData


@pytest.fixture
def as_without_shape_checks():
    """Let wrong shapes through to the guards, as they get where shapes are not checked."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


def make(n_pairs=6, n_heads=3, d_head=4, d_model=9, **changes) -> HeadData:
    rng = torch.Generator().manual_seed(0)
    parts = {
        "clean_z": torch.randn(n_pairs, n_heads, d_head, generator=rng, dtype=torch.float64),
        "corrupt_z": torch.randn(n_pairs, n_heads, d_head, generator=rng, dtype=torch.float64),
        "W_O": torch.randn(n_heads, d_head, d_model, generator=rng, dtype=torch.float64),
        "layer_of": torch.arange(n_heads) // 2,
    }
    return HeadData(**(parts | changes))


@pytest.mark.parametrize("d_model", [9, 4, 2])
def test_coordinates_keep_all_inner_products(d_model):
    data = make(d_model=d_model)
    wide, narrow = data.outputs.movedim(1, 0), data.coordinates.movedim(1, 0)
    torch.testing.assert_close(narrow @ narrow.mT, wide @ wide.mT)
    assert narrow.shape[-1] == min(4, d_model)


def test_a_head_that_writes_nothing_has_zero_coordinates():
    W_O = torch.zeros(3, 4, 9)
    assert make(W_O=W_O).coordinates.abs().max() == 0


def test_rows_are_clean_first_and_swapping_exchanges_them():
    data = make()
    assert torch.equal(data.z[data.is_clean], data.clean_z)
    assert torch.equal(data.z[~data.is_clean], data.corrupt_z)
    assert torch.equal(data.swapped().clean_z, data.corrupt_z)
    torch.testing.assert_close(data.swapped().clean, data.corrupt)


def test_taking_pairs_and_heads():
    data = make(group_of=torch.arange(6) // 2)
    some = data.take_pairs(torch.tensor([4, 0])).take_heads(torch.tensor([2, 1]))
    assert torch.equal(some.clean_z, data.clean_z[[4, 0]][:, [2, 1]])
    assert some.group_of is not None
    assert some.group_of.tolist() == [2, 0]
    assert some.layer_of.tolist() == [1, 0]
    torch.testing.assert_close(some.outputs[0], data.outputs[4, [2, 1]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corrupt_z": torch.zeros(5, 3, 4)}, "one corrupt example for each clean one"),
        ({"W_O": torch.zeros(2, 4, 9)}, "they must agree"),
        ({"layer_of": torch.zeros(4, dtype=torch.long)}, "layer_of of 4"),
        ({"group_of": torch.zeros(4, dtype=torch.long)}, "4 entries for 6 pairs"),
    ],
)
@pytest.mark.usefixtures("as_without_shape_checks")
def test_parts_that_do_not_agree_are_refused(changes, message):
    with pytest.raises(DataError, match=message):
        make(**changes)


def test_one_pair_is_refused():
    with pytest.raises(DataError, match="only 1 pair: give at least 2"):
        make(n_pairs=1)


def test_the_first_value_that_is_not_finite_is_named():
    corrupt = torch.zeros(6, 3, 4)
    corrupt[4, 2, 1] = float("nan")
    with pytest.raises(DataError, match="corrupt_z of pair 4, head 2 is not finite"):
        make(corrupt_z=corrupt)
