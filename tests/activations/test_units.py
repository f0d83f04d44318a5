"""Some units of a site: which columns they are, and that a store of them is one of its own."""

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.activations.extract import extract
from needlepoint.activations.reduce import Rows
from needlepoint.activations.units import Units
from needlepoint.models.sites import Site
from needlepoint.testing.tiny import tiny_model

FIRST, SECOND = Site.parse("L0.mlp.neurons"), Site.parse("L1.mlp.neurons")
IDS = [[5, 6, 7], [8, 9], [1, 2, 3, 4]]


@pytest.fixture(scope="module")
def model():
    return tiny_model("llama")


@pytest.fixture
def read(model, own_cache):
    def call(units=None, sites=(FIRST, SECOND)):
        return extract(model, IDS, sites, Rows.whole(IDS), units=units)

    return call


def test_a_store_of_some_units_has_their_columns_in_the_order_given(read) -> None:
    whole, some = read(), read(Units({FIRST: torch.tensor([40, 3])}))
    assert torch.equal(some.read(FIRST), whole.read(FIRST)[:, [40, 3]])
    assert torch.equal(some.read(SECOND), whole.read(SECOND))
    assert dict(some.store.request.widths) == {str(FIRST): 2, str(SECOND): 48}


def test_the_key_of_a_store_has_the_choice_in_it(read) -> None:
    choices = [None, Units(), *(Units({FIRST: torch.tensor(one)}) for one in ([1, 2], [2, 1]))]
    choices.append(Units({SECOND: torch.tensor([1, 2])}))
    keys = [read(units).store.request.key for units in choices]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4


def test_heads_are_flat_where_some_of_their_columns_are_kept(read, model) -> None:
    heads = Site.parse("L0.attn.z")
    whole, some = read(sites=(heads,)), read(Units({heads: torch.tensor([0, 9])}), (heads,))
    assert whole.read(heads).ndim == 3
    assert torch.equal(some.read(heads), whole.read(heads).flatten(1)[:, [0, 9]])


def test_what_a_site_has_not_is_refused(read) -> None:
    with pytest.raises(
        DataError, match=r"unit 48 of L0.mlp.neurons is chosen; it has units 0 to 47"
    ):
        read(Units({FIRST: torch.tensor([3, 48])}))
    with pytest.raises(DataError, match=r"unit -1 of L0.mlp.neurons is chosen"):
        read(Units({FIRST: torch.tensor([-1])}))
    with pytest.raises(DataError, match=r"units of L1.mlp.neurons are chosen, which is not read"):
        read(Units({SECOND: torch.tensor([1])}), (FIRST,))
    with pytest.raises(DataError, match=r"a unit of L0.mlp.neurons is chosen twice"):
        Units({FIRST: torch.tensor([1, 1])})
    with pytest.raises(DataError, match=r"no unit of L0.mlp.neurons is chosen"):
        Units({FIRST: torch.tensor([], dtype=torch.long)})
