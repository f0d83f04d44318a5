"""Ablation of nothing, of constants, from other rows; and what random neurons are like."""

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.evaluation.ablate_neurons import (
    Ablation,
    loss_changes,
    loss_increases,
    matched_by_rate,
    position_losses,
    resampled,
    token_losses,
)
from needlepoint.testing.tiny import tiny_model


@pytest.fixture(scope="module")
def model():
    return tiny_model("llama")


@pytest.fixture(scope="module")
def batch(model):
    return model.batch([list(range(40, 60)), list(range(70, 83))])


def test_ablating_no_neuron_changes_no_loss(model, batch) -> None:
    nothing = Ablation(1, torch.tensor([], dtype=torch.long), torch.tensor([]))
    changes = loss_changes(model, batch, 1, [nothing])
    assert changes.nan_to_num().abs().max() == 0
    assert loss_increases(model, batch, 1, [nothing]).abs().max() == 0


def test_losses_of_positions_leave_out_padding_and_the_end(model, batch) -> None:
    with torch.no_grad():
        found = position_losses(model, batch)
        logits = model.logits(batch)
    expected = torch.nn.functional.cross_entropy(logits[1, 3], batch.ids[1, 4])
    torch.testing.assert_close(found[1, 3], expected)
    known = ~found.isnan()
    assert known.sum(1).tolist() == (batch.lengths - 1).tolist()
    with torch.no_grad():
        torch.testing.assert_close(token_losses(model, batch), found.nanmean(1))


def test_its_own_values_at_each_position_change_nothing(model, batch) -> None:
    from needlepoint.models.hooks import record

    with record(model, ["L1.mlp.neurons"]) as kept, torch.no_grad():
        model.logits(batch)
    own = next(iter(kept.values()))[..., [4, 9]]
    same = Ablation(1, torch.tensor([4, 9]), own)
    other = Ablation(1, torch.tensor([4, 9]), own + 3)
    changes = loss_changes(model, batch, 1, [same, other]).nan_to_num()
    assert changes[0].abs().max() < 1e-5
    assert changes[1].abs().max() > 1e-2


def test_the_first_token_is_left_as_it_is(model, batch) -> None:
    off = Ablation(0, torch.arange(48), torch.full((48,), 5.0))
    changes = loss_changes(model, batch, 0, [off])[0]
    assert model.prefix
    assert changes[:, 0].abs().max() == 0
    assert changes[:, 1].abs().min() > 0


def test_resampled_values_are_whole_rows_of_the_pool_and_seeded(batch) -> None:
    pool = torch.stack([torch.arange(9.0), -torch.arange(9.0)], dim=1)
    found = [resampled(pool, batch, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert found[0].shape == (*batch.ids.shape, 2)
    assert torch.equal(found[0][..., 0], -found[0][..., 1])
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    with pytest.raises(DataError, match="no other rows"):
        resampled(pool[:0], batch, torch.Generator())


def test_random_neurons_are_alike_in_rate_and_in_what_they_write(model) -> None:
    rng = torch.Generator().manual_seed(0)
    acts = torch.randn(400, 48, generator=rng)
    acts[:, :24] *= torch.rand(400, 24, generator=rng) < 0.05  # seldom active
    acts /= acts.std(0) * model.mlp_output(1).weight.norm(dim=0)  # all write as much
    from needlepoint.evaluation import ablate_neurons

    drawn = matched_by_rate(model, 1, acts.detach(), torch.tensor([3]), 40, rng)
    assert all(3 not in one.tolist() for one in drawn)
    before = ablate_neurons.NEAREST
    ablate_neurons.NEAREST = 8
    try:
        near = matched_by_rate(model, 1, acts.detach(), torch.tensor([3]), 40, rng)
    finally:
        ablate_neurons.NEAREST = before
    seldom = torch.cat(near) < 24
    assert seldom.float().mean() > 0.8
