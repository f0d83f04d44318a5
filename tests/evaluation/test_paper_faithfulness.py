"""Three faithfulnesses of one paper: exact at their ends, and what their code does in between."""

from __future__ import annotations

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.circuits.ablation import PairBatch, from_clean
from needlepoint.circuits.metric import Answers, kl
from needlepoint.evaluation.paper_faithfulness import (
    PaperFaithfulness,
    denoised_faithfulness,
    mean_ablated_faithfulness,
    of_clean,
    with_answers,
    zeroed_faithfulness,
)
from needlepoint.models.hooks import record, replace
from needlepoint.models.model import Model
from needlepoint.models.planted import planted_model, planted_prompts
from needlepoint.models.sites import Part, Site
from needlepoint.testing.tiny import tiny_model

N_HEADS = 12


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model("gpt2")


@pytest.fixture(scope="module")
def pairs(model: Model) -> PairBatch:
    """Random prompts of one length whose last token is that of their corrupt counterpart."""
    rng = torch.Generator().manual_seed(4)
    clean, corrupt = torch.randint(256, (2, 6, 5), generator=rng)
    corrupt[:, -1] = clean[:, -1]
    answers = Answers(*torch.randperm(256, generator=rng)[:12].reshape(2, 6, 1))
    return PairBatch(model.batch(clean.tolist()), model.batch(corrupt.tolist()), answers)


def some() -> torch.Tensor:
    mask = torch.zeros(N_HEADS, dtype=torch.bool)
    mask[[1, 4, 6, 11]] = True
    return mask


ALL, NONE = torch.ones(N_HEADS, dtype=torch.bool), torch.zeros(N_HEADS, dtype=torch.bool)


def test_all_heads_overwritten_is_clean_and_none_is_corrupt(model, pairs) -> None:
    """With the same last token, the stream there is clean once every head is."""
    whole = denoised_faithfulness(model, pairs, ALL)
    torch.testing.assert_close(whole.circuit, whole.whole)
    assert whole.score == pytest.approx(1, abs=1e-4)
    none = denoised_faithfulness(model, pairs, NONE)
    torch.testing.assert_close(none.circuit, none.empty, atol=0, rtol=0)
    assert none.score == 0
    with torch.no_grad():
        corrupt = pairs.answers(model.last_logits(pairs.corrupt))
    torch.testing.assert_close(none.empty, corrupt)


def test_version_b_overwrites_the_heads_in_the_corrupt_run(model, pairs) -> None:
    heads = [site for site, kept in zip(model.head_sites(), some().tolist(), strict=True) if kept]
    with torch.no_grad(), record(model, heads) as clean:
        model.hidden(pairs.clean)
    with torch.no_grad(), replace(model, dict(clean)):
        expected = pairs.answers(model.last_logits(pairs.corrupt))
    found = denoised_faithfulness(model, pairs, some())
    torch.testing.assert_close(found.circuit, expected)
    assert float((found.circuit - found.empty).abs().max()) > 0.01


def test_version_b_with_divergence_is_of_the_clean_from_the_patched(model, pairs) -> None:
    found = denoised_faithfulness(model, from_clean(model, pairs), some())
    assert bool((found.whole == 0).all())
    assert bool((found.circuit > 0).all())
    with torch.no_grad():
        clean, corrupt = model.last_logits(pairs.clean), model.last_logits(pairs.corrupt)
    torch.testing.assert_close(found.empty, kl(corrupt, clean))


def test_version_a_keeps_the_first_layers_except_in_the_empty_circuit(model, pairs) -> None:
    exempt = zeroed_faithfulness(model, pairs, NONE, exempt=1)
    first = NONE.clone()
    first[:4] = True
    torch.testing.assert_close(
        exempt.circuit, zeroed_faithfulness(model, pairs, first, exempt=0).circuit
    )
    none = zeroed_faithfulness(model, pairs, NONE, exempt=0)
    torch.testing.assert_close(none.circuit, none.empty)
    torch.testing.assert_close(exempt.empty, none.empty)
    assert float((exempt.circuit - exempt.empty).abs().max()) > 0.01
    everything = zeroed_faithfulness(model, pairs, ALL, exempt=0)
    torch.testing.assert_close(everything.circuit, everything.whole)


def test_zero_is_that_of_weights_with_norm_and_value_bias_folded(model, pairs) -> None:
    """By hand: a head's z is replaced by its value bias and what the norm's shift makes of V."""
    layer, block = 2, model.blocks[2]
    width = model.shape.d_model
    values = slice(2 * width, 3 * width)
    weight, bias = block.attn.c_attn.weight[:, values], block.attn.c_attn.bias[values]
    constant = (block.ln_1.bias @ weight + bias).detach().reshape(4, -1)
    assert float(constant.abs().max()) > 0.05
    outside = ALL.clone()
    outside[9] = False
    with torch.no_grad(), replace(model, {Site.of(layer, Part.HEAD, 1): constant[1]}):
        expected = pairs.answers(model.last_logits(pairs.clean))
    found = zeroed_faithfulness(model, pairs, outside, exempt=0)
    torch.testing.assert_close(found.circuit, expected, atol=1e-4, rtol=1e-4)


def test_a_model_without_norms_or_biases_is_zeroed_by_zeros() -> None:
    planted = planted_model()
    prompts = planted_prompts(planted, n_pairs=6)
    model = planted.model
    clean, corrupt = (model.batch(ids) for ids in (prompts.clean_ids, prompts.corrupt_ids))
    pairs = PairBatch(clean, corrupt, Answers.of(prompts))
    circuit = torch.tensor([site in planted.heads for site in model.head_sites()])
    for found in (
        zeroed_faithfulness(model, pairs, circuit, exempt=0),
        denoised_faithfulness(model, pairs, circuit),
    ):
        assert found.score == pytest.approx(1, abs=1e-3)
    for found in (
        zeroed_faithfulness(model, pairs, ~circuit, exempt=0),
        denoised_faithfulness(model, pairs, ~circuit),
    ):
        assert found.score == pytest.approx(0, abs=1e-3)


def test_means_are_over_corrupt_prompts_position_by_position(model, pairs) -> None:
    whole = mean_ablated_faithfulness(model, pairs, ALL)
    torch.testing.assert_close(whole.circuit, whole.whole)
    none = mean_ablated_faithfulness(model, pairs, NONE)
    torch.testing.assert_close(none.circuit, none.empty)
    heads = model.head_sites()
    with torch.no_grad(), record(model, heads) as corrupt:
        model.hidden(pairs.corrupt)
    means = {
        site: corrupt[site].mean(0)
        for site, kept in zip(heads, some().tolist(), strict=True)
        if not kept
    }
    with torch.no_grad(), replace(model, means):
        expected = pairs.answers(model.last_logits(pairs.clean))
    found = mean_ablated_faithfulness(model, pairs, some())
    torch.testing.assert_close(found.circuit, expected, atol=1e-5, rtol=1e-4)


def test_means_by_position_need_one_length(model, pairs) -> None:
    batch = model.batch([[1, 2, 3], [4, 5]])
    uneven = PairBatch(batch, batch, pairs.answers.rows(slice(0, 2)))
    with pytest.raises(DataError, match="need prompts of one length, not of 3 to 4 tokens"):
        mean_ablated_faithfulness(model, uneven, some())


def test_divergence_the_other_way_round(model, pairs) -> None:
    judged = of_clean(model, pairs)
    with torch.no_grad():
        clean, corrupt = model.last_logits(pairs.clean), model.last_logits(pairs.corrupt)
    torch.testing.assert_close(judged.answers(corrupt), kl(clean, corrupt))
    assert bool((judged.answers(clean) == 0).all())
    assert len(judged.answers.repeat(2)) == 12
    assert float(judged.answers.rows(slice(1, 2))(corrupt[1:2])) == pytest.approx(
        float(kl(clean, corrupt)[1])
    )


def test_the_answer_is_put_behind_both_prompts() -> None:
    planted = planted_model()
    prompts = planted_prompts(planted, n_pairs=3)
    clean, corrupt = with_answers(prompts)
    for row, other, ids, answers in zip(
        clean, corrupt, prompts.clean_ids, prompts.answer_ids, strict=True
    ):
        assert row == [*ids, answers[0]]
        assert other[-1] == answers[0]
        assert len(other) == len(row)


def test_a_model_that_the_ablation_leaves_alone_has_no_faithfulness() -> None:
    same = torch.ones(3)
    with pytest.raises(DataError, match="take prompts on which they differ"):
        _ = PaperFaithfulness(same, same, same).score
    half = PaperFaithfulness(torch.tensor([1.0, 2.0]), torch.zeros(2), torch.tensor([2.0, 4.0]))
    assert half.score == 0.5
