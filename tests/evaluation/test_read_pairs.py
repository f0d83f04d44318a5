"""Pairs read side by side: what `read_heads` reads, and changes as brute force has them."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from needlepoint._core.errors import ModelError
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.evaluation.read_heads import read_heads
from needlepoint.evaluation.read_pairs import answer_directions, read_pairs
from needlepoint.models.hooks import record
from needlepoint.models.model import Model
from needlepoint.models.published import centred_head_weights
from needlepoint.models.sites import Part, Site
from needlepoint.tasks.pairs import Pair, Prompts, pair_prompts
from needlepoint.testing.tiny import tiny_model

SMALL = Autoencoder(n_seeds=2)


@cache
def made(family: str) -> Model:
    return tiny_model(family)


def prompts(model: Model) -> Prompts:
    texts = [("abcdef", "abXdef"), ("ab", "cb"), ("hello you", "hellX you"), ("abcd", "abce")]
    pairs = [
        Pair(clean, corrupt, *(("x", "y") if place % 2 else ("y", "x")))
        for place, (clean, corrupt) in enumerate(texts)
    ]
    return pair_prompts(
        pairs, model.encoder, task="toy", description="d", question="q?", corruption="c"
    )


@pytest.mark.parametrize("family", ["gpt2", "llama", "opt"])
def test_it_reads_what_reading_one_by_one_reads(family: str) -> None:
    model = made(family)
    asked = prompts(model)
    one, two = read_heads(model, asked, SMALL), read_pairs(model, asked, SMALL)
    torch.testing.assert_close(one.data.clean_z, two.data.clean_z, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(one.data.corrupt_z, two.data.corrupt_z, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(one.clean.metric, two.clean.metric, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(one.corrupt.metric, two.corrupt.metric, rtol=1e-4, atol=1e-4)
    assert torch.equal(one.clean.right, two.clean.right)


def brute(model: Model, asked: Prompts) -> tuple[torch.Tensor, torch.Tensor]:
    """Changes of each pair from the end, beside the stream, and direct effects."""
    layers = range(model.shape.n_layers)
    heads = [Site.of(layer, Part.HEADS) for layer in layers]
    streams = [Site.of(layer, Part.RESID) for layer in layers]
    weights = centred_head_weights(model).double()
    longest = max(asked.lengths) + len(model.prefix)
    n_heads = len(weights)
    changes = torch.zeros(asked.n_pairs, longest, n_heads, model.shape.d_model).double()
    direct = torch.zeros(asked.n_pairs, n_heads).double()
    directions = answer_directions(model, asked).double()
    for pair in range(asked.n_pairs):
        read = []
        for ids in (asked.clean_ids[pair], asked.corrupt_ids[pair]):
            with record(model, [*heads, *streams]) as kept, torch.no_grad():
                model.logits(model.batch([ids]))
            z = torch.cat([kept[site][0] for site in heads], 1).double()
            read.append((z, torch.stack([kept[site][0] for site in streams], 1).double()))
        written = torch.einsum("phd,hdm->phm", read[0][0] - read[1][0], weights)
        size = read[0][1].norm(dim=-1).repeat_interleave(model.shape.n_heads, 1)
        changes[pair, : len(written)] = (written / size[..., None]).flip(0)
        scale = model.shape.d_model**0.5 / read[0][1][-1, -1].norm()
        direct[pair] = written[-1] @ directions[pair] * scale
    return changes, direct


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2"])
def test_changes_are_those_of_brute_force(family: str) -> None:
    model = made(family)
    asked = prompts(model)
    found = read_pairs(model, asked, SMALL).data.changes
    assert found is not None
    assert found.direct is not None
    changes, direct = brute(model, asked)
    n = asked.n_pairs
    for sign, value in (
        (torch.ones(n), found.consistent),
        (torch.tensor([1.0, -1, 1, -1]), found.turned),
    ):
        inner = torch.einsum("pfhm,qfhm,p,q->hpq", changes, changes, sign.double(), sign.double())
        apart = inner.sum((1, 2)) - inner.diagonal(dim1=1, dim2=2).sum(1)
        torch.testing.assert_close(value, apart / (n * (n - 1)), rtol=1e-3, atol=1e-9)
    torch.testing.assert_close(found.direct.double(), direct, rtol=1e-3, atol=1e-6)


def test_the_direct_effect_is_what_the_logits_lose_with_the_norm_held() -> None:
    """Take a head's change off the last residual stream, hold the division, look at the logits."""
    model = made("llama")
    asked = prompts(model)
    found = read_pairs(model, asked, SMALL).data.changes
    assert found is not None
    assert found.direct is not None
    last, heads = model.shape.n_layers - 1, [Site.of(model.shape.n_layers - 1, Part.HEADS)]
    kept_z = []
    for ids in (asked.clean_ids[0], asked.corrupt_ids[0]):
        with record(model, [*heads, f"L{last}.resid"]) as kept, torch.no_grad():
            model.logits(model.batch([ids]))
        kept_z.append((kept[heads[0]][0, -1], kept[Site.of(last, Part.RESID)][0, -1]))
    change = (kept_z[0][0][0] - kept_z[1][0][0]) @ model.head_weights(last)[0]
    norm, stream = model.module.model.norm, kept_z[0][1]
    with torch.no_grad():
        logits = model.module.lm_head(norm(stream) * 1.0)
        less = model.module.lm_head(
            norm(stream) - norm.weight * change / stream.square().mean().sqrt()
        )
    right, wrong = asked.answer_ids[0][0], asked.wrong_ids[0][0]
    moved = (logits - less)[right] - (logits - less)[wrong]
    assert found.direct[0, last * model.shape.n_heads].item() == pytest.approx(
        moved.item(), rel=1e-2, abs=1e-6
    )


def test_without_readable_logits_there_is_no_direct_effect(monkeypatch) -> None:
    model = made("llama")
    asked = prompts(model)
    whole = read_pairs(model, asked, SMALL).data.changes

    def refuse(*_: object) -> None:
        raise ModelError("not covered")

    monkeypatch.setattr("needlepoint.evaluation.read_pairs.unembedding", refuse)
    found = read_pairs(model, asked, SMALL).data.changes
    assert found is not None
    assert whole is not None
    assert found.direct is None
    torch.testing.assert_close(found.consistent, whole.consistent)
    torch.testing.assert_close(found.turned, found.consistent)
