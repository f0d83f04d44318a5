"""Fast exact ablation agrees with ablating one head at a time, and with what is known by hand."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits import ablation
from needlepoint.circuits.ablation import (
    head_effects,
    run_circuits,
)
from needlepoint.circuits.metric import Answers, kl
from needlepoint.circuits.pair_batch import PairBatch, clean_metric, corrupt_metric, from_clean
from needlepoint.circuits.patching.means import means_over
from needlepoint.circuits.patching.replacement import replacements
from needlepoint.models.hooks import record, replace
from needlepoint.models.model import Model
from needlepoint.models.planted import PlantedModel, planted_model, planted_prompts
from needlepoint.models.sites import Part, Site
from needlepoint.testing.tiny import tiny_model

FAMILIES = ("gpt2", "gpt_neox", "llama", "mistral", "gemma2", "opt", "phi")
LENGTHS = (6, 3, 9, 6)


@cache
def made(family: str) -> Model:
    return tiny_model(family)


@cache
def planted() -> PlantedModel:
    return planted_model()


def pairs_of(model: Model, lengths: tuple[int, ...] = LENGTHS) -> PairBatch:
    """Random texts whose corrupt counterparts differ in the second token and later."""
    rng = torch.Generator().manual_seed(3)
    clean = [torch.randint(256, (n,), generator=rng).tolist() for n in lengths]
    corrupt = [
        row[:1] + torch.randint(256, (len(row) - 1,), generator=rng).tolist() for row in clean
    ]
    answer, wrong = torch.randint(256, (2, len(lengths), 1), generator=rng)
    return PairBatch(model.batch(clean), model.batch(corrupt), Answers(answer, wrong))


def planted_pairs(n_pairs: int) -> PairBatch:
    model = planted().model
    prompts = planted_prompts(planted(), n_pairs=n_pairs)
    return PairBatch(
        model.batch(prompts.clean_ids),
        model.batch(prompts.corrupt_ids),
        Answers.of(prompts),
    )


def corrupt_z(model: Model, pairs: PairBatch) -> dict[Site, Tensor]:
    with record(model, model.head_sites()) as kept, torch.no_grad():
        model.hidden(pairs.corrupt)
    return kept


def one_at_a_time(model: Model, pairs: PairBatch) -> Tensor:
    """One whole forward pass for each head, and nothing clever."""
    base, other, found = clean_metric(model, pairs), corrupt_z(model, pairs), []
    for place in model.head_sites():
        with replace(model, {place: other[place]}):
            found.append(clean_metric(model, pairs) - base)
    return torch.stack(found, dim=1)


@pytest.mark.parametrize("family", FAMILIES)
def test_effects_are_those_of_ablating_one_head_at_a_time(family: str) -> None:
    model = made(family)
    pairs = pairs_of(model)
    found = head_effects(model, pairs)
    assert found.shape == (len(LENGTHS), 12)
    torch.testing.assert_close(found, one_at_a_time(model, pairs), rtol=1e-5, atol=1e-5)
    assert (found.abs().amax(0) > 1e-4).all(), "every head of a random model does something"


def several(pairs: PairBatch) -> PairBatch:
    """The same pairs with up to three right and two wrong tokens, as probabilities."""
    right = torch.tensor([[1, 2, 3], [4, -1, -1], [5, 6, -1], [7, 8, 9]])
    wrong = torch.tensor([[10, 11], [12, -1], [13, 14], [15, 16]])
    answers = Answers(right, wrong, "probability difference")
    return PairBatch(pairs.clean, pairs.corrupt, answers)


@pytest.mark.parametrize("measured", ["probability", "divergence"])
def test_other_metrics_are_ablated_alike(measured: str) -> None:
    """One at a time, in pieces, and as circuits of all heads but one."""
    model = made("llama")
    plain = pairs_of(model)
    pairs = several(plain) if measured == "probability" else from_clean(model, plain)
    found = head_effects(model, pairs)
    torch.testing.assert_close(found, one_at_a_time(model, pairs), rtol=1e-4, atol=1e-6)
    assert found.abs().amax(0).min() > 1e-6
    circuits = run_circuits(model, pairs, ~torch.eye(12).bool())
    base = clean_metric(model, pairs)
    torch.testing.assert_close((circuits - base).T, found, rtol=1e-4, atol=1e-6)
    if measured == "divergence":
        assert torch.equal(base, torch.zeros(4))
        assert (found > 0).all(), "whatever an ablation does, it moves away from clean"


def test_the_distance_from_clean_is_that_of_whole_predictions() -> None:
    model = made("llama")
    pairs = from_clean(model, pairs_of(model))
    with torch.no_grad():
        clean, corrupt = model.last_logits(pairs.clean), model.last_logits(pairs.corrupt)
    torch.testing.assert_close(corrupt_metric(model, pairs), kl(corrupt, clean))
    assert (corrupt_metric(model, pairs) > 0).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_circuits_are_what_replacing_the_other_heads_gives(family: str) -> None:
    model = made(family)
    pairs, sites = pairs_of(model), made(family).head_sites()
    rng = torch.Generator().manual_seed(0)
    keep = torch.rand(4, 12, generator=rng) < 0.5
    keep = torch.cat([keep, torch.eye(12).bool()[5:6], ~torch.eye(12).bool()[7:8]])
    other, wanted = corrupt_z(model, pairs), []
    for circuit in keep.tolist():
        outside = {s: other[s] for s, inside in zip(sites, circuit, strict=True) if not inside}
        with replace(model, outside):
            wanted.append(clean_metric(model, pairs))
    found = run_circuits(model, pairs, keep)
    torch.testing.assert_close(found, torch.stack(wanted), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["mean", "zero"])
def test_other_kinds_of_ablation(kind) -> None:
    """A circuit of all heads but one is the effect of that head; of none, all at once."""
    model = made("llama")
    pairs = pairs_of(model)
    data = means_over(model, pairs.corrupt) if kind == "mean" else None
    keep = torch.cat([torch.ones(1, 12).bool(), torch.zeros(1, 12).bool(), ~torch.eye(12).bool()])
    found = run_circuits(model, pairs, keep, kind=kind, data=data)
    effects = head_effects(model, pairs, kind=kind, data=data)
    torch.testing.assert_close((found[2:] - found[0]).T, effects, rtol=1e-4, atol=2e-5)
    values = replacements(model, pairs, kind, data)
    with replace(model, {f"L{layer}.attn.z": values.heads(layer) for layer in range(3)}):
        torch.testing.assert_close(found[1], clean_metric(model, pairs), rtol=1e-5, atol=1e-5)
    resampled = head_effects(model, pairs)
    assert (effects - resampled).abs().max() > 1e-3


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2"])
def test_the_ends_and_single_heads(family: str) -> None:
    """All heads are the clean model, none are all heads replaced, all but one are its effect."""
    model = made(family)
    pairs = pairs_of(model)
    every, none = torch.ones(1, 12).bool(), torch.zeros(1, 12).bool()
    found = run_circuits(model, pairs, torch.cat([every, none, ~torch.eye(12).bool()]))
    base = clean_metric(model, pairs)
    torch.testing.assert_close(found[0], base, rtol=0, atol=1e-5)
    with replace(model, corrupt_z(model, pairs)):
        torch.testing.assert_close(found[1], clean_metric(model, pairs), rtol=1e-5, atol=1e-5)
    effects = found[2:] - found[0]
    torch.testing.assert_close(effects.T, head_effects(model, pairs), rtol=1e-4, atol=2e-5)


def test_one_pass_of_all_heads_kept_is_the_clean_model_to_the_last_bit(monkeypatch) -> None:
    """In a batch of the same shape nothing is rounded otherwise."""
    model = made("gpt2")
    pairs = pairs_of(model)
    monkeypatch.setattr(ablation, "ABLATION_TOKENS", 1)
    found = run_circuits(model, pairs, torch.ones(1, 12).bool())
    assert torch.equal(found[0], clean_metric(model, pairs))


@pytest.mark.parametrize(("chunk", "tokens"), [(1, 1), (1, 4096), (3, 50), (2, 100)])
def test_pieces_make_no_difference(chunk: int, tokens: int, monkeypatch) -> None:
    model = made("llama")
    pairs = pairs_of(model)
    keep = torch.rand(5, 12, generator=torch.Generator().manual_seed(1)) < 0.5
    circuits = run_circuits(model, pairs, keep)
    monkeypatch.setattr(ablation, "ABLATION_TOKENS", tokens)
    parts = PairBatch.parts
    monkeypatch.setattr(PairBatch, "parts", lambda pairs: parts(pairs, chunk))
    sizes = [len(piece) for _, piece in pairs.parts()]
    assert max(sizes) == chunk
    torch.testing.assert_close(run_circuits(model, pairs, keep), circuits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "gemma2", "opt"])
def test_a_pair_of_equal_prompts_has_no_effects_at_all(family: str) -> None:
    model = made(family)
    pairs = pairs_of(model)
    same = PairBatch(pairs.clean, pairs.clean, pairs.answers)
    torch.testing.assert_close(head_effects(model, same), torch.zeros(4, 12), rtol=0, atol=1e-5)
    assert head_effects(model, pairs).abs().max() > 0.1


def test_a_head_that_says_the_same_on_both_prompts_has_no_effect() -> None:
    """A value projection of zeros silences a head; its neighbours still have effects."""
    model = tiny_model("llama", num_key_value_heads=4)
    d_head = model.shape.d_head
    with torch.no_grad():
        model.blocks[1].self_attn.v_proj.weight[2 * d_head : 3 * d_head] = 0
    effects = head_effects(model, pairs_of(model)).reshape(4, 3, 4)
    assert effects[:, 1, 2].abs().max() < 1e-6
    others = torch.ones(3, 4).bool()
    others[1, 2] = False
    assert effects[:, others].abs().amax(0).min() > 1e-4


def test_no_effect_is_exactly_none() -> None:
    model = made("gpt2")
    pairs = pairs_of(model)
    same = PairBatch(pairs.clean, pairs.clean, pairs.answers)
    assert torch.equal(head_effects(model, same), torch.zeros(4, 12))


def test_planted_heads_come_first_and_no_other_has_an_effect() -> None:
    effects = head_effects(planted().model, planted_pairs(16)).mean(0)
    sites = planted().model.head_sites()
    true = torch.tensor([site in planted().heads for site in sites])
    assert (effects[true] < -5).all()
    assert effects[~true].abs().max() < 1e-3


def test_planted_heads_alone_are_the_whole_behaviour() -> None:
    model = planted().model
    true = torch.tensor([site in planted().heads for site in model.head_sites()])
    only_one = true & (true.cumsum(0) == 1)
    keep = torch.stack([torch.ones_like(true), true, only_one, torch.zeros_like(true), ~true])
    whole, circuit, half, none, rest = run_circuits(model, planted_pairs(16), keep)
    torch.testing.assert_close(circuit, whole, rtol=1e-4, atol=1e-3)
    assert whole.mean() > 6
    for broken in (half, none, rest):
        assert broken.mean() < 1


def test_nothing_is_left_on_the_model() -> None:
    model = made("llama")
    pairs = pairs_of(model)
    before = clean_metric(model, pairs)
    head_effects(model, pairs)
    run_circuits(model, pairs, torch.zeros(2, 12).bool())
    assert torch.equal(clean_metric(model, pairs), before)
    assert not any("forward" in vars(block) for block in model.blocks)
    assert not any(model.attention_output(layer)._forward_pre_hooks for layer in range(3))


def test_some_pairs_are_a_batch_of_their_own() -> None:
    pairs = pairs_of(made("gpt2"))
    part = pairs.rows(slice(1, 3))
    assert len(part) == 2
    assert isinstance(part.answers, Answers)
    assert torch.equal(part.answers.right, pairs.answers.right[1:3])
    assert torch.equal(part.clean.ids, pairs.clean.ids[1:3])
    effects = head_effects(made("gpt2"), part)
    whole = head_effects(made("gpt2"), pairs)
    torch.testing.assert_close(effects, whole[1:3], rtol=1e-5, atol=1e-5)


def test_prompts_of_unequal_length_are_refused() -> None:
    model = made("gpt2")
    clean, corrupt = model.batch([[1, 2, 3], [4]]), model.batch([[1, 2, 3], [4, 5]])
    answers = Answers(torch.tensor([[1], [2]]), torch.tensor([[3], [4]]))
    with pytest.raises(DataError, match="must be of equal token length, pair by pair"):
        PairBatch(clean, corrupt, answers)


def test_a_site_of_all_heads_is_in_the_order_of_the_columns() -> None:
    """Column 4 * layer + head: replace all heads of one layer but one and look."""
    model = made("llama")
    pairs = pairs_of(model)
    other = corrupt_z(model, pairs)
    with record(model, [Site.of(2, Part.HEADS)]) as kept, torch.no_grad():
        model.hidden(pairs.corrupt)
    stacked = torch.stack([other[Site.of(2, Part.HEAD, head)] for head in range(4)], dim=2)
    assert torch.equal(kept[Site.of(2, Part.HEADS)], stacked)
    assert model.head_sites()[9] == Site.of(2, Part.HEAD, 1)
