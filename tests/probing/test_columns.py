import torch

from needlepoint.probing import columns
from needlepoint.probing.columns import blocks, split_neurons, standardise


def test_columns_are_standardised_and_can_be_restored() -> None:
    acts = torch.randn(50, 7, generator=torch.Generator().manual_seed(0)) * 3 + 100
    found = standardise(acts)
    torch.testing.assert_close(found.z.double().mean(0), torch.zeros(7).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.z.std(0, correction=0), torch.ones(7))
    torch.testing.assert_close(found.z * found.sd + found.mean, acts)


def test_constant_neurons_are_zero_whatever_their_value() -> None:
    acts = torch.tensor([0.0, 0.1, -1e6, 1e-30]).expand(33, 4)
    found = standardise(acts)
    assert (found.z == 0).all()
    assert (found.sd == 1).all()
    assert (found.mean == acts[0]).all()


def test_a_small_spread_about_a_large_mean_is_kept() -> None:
    noise = torch.randn(400, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = standardise(noise * 1e-6 + 1)
    torch.testing.assert_close(found.z, (noise - noise.mean()) / noise.std(correction=0))


def test_the_activations_are_left_as_they_were() -> None:
    for acts in (torch.randn(9, 1), torch.randn(1, 9).T, torch.randn(9, 3)):
        before = acts.clone()
        standardise(acts)
        assert torch.equal(acts, before)


def test_blocks_cover_all_neurons_in_order(monkeypatch) -> None:
    monkeypatch.setattr(columns, "BLOCK_ELEMENTS", 16 * 20)
    acts = torch.randn(20, 53, dtype=torch.float64)
    parts = list(blocks(acts))
    assert [len(part.sd) for part in parts] == [16, 16, 16, 5]
    assert torch.equal(torch.cat([part.z for part in parts], dim=1), standardise(acts).z)
    assert torch.equal(torch.cat(split_neurons(acts), dim=1), acts)


def test_half_precision_is_worked_on_in_single() -> None:
    assert standardise(torch.randn(9, 3).bfloat16()).z.dtype == torch.float32
