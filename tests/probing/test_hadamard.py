"""Random bases: orthogonal, undone by their inverse, and in no favour of any neuron."""

from __future__ import annotations

import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st

from needlepoint._core.errors import DataError
from needlepoint.probing.hadamard import RandomBasis, walsh_hadamard
from needlepoint.probing.sweep import fit_on_support


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("width", [1, 2, 8, 64, 128, 1024])
def test_the_transform_is_the_product_with_scipys_hadamard_matrix(width: int) -> None:
    rows = torch.randn(3, width, generator=rng(), dtype=torch.float64)
    matrix = torch.from_numpy(scipy.linalg.hadamard(width)).double() / width**0.5
    assert torch.allclose(walsh_hadamard(rows), rows @ matrix)


@pytest.mark.parametrize("d", [1, 2, 3, 5, 12, 31, 64, 576, 1536])
def test_a_basis_is_orthogonal_to_a_millionth(d: int) -> None:
    turned = RandomBasis.draw(d, rng()).rotate(torch.eye(d))
    assert turned.dtype == torch.float32
    assert float((turned @ turned.T - torch.eye(d)).abs().max()) < 1e-6


@given(d=st.integers(1, 200), n=st.integers(1, 5), seed=st.integers(0, 99))
def test_the_inverse_recovers_the_activations(d: int, n: int, seed: int) -> None:
    acts = torch.randn(n, d, generator=rng(seed), dtype=torch.float64)
    basis = RandomBasis.draw(d, rng(seed))
    assert torch.allclose(basis.inverse(basis.rotate(acts)), acts, atol=1e-12)
    assert torch.allclose(basis.rotate(basis.inverse(acts)), acts, atol=1e-12)


def test_rows_are_turned_alike_however_many_come_together() -> None:
    acts = torch.randn(2100, 24, generator=rng())
    basis = RandomBasis.draw(24, rng())
    assert torch.allclose(basis.rotate(acts)[2050:], basis.rotate(acts[2050:]), atol=1e-6)


def test_a_direction_reads_what_the_rotation_shows() -> None:
    acts = torch.randn(7, 40, generator=rng(), dtype=torch.float64)
    basis = RandomBasis.draw(40, rng(1))
    assert torch.allclose(basis.rotate(acts)[:, 13], acts @ basis.direction(13))


def test_weights_of_directions_look_gaussian_and_no_neuron_is_favoured() -> None:
    weights = RandomBasis.draw(1024, rng()).rotate(torch.eye(1024, dtype=torch.float64))
    flat = weights.flatten() * 32
    assert float(flat.mean().abs()) < 0.01
    assert float(flat.pow(4).mean()) == pytest.approx(3, abs=0.1), "flat weights would have 1"
    assert float(weights.abs().max()) < 0.25


def test_two_draws_differ_and_the_same_seed_gives_the_same_basis() -> None:
    acts = torch.eye(16)
    one, same, other = (RandomBasis.draw(16, rng(seed)).rotate(acts) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)


def test_a_ridge_probe_on_all_directions_scores_as_one_on_all_neurons() -> None:
    """True of equal spreads, where standardising does not undo the rotation."""
    acts = torch.randn(400, 12, generator=rng(), dtype=torch.float64)
    acts = torch.linalg.qr(acts - acts.mean(0))[0] * 20
    labels = (acts[:, :3].sum(1) + torch.randn(400, generator=rng(2)).double() > 0)[:, None]
    turned = RandomBasis.draw(12, rng(3)).rotate(acts)
    every = torch.arange(12)[None]
    odds = [fit_on_support(x, labels, every, l2=0.1).probe(0)(x) for x in (acts, turned)]
    assert torch.allclose(*odds, atol=1e-6)


def test_half_precision_is_turned_in_single_precision() -> None:
    acts = torch.randn(5, 8, generator=rng()).bfloat16()
    assert RandomBasis.draw(8, rng()).rotate(acts).dtype == torch.float32


def test_what_cannot_be_turned_is_refused() -> None:
    with pytest.raises(DataError, match="at least one direction"):
        RandomBasis.draw(0, rng())
    with pytest.raises(DataError, match=r"RandomBasis.draw\(9, generator\)"):
        RandomBasis.draw(8, rng()).rotate(torch.zeros(2, 9))
    with pytest.raises(DataError, match="power of two"):
        walsh_hadamard(torch.zeros(2, 6))
    with pytest.raises(DataError, match="NaN or infinity"):
        RandomBasis.draw(2, rng()).rotate(torch.full((1, 2), torch.nan))
