"""A tiny random model of attention alone, and its folder in the layout of TransformerLens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from needlepoint._core.seeds import seed_for
from needlepoint.models.attention_only import AttentionOnlyConfig, AttentionOnlyTransformer
from needlepoint.models.load import load_model
from needlepoint.models.model import Model
from needlepoint.testing.tiny import byte_tokenizer, draw_weights

_SIZES: dict[str, Any] = {
    "vocab_size": 257,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "head_dim": 8,
    "max_position_embeddings": 256,
}


def tiny_attention_only(*, seed: int = 0, **config: Any) -> Model:
    """A random model without MLPs, of the sizes of `tiny_model`; text is cut into bytes.

    Args:
        seed: Root of the weights.
        **config: Settings of `AttentionOnlyConfig` to add or change.

    Example:
        >>> model = tiny_attention_only()
        >>> model.shape.n_heads, model.shape.d_mlp
        (4, 0)
    """
    with torch.random.fork_rng():
        module = AttentionOnlyTransformer(AttentionOnlyConfig(**{**_SIZES, **config}))
    draw_weights(module, seed_for(seed, family="attn_only", use="tiny weights"))
    model = load_model(module, tokenizer=byte_tokenizer(), device="cpu")
    return model.named("tiny attn_only")


def save_as_published(model: Model, folder: Path) -> Path:
    """A folder with an attention-only model as TransformerLens published its own, and a tokenizer.

    Args:
        model: A model of `AttentionOnlyTransformer`; its attention buffers are put there too.
        folder: To be made.
    """
    folder.mkdir(parents=True)
    config: AttentionOnlyConfig = model.module.config
    settings = {
        "n_layers": config.num_hidden_layers,
        "d_model": config.hidden_size,
        "d_head": config.head_dim,
        "n_heads": config.num_attention_heads,
        "d_mlp": 4 * config.hidden_size,
        "n_ctx": config.max_position_embeddings,
        "d_vocab": config.vocab_size,
        "act_fn": "gelu",
        "attn_only": True,
        "normalization": config.norm or None,
        "eps": config.layer_norm_eps,
        "final_rms": config.final_norm == "RMS",
        "shortformer_pos": config.shortformer,
    }
    (folder / "config.json").write_text(json.dumps(settings))
    torch.save(published_state(model), folder / "model_final.pth")
    model.encoder.tokenizer.save_pretrained(folder)
    return folder


def published_state(model: Model) -> dict[str, Tensor]:
    """The weights of an attention-only model under the names of TransformerLens, cut into heads."""
    own, shape = model.module.state_dict(), model.shape
    cut = (shape.n_heads, shape.d_head)
    found = {
        "embed.W_E": own["decoder.tokens.weight"],
        "pos_embed.W_pos": own["decoder.positions.weight"],
        "unembed.W_U": own["unembed.weight"].T,
        "unembed.b_U": own["unembed.bias"],
    }
    norms = {"ln_final": "decoder.norm"}
    for layer in range(shape.n_layers):
        at, theirs = f"decoder.blocks.{layer}", f"blocks.{layer}"
        norms[f"{theirs}.ln1"] = f"{at}.norm"
        for part in "qkv":
            weight, bias = (own[f"{at}.attention.{part}.{kind}"] for kind in ("weight", "bias"))
            found[f"{theirs}.attn.W_{part.upper()}"] = weight.unflatten(0, cut).mT
            found[f"{theirs}.attn.b_{part.upper()}"] = bias.unflatten(0, cut)
        found[f"{theirs}.attn.W_O"] = own[f"{at}.attention.o.weight"].T.unflatten(0, cut)
        found[f"{theirs}.attn.b_O"] = own[f"{at}.attention.o.bias"]
        found[f"{theirs}.attn.mask"] = torch.ones(4, 4, dtype=torch.bool).tril()
        found[f"{theirs}.attn.IGNORE"] = torch.tensor(-1e5)
    for theirs, at in norms.items():
        for kind in ("weight", "bias"):
            if f"{at}.{kind}" in own:
                found[f"{theirs}.{kind[0]}"] = own[f"{at}.{kind}"]
    return {name: value.clone().contiguous() for name, value in found.items()}
