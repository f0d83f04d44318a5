"""Tiny random models of every family, made from their configurations without a download."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from needlepoint._core.errors import unknown_name
from needlepoint._core.seeds import seed_for
from needlepoint.models.load import load_model
from needlepoint.models.model import Model

END = "<|endoftext|>"
_VOCAB = 257


@dataclass(frozen=True)
class TinyFamily:
    """How to make a tiny model of one family."""

    config: str
    """Name of the configuration class in `transformers`."""
    options: dict[str, Any] = field(default_factory=dict)


_SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
}
_SHARED: dict[str, Any] = {**_SIZES, "num_key_value_heads": 2}
_OWN_SIZE: dict[str, Any] = {**_SHARED, "head_dim": 12}
_WINDOWS = ["sliding_attention", "full_attention", "sliding_attention"]

TINY_FAMILIES: dict[str, TinyFamily] = {
    "gpt2": TinyFamily(
        "GPT2Config", {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 256, "n_inner": 48}
    ),
    "gpt_neox": TinyFamily("GPTNeoXConfig", {**_SIZES, "use_parallel_residual": True}),
    "gpt_neox-sequential": TinyFamily("GPTNeoXConfig", {**_SIZES, "use_parallel_residual": False}),
    "llama": TinyFamily("LlamaConfig", _SHARED),
    "llama-mqa": TinyFamily("LlamaConfig", {**_SIZES, "num_key_value_heads": 1}),
    "smollm3": TinyFamily("SmolLM3Config", {**_SHARED, "no_rope_layer_interval": 2}),
    "mistral": TinyFamily("MistralConfig", {**_SHARED, "sliding_window": 3}),
    "ministral": TinyFamily(
        "MinistralConfig", {**_OWN_SIZE, "sliding_window": 3, "layer_types": _WINDOWS}
    ),
    "qwen2": TinyFamily("Qwen2Config", _SHARED),
    "qwen3": TinyFamily("Qwen3Config", _OWN_SIZE),
    "gemma": TinyFamily("GemmaConfig", {**_OWN_SIZE, "num_key_value_heads": 1}),
    "gemma2": TinyFamily(
        "Gemma2Config",
        {
            **_OWN_SIZE,
            "query_pre_attn_scalar": 12,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 3.0,
            "sliding_window": 3,
            "layer_types": _WINDOWS,
        },
    ),
    "gemma3": TinyFamily(
        "Gemma3TextConfig",
        {**_OWN_SIZE, "query_pre_attn_scalar": 12, "sliding_window": 3, "layer_types": _WINDOWS},
    ),
    "opt": TinyFamily("OPTConfig", {**_SIZES, "ffn_dim": 48, "word_embed_proj_dim": 32}),
    "phi": TinyFamily("PhiConfig", {**_SIZES, "partial_rotary_factor": 0.5}),
    "phi3": TinyFamily("Phi3Config", _SHARED),
}
"""Three layers, four query heads and a residual stream of 32 in each; what else sets a family
apart (shared keys and values, head sizes of their own, windows, caps, biases) is there too."""


def tiny_model(family: str, *, seed: int = 0, **config: Any) -> Model:
    """A random model of a family, small enough for a test that runs it many times.

    It knows nothing, but its weights are drawn so that attention is neither uniform nor frozen and
    logits differ: a wrong reading of it shows. Text is cut into bytes.

    Args:
        family: A name in `TINY_FAMILIES`.
        seed: Root of the weights.
        **config: Settings of the configuration class to add or change.

    Raises:
        UnknownNameError: If there is no such family.

    Example:
        >>> model = tiny_model("llama")
        >>> model.shape.n_heads, model.shape.n_kv_heads
        (4, 2)
    """
    import transformers

    if family not in TINY_FAMILIES:
        raise unknown_name("tiny family", family, TINY_FAMILIES)
    made = TINY_FAMILIES[family]
    special = {"pad_token_id": None, "bos_token_id": 256, "eos_token_id": 256}
    options = {"vocab_size": _VOCAB, **special, **made.options, **config}
    settings = getattr(transformers, made.config)(**options)
    with torch.random.fork_rng():
        module = transformers.AutoModelForCausalLM.from_config(settings, dtype=torch.float32)
    draw_weights(module, seed_for(seed, family=family, use="tiny weights"))
    model = load_model(module, tokenizer=byte_tokenizer(), device="cpu")
    return model.named(f"tiny {family}")


def draw_weights(module: torch.nn.Module, seed: int) -> None:
    """Give a module random weights: matrices that keep the size of what passes, noise on the rest.

    Biases and the gains of norms are moved off their starting values, so that each one counts.
    """
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=rng)
            if parameter.dim() < 2:
                parameter.add_(0.2 * noise)
            else:
                parameter.copy_(noise * min(parameter.shape) ** -0.5)


def byte_tokenizer() -> Any:
    """A tokenizer with one token for each byte, and `<|endoftext|>` as token 256.

    Example:
        >>> len(byte_tokenizer().encode("one"))
        3
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: index for index, letter in enumerate(letters)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END, eos_token=END)
