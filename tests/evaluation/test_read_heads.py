"""What the scores read is the mean z of each prompt run alone, less what no prompt changes."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.metric import Answers
from needlepoint.evaluation.read_heads import pair_batch, read_answers, read_heads
from needlepoint.models.hooks import record
from needlepoint.models.model import Model
from needlepoint.models.planted import planted_prompts
from needlepoint.models.published import centred_head_weights, value_offsets
from needlepoint.tasks.pairs import Pair, Prompts, pair_prompts
from needlepoint.testing.tiny import tiny_model

SMALL = Autoencoder(n_seeds=2)


@cache
def made(family: str) -> Model:
    return tiny_model(family)


def prompts(model: Model) -> Prompts:
    texts = [("abcdef", "abXdef"), ("ab", "cb"), ("hello you", "hellX you"), ("abcd", "abce")]
    pairs = [Pair(clean, corrupt, "x", "y") for clean, corrupt in texts]
    return pair_prompts(
        pairs, model.encoder, task="toy", description="d", question="q?", corruption="c"
    )


@pytest.mark.parametrize("family", ["gpt2", "llama", "opt"])
def test_it_reads_each_prompt_as_if_alone(family: str) -> None:
    model = made(family)
    asked = prompts(model)
    found = read_heads(model, asked, SMALL)
    offsets = value_offsets(model).flatten(0, 1)
    sites = model.head_sites()
    for ids, z, answered in (
        (asked.clean_ids, found.data.clean_z, found.clean),
        (asked.corrupt_ids, found.data.corrupt_z, found.corrupt),
    ):
        assert z.shape == (4, 12, model.shape.d_head)
        for pair, row in enumerate(ids):
            with record(model, sites) as kept, torch.no_grad():
                logits = model.last_logits(model.batch([row]))[0]
            wanted = torch.stack([kept[site][0].mean(0) for site in sites]) - offsets
            torch.testing.assert_close(z[pair], wanted, rtol=1e-4, atol=1e-5)
            gap = logits[asked.answer_ids[pair][0]] - logits[asked.wrong_ids[pair][0]]
            assert answered.metric[pair].item() == pytest.approx(gap.item(), abs=1e-4)
            assert answered.right[pair].item() == (gap > 0).item()
    assert (found.data.clean_z - found.data.corrupt_z).abs().max() > 0.01


def test_the_first_token_is_part_of_the_mean() -> None:
    model = made("llama")
    row = list(prompts(model).clean_ids[0])
    with record(model, ["L1.attn.z"]) as kept:
        model.hidden(model.batch([row]))
    (z,) = kept.values()
    found = read_heads(model, prompts(model), SMALL).data.clean_z[0, 4:8]
    torch.testing.assert_close(found, z[0].mean(0), rtol=1e-4, atol=1e-5)
    assert (found - z[0, 1:].mean(0)).abs().max() > 0.01


def test_weights_layers_and_settings_are_handed_on(planted) -> None:
    for model in (made("gpt2"), made("llama")):
        data = read_heads(model, prompts(model), SMALL).data
        torch.testing.assert_close(data.W_O, centred_head_weights(model))
        assert data.layer_of.tolist() == [0] * 4 + [1] * 4 + [2] * 4
        assert data.autoencoder == SMALL


def test_the_planted_model_answers_clean_prompts_only(planted) -> None:
    found = read_heads(planted.model, planted_prompts(planted, n_pairs=12), SMALL)
    assert (found.clean.metric > 5).all()
    assert found.clean.right.all()
    assert found.corrupt.metric.abs().mean() < 2


def test_answers_alone_are_those_read_with_the_heads() -> None:
    model = made("llama")
    asked = prompts(model)
    whole = read_heads(model, asked, SMALL).clean
    alone = read_answers(model, asked.clean_ids, Answers.of(asked), "asking")
    assert torch.equal(alone.metric, whole.metric)
    assert torch.equal(alone.right, whole.right)


def test_pairs_are_kept_together_when_put_in_order() -> None:
    model = made("llama")
    asked = prompts(model)
    found = pair_batch(model, asked)
    lengths = found.clean.lengths.tolist()
    assert lengths == sorted(lengths)
    assert isinstance(found.answers, Answers)
    right, wrong = (tokens.tolist() for tokens in (found.answers.right, found.answers.wrong))
    kept = {
        (tuple(clean[1:n].tolist()), tuple(corrupt[1:n].tolist()), tuple(yes), tuple(no))
        for clean, corrupt, n, yes, no in zip(
            found.clean.ids, found.corrupt.ids, lengths, right, wrong, strict=True
        )
    }
    rows = (asked.clean_ids, asked.corrupt_ids, asked.answer_ids, asked.wrong_ids)
    assert kept == set(zip(*rows, strict=True))
    assert {row[0] for row in found.clean.ids.tolist()} == {model.first_token}
