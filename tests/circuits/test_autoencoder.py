"""The fast ensemble is the paper's autoencoder: same numbers as a straight autograd reading."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.circuits.autoencoder import CHECK_EVERY, Autoencoder
from needlepoint.circuits.gradients import Parameters, gradients, loss
from needlepoint.testing.reference import autoencoder_loss, train_autoencoder

SMALL = Autoencoder(n_codes=24, n_steps=150, n_train_examples=6, sparsity=0.02)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def heads() -> torch.Tensor:
    """Heads of very unlike norms, as in real models."""
    scale = torch.logspace(-1, 1, 9, dtype=torch.float64)[:, None]
    return torch.randn(20, 9, 12, generator=generator(5), dtype=torch.float64) * scale


def reference(heads, seed, config=SMALL):
    return train_autoencoder(
        heads,
        generator(seed),
        n_codes=config.n_codes,
        sparsity=config.sparsity,
        n_steps=config.n_steps,
        n_train_examples=config.n_train_examples,
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_one_seed_equals_the_reference(heads, seed):
    fast, slow = SMALL.fit(heads, generator(seed)), reference(heads, seed)
    torch.testing.assert_close(fast.encoder[0], slow.encoder.detach(), rtol=0, atol=1e-9)
    torch.testing.assert_close(fast.decoder[0], slow.decoder.detach(), rtol=0, atol=1e-9)
    torch.testing.assert_close(fast.bias[0], slow.bias.detach(), rtol=0, atol=1e-9)
    torch.testing.assert_close(fast.code_bias[0], slow.code_bias.detach(), rtol=0, atol=1e-9)
    assert torch.equal(fast(heads)[0], slow.codes(heads))


def test_reported_loss_is_the_reference_loss_on_the_training_examples(heads):
    config = replace(SMALL, n_train_examples=len(heads))
    slow = reference(heads, 0, config)
    expected = autoencoder_loss(slow, heads.flatten(0, 1), config.sparsity).item()
    assert config.fit(heads, generator()).loss.item() == pytest.approx(expected, rel=1e-9)


def test_training_lowers_the_loss(heads):
    after = SMALL.fit(heads, generator()).loss
    assert after < 0.7 * replace(SMALL, n_steps=0).fit(heads, generator()).loss


def test_first_seed_of_an_ensemble_is_the_single_run_and_the_others_differ(heads):
    alone = SMALL.fit(heads, generator())
    many = replace(SMALL, n_seeds=3).fit(heads, generator())
    torch.testing.assert_close(many.encoder[0], alone.encoder[0], rtol=0, atol=1e-9)
    torch.testing.assert_close(many.loss[0], alone.loss[0])
    assert (many.encoder[0] - many.encoder[1]).abs().max() > 0.1
    assert many(heads).shape == (3, 20, 9)


def test_every_seed_of_an_ensemble_is_a_single_run_that_goes_on_with_the_generator(heads):
    rng = generator()
    alone = [SMALL.fit(heads, rng) for _ in range(3)]
    many = replace(SMALL, n_seeds=3).fit(heads, generator())
    for seed, one in enumerate(alone):
        torch.testing.assert_close(many.encoder[seed], one.encoder[0], rtol=0, atol=1e-9)
        assert torch.equal(many(heads)[seed], one(heads)[0])


def test_training_vectors_are_those_that_are_trained_on(heads):
    z, W_O = heads[..., :3], torch.randn(9, 3, 12, generator=generator(8), dtype=torch.float64)
    config = replace(SMALL, n_seeds=2)
    vectors = config.training_vectors(z, W_O, generator())
    assert vectors.shape == (2, 6 * 9, 12)
    outputs = torch.einsum("ehd,hdm->ehm", z, W_O)
    rng = generator()
    config._draw(20, 12, rng)
    after = generator()
    config.training_vectors(z, W_O, after)
    assert torch.equal(rng.get_state(), after.get_state())
    flat = outputs.flatten(0, 1)
    nearest = torch.cdist(vectors[0], flat).amin(1)
    assert nearest.max() < 1e-5


def test_fit_z_is_fit_on_the_projected_outputs(heads):
    z = torch.randn(20, 9, 3, generator=generator(7), dtype=torch.float64)
    W_O = torch.randn(9, 3, 12, generator=generator(8), dtype=torch.float64)
    outputs = torch.einsum("ehd,hdm->ehm", z, W_O)
    config = replace(SMALL, n_seeds=2)
    one, two = config.fit(outputs, generator()), config.fit_z(z, W_O, generator())
    torch.testing.assert_close(one.encoder, two.encoder)
    assert torch.equal(one(outputs), two.read_z(z, W_O).codes)


def test_order_of_the_heads_plays_no_part(heads):
    order = torch.randperm(9, generator=generator(3))
    codes, permuted = (SMALL.fit(x, generator())(x) for x in (heads, heads[:, order]))
    assert torch.equal(codes[:, :, order], permuted)


@pytest.mark.parametrize("silence", [0.0, 5.0], ids=["all speak", "few speak"])
def test_gradients_equal_autograd(silence):
    rng = generator(11)

    def draw(*shape):
        return torch.randn(*shape, generator=rng, dtype=torch.float64).requires_grad_()

    weights = Parameters(draw(2, 7, 5), draw(2, 7), draw(2, 5, 7), draw(2, 5))
    weights = weights._replace(code_bias=(weights.code_bias - silence).detach().requires_grad_())
    vectors = draw(2, 40, 5).detach()
    expected = torch.autograd.grad(loss(weights, vectors, 0.3).sum(), list(weights))
    with torch.no_grad():
        found = gradients(weights, vectors, vectors.sum(1), 0.3)
    for name, one, two in zip(weights._fields, found, expected, strict=True):
        torch.testing.assert_close(one, two, msg=lambda text, name=name: f"{name}: {text}")
    assert any(gradient.abs().max() > 1e-3 for gradient in expected)


def test_rows_have_unit_length_and_columns_do_not(heads):
    dictionary = SMALL.fit(heads, generator())
    one = torch.ones(1, dtype=torch.float64)
    torch.testing.assert_close(dictionary.encoder.norm(dim=-1), one.expand(1, 24))
    torch.testing.assert_close(dictionary.decoder.norm(dim=-1), one.expand(1, 12))
    assert (dictionary.decoder.norm(dim=1) - 1).abs().max() > 0.05


def test_zero_steps_give_the_initial_weights():
    heads = torch.randn(6, 2, 8, generator=generator(1))
    dictionary = replace(SMALL, n_steps=0).fit(heads, generator())
    rng = generator()
    encoder = torch.randn(24, 8, generator=rng)
    torch.testing.assert_close(dictionary.encoder[0], encoder / encoder.norm(dim=1, keepdim=True))
    assert dictionary.code_bias.abs().max() <= 8**-0.5
    assert dictionary.bias.abs().max() == 0
    assert dictionary.n_steps == 0


def test_a_plateau_stops_training_and_no_plateau_does_not(heads):
    slow = replace(SMALL, n_steps=2000, plateau=0.01).fit(heads, generator())
    assert 2 * CHECK_EVERY <= slow.n_steps < 2000
    assert slow.n_steps % CHECK_EVERY == 0
    assert replace(SMALL, plateau=None).fit(heads, generator()).n_steps == SMALL.n_steps
    assert replace(SMALL, plateau=0.0).fit(heads, generator()).n_steps == SMALL.n_steps


def test_result_keeps_the_dtype_of_the_data():
    heads = torch.randn(6, 2, 8, generator=generator(1))
    assert SMALL.fit(heads, generator()).encoder.dtype == torch.float32


def test_too_few_examples_are_refused_with_the_number_to_set(heads):
    with pytest.raises(DataError, match="set n_train_examples=4"):
        SMALL.fit(heads[:4], generator())


def test_values_that_are_not_finite_are_refused(heads):
    broken = heads.clone()
    broken[:, 3, 2] = float("inf")
    with pytest.raises(DataError, match="not finite"):
        SMALL.fit(broken, generator())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n_codes", 1),
        ("n_steps", -1),
        ("n_train_examples", 0),
        ("n_seeds", 0),
        ("sparsity", -1.0),
        ("learning_rate", -1.0),
        ("plateau", -1.0),
    ],
)
def test_settings_out_of_range_are_refused(field, value):
    with pytest.raises(DataError, match=f"{field} is {value}"):
        Autoencoder(**{field: value})
