"""Attention-only models as TransformerLens makes and saves them, against that package itself.

A random model of its own class, with the settings of those that it published, is saved as they
were: plain settings and a pickled state dict. Ours is loaded from the folder.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from torch import Tensor

from needlepoint.circuits.attribution.node_attribution import pair_scores
from needlepoint.circuits.graph.graph import Kind
from needlepoint.circuits.graph.terms import graph_of
from needlepoint.circuits.methods import Question
from needlepoint.circuits.pair_batch import PairBatch
from needlepoint.circuits.patching.effects import node_effects
from needlepoint.circuits.search import path_patching
from needlepoint.models.hooks import record
from needlepoint.models.load import load_model
from needlepoint.models.model import Model
from needlepoint.testing.pairs import random_pairs
from needlepoint.testing.tiny import byte_tokenizer

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

SIZES = {"n_layers": 4, "d_model": 48, "d_head": 6, "n_heads": 8, "n_ctx": 64, "d_vocab": 257}
KINDS: dict[str, dict[str, Any]] = {
    "LN": {"normalization": "LN", "shortformer_pos": False},
    "LN, then RMS": {"normalization": "LN", "final_rms": True},
    "LNPre": {"normalization_type": "LNPre"},
    "RMS": {"normalization_type": "RMS"},
    "RMSPre": {"normalization_type": "RMSPre"},
    "eps": {"normalization": "LN", "eps": 0.3},
    "no norms": {"normalization": None},
    "shortformer": {"normalization": "LN", "shortformer_pos": True},
}


@cache
def both(kind: str) -> tuple[Any, Model]:
    """Theirs, and ours from the folder that it was saved to."""
    own = KINDS[kind]
    positions = "shortformer" if own.get("shortformer_pos") else "standard"
    config = lens.HookedTransformerConfig(
        **SIZES,
        attn_only=True,
        act_fn="gelu",
        normalization_type=own.get("normalization", own.get("normalization_type")),
        final_rms=own.get("final_rms", False),
        eps=own.get("eps", 1e-5),
        positional_embedding_type=positions,
        device="cpu",
        seed=0,
    )
    theirs = lens.HookedTransformer(config).eval()
    rng, size = torch.Generator().manual_seed(2), 0.12 if kind == "no norms" else 0.3
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            noise = torch.randn(parameter.shape, generator=rng)
            matrix = name.rpartition(".")[2].startswith("W_")
            parameter.copy_(size * noise if matrix else parameter + 0.2 * noise)
    with TemporaryDirectory() as place:
        folder = Path(place) / "attn-only-4l"
        folder.mkdir()
        (folder / "config.json").write_text(
            json.dumps({**SIZES, **own, "d_mlp": 192, "act_fn": "gelu", "attn_only": True})
        )
        torch.save(theirs.state_dict(), folder / "model_final.pth")
        byte_tokenizer().save_pretrained(folder)
        ours = load_model(folder, dtype="float32", device="cpu")
    return theirs, ours


def pairs_of(kind: str) -> PairBatch:
    return random_pairs(both(kind)[1], n=4, width=8)


def metric(logits: Tensor, pairs: PairBatch) -> Tensor:
    return pairs.answers(logits[:, -1])


def patched(kind: str, layer: int, head: int, corrupt: Any) -> Tensor:
    theirs, pairs = both(kind)[0], pairs_of(kind)

    def patch(old: Tensor, hook: Any) -> Tensor:
        new = old.clone()
        new[:, :, head] = corrupt[hook.name][:, :, head]
        return new

    address = f"blocks.{layer}.attn.hook_z"
    return metric(theirs.run_with_hooks(pairs.clean.ids, fwd_hooks=[(address, patch)]), pairs)


every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
def test_logits_and_the_output_of_every_head_are_theirs(kind: str) -> None:
    theirs, ours = both(kind)
    batch = pairs_of(kind).clean
    sites = [f"L{layer}.attn.z" for layer in range(4)]
    with torch.no_grad(), record(ours, sites) as kept:
        logits = ours.logits(batch)
        wanted, cache = theirs.run_with_cache(batch.ids)
    assert (ours.shape.n_layers, ours.shape.n_heads, ours.shape.d_mlp) == (4, 8, 0)
    assert ours.name == "attn-only-4l"
    torch.testing.assert_close(logits, wanted, atol=1e-4, rtol=1e-4)
    for layer, z in enumerate(kept.values()):
        torch.testing.assert_close(z, cache[f"blocks.{layer}.attn.hook_z"], atol=1e-4, rtol=1e-4)
    assert logits.std() > 0.1


@every_kind
def test_patching_of_every_head_agrees(kind: str) -> None:
    theirs, ours = both(kind)
    pairs = pairs_of(kind)
    with torch.no_grad():
        base = metric(theirs(pairs.clean.ids), pairs)
        _, corrupt = theirs.run_with_cache(pairs.corrupt.ids)
        wanted = [
            patched(kind, layer, head, corrupt) - base for layer in range(4) for head in range(8)
        ]
    found = node_effects(ours, pairs)
    assert found.nodes[0].kind is Kind.EMBED
    assert len(found.nodes) == 1 + 32
    torch.testing.assert_close(found.heads, torch.stack(wanted, 1), rtol=1e-3, atol=1e-4)
    assert found.heads.abs().amax(0).min() > 1e-4


@every_kind
def test_attribution_patching_of_every_head_agrees(kind: str) -> None:
    theirs, ours = both(kind)
    pairs, kept = pairs_of(kind), {}

    def keep(value: Tensor, hook: Any) -> None:
        value.retain_grad()
        kept[hook.name] = value

    with torch.no_grad():
        _, corrupt = theirs.run_with_cache(pairs.corrupt.ids)
    hooks = [(lambda name: name.endswith("hook_z"), keep)]
    metric(theirs.run_with_hooks(pairs.clean.ids, fwd_hooks=hooks), pairs).sum().backward()
    (found,) = pair_scores(Question(ours, pairs))
    graph = graph_of(ours)
    for layer in range(4):
        value = kept[f"blocks.{layer}.attn.hook_z"]
        change = corrupt[f"blocks.{layer}.attn.hook_z"] - value.detach()
        wanted = (change * value.grad).sum((1, 3)).double()
        torch.testing.assert_close(found[graph.heads(layer)].T, wanted, rtol=1e-3, atol=1e-4)
    theirs.zero_grad()


@every_kind
def test_a_path_into_one_input_of_a_head_agrees(kind: str) -> None:
    """From a head of layer 0 into the keys of one of layer 2, all other ways frozen."""
    theirs, ours = both(kind)
    pairs, graph = pairs_of(kind), graph_of(ours)
    found = path_patching(Question(ours, pairs)).edges
    assert found is not None
    with torch.no_grad():
        base, clean = theirs.run_with_cache(pairs.clean.ids)
        _, corrupt = theirs.run_with_cache(pairs.corrupt.ids)
        z = "blocks.0.attn.hook_z"
        weight = theirs.blocks[0].attn.W_O[3]
        moved = (corrupt[z][:, :, 3] - clean[z][:, :, 3]) @ weight
        block = theirs.blocks[2]
        stream = clean["blocks.2.hook_resid_pre"] + moved
        normed = block.ln1(stream)
        if theirs.cfg.positional_embedding_type == "shortformer":
            normed = normed + theirs.pos_embed(pairs.clean.ids)
        key = normed @ block.attn.W_K[5] + block.attn.b_K[5]

        def patch(old: Tensor, hook: Any) -> Tensor:
            new = old.clone()
            new[:, :, 5] = key
            return new

        address = "blocks.2.attn.hook_k"
        logits = theirs.run_with_hooks(pairs.clean.ids, fwd_hooks=[(address, patch)])
        wanted = (metric(logits, pairs) - metric(base, pairs)).mean()
    score = found[graph.writer("L0.H3"), graph.reader("L2.K5")]
    assert wanted.abs() > 1e-6
    torch.testing.assert_close(score, wanted, atol=1e-5, rtol=1e-3)
