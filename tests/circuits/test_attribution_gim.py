"""Changes of the backward pass: each one by hand, and a forward pass that stays as it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from needlepoint.circuits.attribution import (
    attribution_patching,
    attribution_patching_gim,
    eap,
    eap_gim,
    eap_ig_activations,
    eap_ig_activations_gim,
    eap_ig_inputs,
    eap_ig_inputs_gim,
)
from needlepoint.circuits.attribution.gim import (
    SHARES,
    TEMPERATURE,
    _SofterAttention,
    interaction_modifications,
    norm_modules,
)
from needlepoint.circuits.attribution.linear_norm import linear_norm, norms_of
from needlepoint.circuits.methods import Found, Question
from needlepoint.circuits.pair_batch import clean_metric
from needlepoint.models.reads import projection
from needlepoint.testing.attention_only import tiny_attention_only
from needlepoint.testing.pairs import random_pairs
from needlepoint.testing.tiny import TINY_FAMILIES, tiny_model

FAMILIES = sorted(TINY_FAMILIES)
Method = Callable[[Question], Found]
VARIANTS: list[tuple[Method, Method]] = [
    (attribution_patching, attribution_patching_gim),
    (eap, eap_gim),
    (eap_ig_inputs, eap_ig_inputs_gim),
    (eap_ig_activations, eap_ig_activations_gim),
]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_forward_pass_is_not_changed(family: str) -> None:
    model = tiny_model(family)
    pairs = random_pairs(model)
    before = clean_metric(model, pairs)
    with interaction_modifications(model)():
        inside = clean_metric(model, pairs)
    torch.testing.assert_close(inside, before, atol=1e-5, rtol=1e-5)
    assert torch.equal(clean_metric(model, pairs), before)


def test_softmax_has_the_gradient_of_a_softer_one() -> None:
    rng = torch.Generator().manual_seed(0)
    scores = torch.randn(3, 5, generator=rng).requires_grad_()
    above = torch.randn(3, 5, generator=rng)
    with _SofterAttention():
        made = scores.softmax(-1)
    torch.testing.assert_close(made, scores.softmax(-1))
    (found,) = torch.autograd.grad(made, scores, above)
    warm = scores.detach().clone().requires_grad_()
    (soft,) = torch.autograd.grad((warm / TEMPERATURE).softmax(-1), warm, above)
    torch.testing.assert_close(found, TEMPERATURE * soft)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("grouped", [False, True])
def test_fused_attention_is_taken_apart_without_changing_it(causal: bool, grouped: bool) -> None:
    rng = torch.Generator().manual_seed(0)
    query = torch.randn(2, 4, 5, 3, generator=rng).requires_grad_()
    key, value = (torch.randn(2, 2 if grouped else 4, 5, 3, generator=rng) for _ in range(2))
    options = {"is_causal": causal, "enable_gqa": grouped, "scale": 0.7}
    plain = functional.scaled_dot_product_attention(query, key, value, **options)
    with _SofterAttention():
        apart = functional.scaled_dot_product_attention(query, key, value, **options)
    torch.testing.assert_close(apart, plain)
    one, other = (torch.autograd.grad(x.square().sum(), query)[0] for x in (plain, apart))
    assert not torch.allclose(one, other)


@pytest.mark.parametrize("family", ["gemma2", "gpt2", "gpt_neox", "phi3", "qwen3"])
def test_queries_keys_and_values_get_their_shares_of_the_gradient(family: str) -> None:
    model = tiny_model(family)
    pairs = random_pairs(model)
    made = {kind: projection(model, 2, kind) for kind in SHARES}

    def gradients(*, shared: bool) -> list[torch.Tensor]:
        kept: dict[nn.Module, torch.Tensor] = {}

        def keep(module: nn.Module, _: object, out: torch.Tensor) -> None:
            out.retain_grad()
            kept[module] = out

        handles = [one.module.register_forward_hook(keep) for one in made.values()]
        with pytest.MonkeyPatch.context() as patch:
            if not shared:
                ones = dict.fromkeys(SHARES, 1.0)
                patch.setattr("needlepoint.circuits.attribution.gim.SHARES", ones)
            with interaction_modifications(model)():
                logits = model.last_logits(pairs.clean)
        pairs.answers(logits).sum().backward()
        for handle in handles:
            handle.remove()
        found = [kept[one.module].grad[..., one.columns] for one in made.values()]
        model.module.zero_grad()
        return found

    whole, parts = gradients(shared=False), gradients(shared=True)
    for kind, before, after in zip(SHARES, whole, parts, strict=True):
        assert before.abs().max() > 1e-4
        torch.testing.assert_close(after, SHARES[kind] * before, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_norms_are_linear_maps_for_small_changes_and_frozen_ones_scale_alone(family: str) -> None:
    model = tiny_model(family)
    modules = norm_modules(model)
    rng = torch.Generator().manual_seed(0)
    assert len(modules) >= 1 + model.shape.n_layers
    for module, norm in norms_of(modules).items():
        rows = torch.randn(4, len(norm.gain), generator=rng).requires_grad_()
        above = torch.randn(4, len(norm.gain), generator=rng)
        made = module(rows)
        at = linear_norm(norm, rows.detach(), made.detach())
        expected = torch.autograd.grad(made, rows, above)[0]
        torch.testing.assert_close(at.pulled(above[None])[0], expected, atol=1e-5, rtol=1e-4)
        held = linear_norm(norm, rows.detach(), made.detach(), frozen=True)
        pulled = held.pulled(above[None])[0]
        back = (pulled * rows.detach()).sum(-1)
        straight = (above * (made.detach() - norm.shift)).sum(-1)
        torch.testing.assert_close(back, straight, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("method", "variant"), VARIANTS)
def test_without_norms_and_with_modifications_of_1_each_method_is_what_it_was(
    method: Method, variant: Method, monkeypatch
) -> None:
    """Nothing else of the backward pass is changed; and what is changed moves every method."""
    plain = tiny_attention_only(norm="", final_norm="")
    question = Question(plain, random_pairs(plain))
    wanted = method(question)
    moved = (variant(question).nodes - wanted.nodes).abs().max()
    assert moved > 1e-2 * wanted.nodes.abs().max()
    monkeypatch.setattr("needlepoint.circuits.attribution.gim.SHARES", dict.fromkeys(SHARES, 1.0))
    monkeypatch.setattr("needlepoint.circuits.attribution.gim.TEMPERATURE", 1.0)
    found = variant(question)
    torch.testing.assert_close(found.nodes, wanted.nodes, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.edges, wanted.edges, atol=1e-5, rtol=1e-4)
