import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from needlepoint.probing import columns
from needlepoint.probing.falling import Falling, sort_falling

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
EDGES = [0.0, -0.0, 1e-45, -1e-45, 1.2e-38, -1.2e-38, 3.4e38, -3.4e38, 1.0, -1.0, 0.1]


def check(falling: Falling, acts: Tensor, labels: Tensor) -> None:
    """Values and labels are those of every neuron sorted by value."""
    n = len(acts)
    places = torch.arange(-1, n + 1)[:, None].expand(-1, len(falling.neurons))
    values = falling.activations(places)
    assert (values[0] == torch.inf).all()
    assert (values[-1] == -torch.inf).all()
    expected = acts[:, falling.neurons].to(values.dtype).sort(dim=0, descending=True).values
    assert torch.equal(values[1:-1], expected + 0.0)
    for feature in falling.features:
        found = falling.places(feature) - torch.arange(len(falling.neurons))[:, None] * n
        for row, neuron in zip(found, falling.neurons.tolist(), strict=True):
            at_places = values[1:-1][row, falling.neurons.tolist().index(neuron)]
            own = acts[labels[:, feature], neuron].to(values.dtype)
            assert torch.equal(at_places, own.sort(descending=True).values + 0.0)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_values_and_labels_come_in_falling_order(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(DTYPES))
    n, n_features = data.draw(st.integers(2, 12)), data.draw(st.sampled_from([1, 2, 5, 33]))
    value = st.sampled_from(EDGES) | st.floats(-1e4, 1e4, width=16)
    rows = data.draw(st.lists(st.lists(value, min_size=3, max_size=3), min_size=n, max_size=n))
    acts = torch.tensor(rows, dtype=torch.float64).clamp(-6e4, 6e4).to(dtype)
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    labels = torch.rand(n, n_features, generator=generator) < 0.5
    labels[0], labels[1] = True, False
    seen = set()
    for falling in sort_falling(acts, labels):
        check(falling, acts, labels)
        seen |= {(int(neuron), one) for neuron in falling.neurons for one in falling.features}
    assert len(seen) == 3 * n_features


@pytest.mark.parametrize("n_features", [1, 2, 3, 40])
def test_the_width_of_the_keys_changes_nothing(n_features: int, monkeypatch) -> None:
    monkeypatch.setattr(columns, "BLOCK_ELEMENTS", 16 * 50)
    generator = torch.Generator().manual_seed(0)
    acts = torch.randn(50, 40, generator=generator)
    acts[0, 0], acts[1, 0], acts[2, 0] = 1e-45, 3e38, 0.0
    labels = torch.rand(50, n_features, generator=generator) < 0.4
    for falling in sort_falling(acts, labels):
        check(falling, acts, labels)


def test_neurons_with_mixed_ties_come_again_and_no_others() -> None:
    acts = torch.arange(6.0)[:, None].repeat(1, 3)
    labels = torch.tensor([[True], [True], [False], [False], [False], [True]])
    acts[0, 1] = acts[1, 1]  # two positives
    acts[1, 2] = acts[2, 2]  # a positive and a negative
    found = list(sort_falling(acts, labels))
    assert [(falling.neurons.tolist(), falling.tied) for falling in found] == [
        ([0, 1, 2], False),
        ([2], True),
    ]
    first, after = found[1].groups
    assert first.tolist() == [[0, 1, 2, 3, 3, 5]]
    assert after.tolist() == [[1, 2, 3, 5, 5, 6]]
