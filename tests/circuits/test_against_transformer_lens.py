"""Patching agrees with TransformerLens, whose forward pass and hooks are of its own making.

It comes with the extra `interop`, a part of `test`. The model is built there from the weights of a
tiny random one by that package's converters; nothing is folded or centred.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import Tensor

from needlepoint.circuits.attribution.node_attribution import pair_scores
from needlepoint.circuits.graph.graph import Graph, Kind
from needlepoint.circuits.methods import Question
from needlepoint.circuits.metric import Answers
from needlepoint.circuits.pair_batch import PairBatch
from needlepoint.circuits.patching.effects import node_effects
from needlepoint.models.model import Model
from needlepoint.testing.tiny import tiny_model

if find_spec("transformer_lens") is None:
    pytest.skip(
        "the extra 'interop' is not installed: pip install 'needlepoint[interop]'",
        allow_module_level=True,
    )
lens = import_module("transformer_lens")
if not hasattr(lens, "HookedTransformer"):
    pytest.skip(
        "this transformer-lens wraps the model it is given: install the extra 'interop'",
        allow_module_level=True,
    )

pytestmark = pytest.mark.filterwarnings("ignore:HookedTransformer is deprecated")

FAMILIES = ("gpt2", "llama", "qwen2")
LENGTH, N_PAIRS = 9, 4


@cache
def made(family: str) -> Model:
    return tiny_model(family)


@cache
def pairs_of(family: str) -> PairBatch:
    model, rng = made(family), torch.Generator().manual_seed(1)
    clean = torch.randint(256, (N_PAIRS, LENGTH), generator=rng)
    corrupt = torch.cat([clean[:, :3], (clean[:, 3:] + 7) % 256], dim=1)
    right, wrong = torch.randint(256, (2, N_PAIRS, 1), generator=rng)
    answers = Answers(right, wrong)
    return PairBatch(model.batch(clean.tolist()), model.batch(corrupt.tolist()), answers)


def settings(model: Model) -> dict[str, Any]:
    shape, config = model.shape, model.module.config
    common = {
        "n_layers": shape.n_layers,
        "d_model": shape.d_model,
        "d_head": shape.d_head,
        "n_heads": shape.n_heads,
        "d_mlp": shape.d_mlp,
        "d_vocab": config.vocab_size,
        "n_ctx": 64,
        "device": "cpu",
    }
    if model.family.name == "gpt2":
        eps = config.layer_norm_epsilon
        return {**common, "act_fn": "gelu_new", "normalization_type": "LN", "eps": eps}
    return {
        **common,
        "act_fn": "silu",
        "normalization_type": "RMS",
        "eps": config.rms_norm_eps,
        "n_key_value_heads": shape.n_kv_heads,
        "positional_embedding_type": "rotary",
        "rotary_adjacent_pairs": False,
        "rotary_dim": shape.d_head,
        "rotary_base": config.rope_parameters["rope_theta"],
        "gated_mlp": True,
        "final_rms": True,
    }


@cache
def theirs(family: str) -> Any:
    """The same weights in the other package's model."""
    from transformer_lens.pretrained import weight_conversions

    model = made(family)
    hooked = lens.HookedTransformer(lens.HookedTransformerConfig(**settings(model)))
    convert = getattr(weight_conversions, f"convert_{family}_weights")
    hooked.load_state_dict(convert(model.module, hooked.cfg), strict=False)
    return hooked.eval()


def metric(logits: Tensor, pairs: PairBatch) -> Tensor:
    return pairs.answers(logits[:, -1])


@pytest.mark.parametrize("family", FAMILIES)
def test_both_hold_one_model(family: str) -> None:
    model, ids = made(family), pairs_of(family).clean.ids
    with torch.no_grad():
        ours, other = model.logits(pairs_of(family).clean), theirs(family)(ids)
    change = (ours - ours.mean()).std()
    torch.testing.assert_close(other, ours, rtol=0, atol=1e-4 * float(change))


@pytest.mark.parametrize("family", FAMILIES)
def test_activation_patching_of_heads_and_mlps(family: str) -> None:
    model, pairs, hooked = made(family), pairs_of(family), theirs(family)
    with torch.no_grad():
        base = metric(hooked(pairs.clean.ids), pairs)
        _, corrupt = hooked.run_with_cache(pairs.corrupt.ids)
        wanted = []
        for node in Graph.of(model.shape).writers:
            if node.kind is Kind.EMBED:
                wanted.append(metric(hooked(pairs.corrupt.ids), pairs) - base)
                continue
            name = "attn.hook_z" if node.kind is Kind.HEAD else "hook_mlp_out"
            address = f"blocks.{node.layer}.{name}"
            index = (..., node.index, slice(None)) if node.kind is Kind.HEAD else (...,)

            def patch(old: Tensor, hook: Any, index: Any = index) -> Tensor:
                new = old.clone()
                new[index] = corrupt[hook.name][index]
                return new

            logits = hooked.run_with_hooks(pairs.clean.ids, fwd_hooks=[(address, patch)])
            wanted.append(metric(logits, pairs) - base)
    found = node_effects(model, pairs).values
    torch.testing.assert_close(found, torch.stack(wanted, 1), rtol=1e-3, atol=1e-4)
    assert found.abs().amax(0).min() > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_attribution_patching_of_heads_and_mlps(family: str) -> None:
    model, pairs, hooked = made(family), pairs_of(family), theirs(family)
    kept: dict[str, Tensor] = {}

    def keep(value: Tensor, hook: Any) -> None:
        value.retain_grad()
        kept[hook.name] = value

    def is_node(name: str) -> bool:
        return name.endswith(("hook_z", "hook_mlp_out"))

    with torch.no_grad():
        _, corrupt = hooked.run_with_cache(pairs.corrupt.ids)
    logits = hooked.run_with_hooks(pairs.clean.ids, fwd_hooks=[(is_node, keep)])
    metric(logits, pairs).sum().backward()
    scores = {
        name: ((corrupt[name] - value.detach()) * value.grad).sum(1).sum(-1)
        for name, value in kept.items()
    }
    hooked.zero_grad()
    graph = Graph.of(model.shape)
    (found,) = pair_scores(Question(model, pairs))
    for layer in range(model.shape.n_layers):
        heads = scores[f"blocks.{layer}.attn.hook_z"].double()
        mlp = scores[f"blocks.{layer}.hook_mlp_out"].double()
        torch.testing.assert_close(found[graph.heads(layer)].T, heads, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(found[graph.mlp(layer)], mlp, rtol=1e-3, atol=1e-4)
    assert found.abs().amax() > 1e-2
