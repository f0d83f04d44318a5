"""Pairs read side by side: z as of each prompt alone, and changes as brute force has them."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from needlepoint._core.errors import ModelError, UnknownNameError
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.graph.terms import graph_of, terms
from needlepoint.evaluation.read_pairs import answer_directions, read_pairs
from needlepoint.models.folded import Norm, norm_of
from needlepoint.models.hooks import record
from needlepoint.models.model import Model
from needlepoint.models.planted import planted_prompts
from needlepoint.models.published import centred_head_weights, value_offsets
from needlepoint.models.sites import Part, Site
from needlepoint.tasks.pairs import Pair, Prompts
from needlepoint.testing.tiny import tiny_model

SMALL = Autoencoder(n_seeds=2)


@cache
def made(family: str) -> Model:
    return tiny_model(family)


@pytest.mark.parametrize("family", ["gpt2", "llama", "opt"])
def test_it_reads_each_prompt_as_if_alone(family: str, letter_pairs) -> None:
    model = made(family)
    asked = letter_pairs(model)
    found = read_pairs(model, asked, SMALL)
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


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_reading_takes_the_positions_it_names(family: str, letter_pairs) -> None:
    model = made(family)
    asked = letter_pairs(model)
    offsets = value_offsets(model)[1]
    first, whole = len(model.prefix), read_pairs(model, asked, SMALL)
    for reading in ("mean_without_first", "last", "changed"):
        found = read_pairs(model, asked, SMALL, reading)
        for pair, row in enumerate(asked.corrupt_ids):
            with record(model, ["L1.attn.z"]) as kept:
                model.hidden(model.batch([row]))
            (z,) = kept.values()
            place = first + asked.positions["changed"][pair]
            wanted = {
                "mean_without_first": z[0, 1:].mean(0),
                "last": z[0, -1],
                "changed": z[0, place],
            }[reading]
            read = found.data.corrupt_z[pair, 4:8]
            torch.testing.assert_close(read, wanted - offsets, rtol=1e-4, atol=1e-5)
        assert (found.data.clean_z - whole.data.clean_z).abs().max() > 0.01
        assert torch.equal(found.data.changes.consistent, whole.data.changes.consistent)
        assert torch.equal(found.clean.metric, whole.clean.metric)


def test_where_all_positions_are_alike_all_readings_agree() -> None:
    """Without embeddings of positions, a prompt of the model's first token alone is such a one."""
    model = made("llama")
    first, pairs = model.first_token, tuple([Pair("", "", "x", "y")] * 3)
    ids = ((first,) * 5, (first,) * 3, (first,) * 8)
    right, wrong = ((1,),) * 3, ((2,),) * 3
    about = {"task": "toy", "description": "d", "question": "q?", "corruption": "c"}
    asked = Prompts(
        **about,
        pairs=pairs,
        clean_ids=ids,
        corrupt_ids=ids,
        answer_ids=right,
        wrong_ids=wrong,
        positions={"second": (1, 1, 1)},
    )
    whole = read_pairs(model, asked, SMALL).data.clean_z
    assert whole.abs().amax((0, 2)).min() > 0.01
    for reading in ("mean_without_first", "last", "second"):
        found = read_pairs(model, asked, SMALL, reading).data.clean_z
        torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_read_is_refused(letter_pairs) -> None:
    model = made("llama")
    asked = letter_pairs(model)
    with pytest.raises(UnknownNameError, match="unknown reading 'chnged': did you mean 'changed'"):
        read_pairs(model, asked, SMALL, "chnged")


def test_weights_layers_and_settings_are_handed_on(letter_pairs) -> None:
    for model in (made("gpt2"), made("llama")):
        data = read_pairs(model, letter_pairs(model), SMALL).data
        torch.testing.assert_close(data.W_O, centred_head_weights(model))
        assert data.layer_of.tolist() == [0] * 4 + [1] * 4 + [2] * 4
        assert data.autoencoder == SMALL


def test_the_planted_model_answers_clean_prompts_only(planted) -> None:
    found = read_pairs(planted.model, planted_prompts(planted, n_pairs=12), SMALL)
    assert (found.clean.metric > 5).all()
    assert found.clean.right.all()
    assert found.corrupt.metric.abs().mean() < 2


def _next_norms(model: Model) -> list[Norm]:
    """The norms as their modules are called, layer by layer."""
    top = model.module
    modules = (
        [block.ln_1 for block in top.transformer.h[1:]] + [top.transformer.ln_f]
        if hasattr(top, "transformer")
        else [block.input_layernorm for block in top.model.layers[1:]] + [top.model.norm]
    )
    return [norm_of(module, model.shape.d_model) for module in modules]


def _as_read(norm: Norm, stream: torch.Tensor) -> torch.Tensor:
    centred = stream - stream.mean(-1, keepdim=True) if norm.centres else stream
    return centred * norm.gain.double()


def brute(model: Model, asked: Prompts) -> tuple[torch.Tensor, torch.Tensor]:
    """Changes of each pair from the end, beside the stream, and direct effects."""
    layers = range(model.shape.n_layers)
    heads = [Site.of(layer, Part.HEADS) for layer in layers]
    streams = [Site.of(layer, Part.RESID) for layer in layers]
    graph, weights = graph_of(model), centred_head_weights(model).double()
    own = torch.cat([torch.arange(graph.n_writers)[graph.heads(layer)] for layer in layers])
    longest = max(asked.lengths) + len(model.prefix)
    n_heads = len(weights)
    changes = torch.zeros(asked.n_pairs, longest, n_heads, model.shape.d_model).double()
    direct = torch.zeros(asked.n_pairs, n_heads).double()
    directions = answer_directions(model, asked).double()
    norms = _next_norms(model)
    gains = torch.stack([norm.gain for norm in norms]).double()
    gains = gains.repeat_interleave(model.shape.n_heads, 0)
    for pair in range(asked.n_pairs):
        read = []
        for ids in (asked.clean_ids[pair], asked.corrupt_ids[pair]):
            with record(model, [*heads, *streams]) as kept, torch.no_grad():
                model.logits(model.batch([ids]))
            z = torch.cat([kept[site][0] for site in heads], 1).double()
            out = torch.einsum("phd,hdm->phm", z, weights)
            if graph.coupled:
                out = terms(model, model.batch([ids]))[0, :, own].double()
            read.append((out, torch.stack([kept[site][0] for site in streams], 1).double()))
        written = read[0][0] - read[1][0]
        gained = written * gains
        size = torch.stack(
            [_as_read(norm, read[0][1][:, layer]).norm(dim=-1) for layer, norm in enumerate(norms)],
            dim=1,
        ).repeat_interleave(model.shape.n_heads, 1)
        changes[pair, : len(written)] = (gained / size[..., None]).flip(0)
        scale = model.shape.d_model**0.5 / read[0][1][-1, -1].norm()
        direct[pair] = written[-1] @ directions[pair] * scale
    return changes, direct


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2"])
def test_changes_are_those_of_brute_force(family: str, letter_pairs) -> None:
    model = tiny_model(family)
    rng = torch.Generator().manual_seed(0)
    for name, weight in model.module.named_parameters():
        if weight.ndim == 1 and ("norm" in name or "ln_" in name):  # gains and shifts of norms
            weight.data += 0.3 * torch.randn(weight.shape, generator=rng)
    asked = letter_pairs(model)
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
        torch.testing.assert_close(value, apart / (n * (n - 1)), rtol=1e-3, atol=3e-8)
    torch.testing.assert_close(found.direct.double(), direct, rtol=1e-3, atol=1e-6)
    gaps = read_pairs(model, asked, SMALL)
    whole = gaps.clean.metric - gaps.corrupt.metric  # one answer each: the metric is the gap
    torch.testing.assert_close(found.answer, whole, rtol=1e-4, atol=1e-5)


def test_the_direct_effect_is_what_the_logits_lose_with_the_norm_held(letter_pairs) -> None:
    """Take a head's change off the last residual stream, hold the division, look at the logits."""
    model = made("llama")
    asked = letter_pairs(model)
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


def test_without_readable_logits_there_is_no_direct_effect(monkeypatch, letter_pairs) -> None:
    model = made("llama")
    asked = letter_pairs(model)
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
