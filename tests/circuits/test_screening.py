"""The screen leaves out silent vectors only, and saves work once training has quietened codes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from needlepoint.circuits import screening
from needlepoint.circuits.gradients import Parameters, activations, gradients
from needlepoint.circuits.screening import Screen


def start(seed: int, quiet: float) -> tuple[torch.Generator, torch.Tensor, Parameters]:
    rng = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    vectors = draw(2, 30, 6) * draw(2, 30, 1).exp()
    weights = Parameters(draw(2, 5, 6), draw(2, 5) - quiet, draw(2, 6, 5), draw(2, 6) / 4)
    return rng, vectors, weights


def drift(rng: torch.Generator, weights: Parameters, size: float) -> Parameters:
    moved = (
        part + size * torch.randn(part.shape, generator=rng, dtype=part.dtype) for part in weights
    )
    return Parameters(*moved)


def offset(weights: Parameters) -> torch.Tensor:
    return weights.code_bias - torch.einsum("scm,sm->sc", weights.encoder, weights.bias)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.floats(0, 6), st.sampled_from([0.0, 0.003, 0.03, 0.3]))
def test_gradients_are_those_without_a_screen_at_every_step(seed, quiet, size):
    rng, vectors, weights = start(seed, quiet)
    screen, total = Screen(vectors), vectors.sum(1)
    for _ in range(6):
        expected = gradients(weights, vectors, total, 0.1)
        found = gradients(weights, vectors, total, 0.1, screen)
        for one, two in zip(found, expected, strict=True):
            torch.testing.assert_close(one, two)
        weights = drift(rng, weights, size)


@pytest.mark.parametrize("size", [0.0, 0.01])
def test_what_is_left_out_is_silent_and_most_is_left_out(size, monkeypatch):
    rng, vectors, weights = start(1, quiet=8.0)
    screen, multiplied = Screen(vectors), []
    some = screening._products
    monkeypatch.setattr(
        screening, "_products", lambda *args: multiplied.append(args[0].shape[1]) or some(*args)
    )
    for _ in range(10):
        active, seen = screen.speaking(weights.encoder, offset(weights))
        expected = activations(weights, vectors)
        assert active.sum() == pytest.approx(expected.sum().item())
        assert seen.shape[1] == int((expected.amax(-1) > 0).sum(-1).max())
        assert torch.isin(seen, vectors).all()
        weights = drift(rng, weights, size)
    assert sum(multiplied) < 0.3 * len(multiplied) * vectors[..., 0].numel() * 5


def test_drives_are_exact_for_vectors_that_were_left_out_for_a_while():
    """A row that turns round brings back vectors that had been silent."""
    _, vectors, weights = start(2, quiet=8.0)
    screen = Screen(vectors)
    for _ in range(3):
        screen.speaking(weights.encoder, offset(weights))
    turned = weights._replace(encoder=-weights.encoder)
    active, _ = screen.speaking(turned.encoder, offset(turned))
    assert active.sum() == pytest.approx(activations(turned, vectors).sum().item())
    assert activations(turned, vectors).sum() > 0
