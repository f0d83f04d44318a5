import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.probing import layer as layer_module
from needlepoint.probing.layer import Layer
from needlepoint.probing.rankings import mean_difference_std


@pytest.mark.parametrize("chunk", [1, 300, 5 * 2**16])
def test_moments_are_those_of_the_whole_matrix_in_any_chunks(monkeypatch, chunk: int) -> None:
    monkeypatch.setattr(layer_module, "CHUNK", chunk)
    generator = torch.Generator().manual_seed(0)
    acts = torch.randn(200, 30, generator=generator) * torch.linspace(0.01, 100, 30) + 5
    labels = torch.rand(200, 2, generator=generator) < 0.4
    layer = Layer.of(acts, labels)
    wide = acts.double()
    torch.testing.assert_close(layer.mean.double(), wide.mean(0), rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(layer.sd.double(), wide.std(0, correction=0), rtol=1e-5, atol=0)
    expected = mean_difference_std(wide, labels)
    torch.testing.assert_close(layer.difference_std, expected, rtol=1e-4, atol=1e-5)


def test_rows_are_the_standardised_neurons_asked_for() -> None:
    acts = torch.randn(600, 70, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    layer = Layer.of(acts, acts[:, :1] > 0)
    z = ((acts - acts.mean(0)) / acts.std(0, correction=0)).T
    torch.testing.assert_close(layer.all_rows(), z)
    some = torch.tensor([69, 0, 33])
    torch.testing.assert_close(layer.rows(some), z[some])


def test_a_small_spread_about_a_large_mean_is_kept_even_if_the_sample_misleads() -> None:
    generator = torch.Generator().manual_seed(2)
    small = torch.randn(3000, 2, generator=generator)
    acts = small + 1e5
    acts[::46] = 0.0  # the examples that the first guess of the mean is taken from
    labels = torch.rand(3000, 1, generator=generator) < 0.5
    layer = Layer.of(acts, labels)
    spread = acts.double().std(0, correction=0)
    torch.testing.assert_close(layer.sd.double(), spread, rtol=1e-5, atol=0)
    plain = Layer.of(small + 1e4, labels)
    spread = (small + 1e4).double().std(0, correction=0)
    torch.testing.assert_close(plain.sd.double(), spread, rtol=1e-3, atol=0)


def test_a_constant_neuron_is_nought_and_has_unit_spread() -> None:
    acts = torch.tensor([[0.1], [0.1], [0.1]]).expand(3, 4)
    layer = Layer.of(acts, torch.tensor([[True], [False], [False]]))
    assert (layer.all_rows() == 0).all()
    assert (layer.sd == 1).all()
    assert (layer.difference_std == 0).all()


def test_half_precision_is_summed_in_single() -> None:
    acts = (torch.randn(500, 5, generator=torch.Generator().manual_seed(0)) * 9000).half()
    layer = Layer.of(acts, acts[:, :1] > 0)
    assert layer.sd.dtype == torch.float32
    expected = acts.double().std(0, correction=0)
    torch.testing.assert_close(layer.sd.double(), expected, rtol=1e-5, atol=0)


def test_two_examples_are_too_few() -> None:
    with pytest.raises(DataError, match="three examples or more, not 2"):
        Layer.of(torch.randn(2, 3), torch.tensor([[True], [False]]))
