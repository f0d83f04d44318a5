"""Where the sites of each family of models are: the one place that knows module names."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from torch import Tensor, nn

from needlepoint._core.errors import ModelError
from needlepoint.models.spread import weight_of


@dataclass(frozen=True)
class Family:
    """Module names of one family, as paths within the causal model or within a block."""

    name: str
    model_types: tuple[str, ...]
    blocks: str
    """Path from the causal language model to its list of blocks."""
    attention: str
    """Path within a block to the attention module."""
    attention_out: str
    """Path within a block to the attention output projection; its input is every head's z."""
    mlp_down: str
    """Path within a block to the MLP's down projection; its input is the neurons. Empty for models
    of attention alone."""
    values: str
    """Path within a block to the projection that makes values (alone or fused with others)."""
    queries: str = ""
    """Path within a block to the projection that makes queries; empty if fused with the values."""
    keys: str = ""
    """Path within a block to the projection that makes keys; empty if fused with the values."""
    attention_norm: str = ""
    """Path within a block to the norm before the attention; empty if there is none."""
    attention_norm_after: str = ""
    """Path within a block to a norm between attention and residual stream. Where the norm before
    the MLP has that name, there is none between."""
    parallel: bool | str = False
    """Whether the MLP reads the residual stream that the attention reads; or the name of the
    setting that says so."""
    interleaved: bool = False
    """Whether a fused projection lays out query, key and value head by head."""
    flat_mlp: bool = False
    """Whether the MLP sees examples and positions merged into one axis."""
    mlp_reads: tuple[str, ...] = ()
    """Paths within a block to the maps that neurons read through: gate and up where there are two.
    One map with twice as many outputs as there are neurons has the gate first."""
    mlp_norm: tuple[str, ...] = ()
    """Paths within a block to the norm before the MLP; the first that is there counts."""
    mlp_norm_after: str = ""
    """Path within a block to a norm between the MLP and the residual stream, where there is one."""
    final_norm: str = ""
    """Path from the causal language model to the norm before the logits; empty if none."""
    unembed: str = ""
    """Path to the map to logits; empty where `get_output_embeddings` gives it."""
    ours: bool = False
    """Whether the model is run by code of this package, which keeps no cache of keys and values."""


def _like_llama(
    name: str,
    *model_types: str,
    fused: str = "",
    mlp_reads: tuple[str, ...] = ("mlp.gate_proj", "mlp.up_proj"),
) -> Family:
    return Family(
        name,
        model_types,
        blocks="model.layers",
        attention="self_attn",
        attention_out="self_attn.o_proj",
        mlp_down="mlp.down_proj",
        values=fused or "self_attn.v_proj",
        queries="" if fused else "self_attn.q_proj",
        keys="" if fused else "self_attn.k_proj",
        attention_norm="input_layernorm",
        attention_norm_after="post_attention_layernorm",
        mlp_reads=mlp_reads,
        mlp_norm=("pre_feedforward_layernorm", "post_attention_layernorm"),
        mlp_norm_after="post_feedforward_layernorm",
        final_norm="model.norm",
    )


FAMILIES: tuple[Family, ...] = (
    Family(
        "gpt2",
        ("gpt2",),
        blocks="transformer.h",
        attention="attn",
        attention_out="attn.c_proj",
        mlp_down="mlp.c_proj",
        values="attn.c_attn",
        attention_norm="ln_1",
        mlp_reads=("mlp.c_fc",),
        mlp_norm=("ln_2",),
        final_norm="transformer.ln_f",
    ),
    Family(
        "gpt_neox",
        ("gpt_neox",),
        blocks="gpt_neox.layers",
        attention="attention",
        attention_out="attention.dense",
        mlp_down="mlp.dense_4h_to_h",
        values="attention.query_key_value",
        parallel="use_parallel_residual",
        attention_norm="input_layernorm",
        interleaved=True,
        mlp_reads=("mlp.dense_h_to_4h",),
        mlp_norm=("post_attention_layernorm",),
        final_norm="gpt_neox.final_layer_norm",
    ),
    _like_llama("llama", "llama", "smollm3"),
    _like_llama("mistral", "mistral", "ministral"),
    _like_llama("qwen", "qwen2", "qwen3"),
    _like_llama("gemma", "gemma", "gemma2", "gemma3_text"),
    _like_llama("phi3", "phi3", fused="self_attn.qkv_proj", mlp_reads=("mlp.gate_up_proj",)),
    Family(
        "phi",
        ("phi",),
        blocks="model.layers",
        attention="self_attn",
        attention_out="self_attn.dense",
        mlp_down="mlp.fc2",
        values="self_attn.v_proj",
        queries="self_attn.q_proj",
        keys="self_attn.k_proj",
        parallel=True,
        attention_norm="input_layernorm",
        mlp_reads=("mlp.fc1",),
        mlp_norm=("input_layernorm",),
        final_norm="model.final_layernorm",
    ),
    Family(
        "opt",
        ("opt",),
        blocks="model.decoder.layers",
        attention="self_attn",
        attention_out="self_attn.out_proj",
        mlp_down="fc2",
        values="self_attn.v_proj",
        queries="self_attn.q_proj",
        keys="self_attn.k_proj",
        attention_norm="self_attn_layer_norm",
        flat_mlp=True,
        mlp_reads=("fc1",),
        mlp_norm=("final_layer_norm",),
        final_norm="model.decoder.final_layer_norm",
    ),
    Family(
        "plain",
        ("needlepoint_plain",),
        blocks="decoder.blocks",
        attention="attention",
        attention_out="attention.o",
        mlp_down="mlp.down",
        values="attention.v",
        queries="attention.q",
        keys="attention.k",
        mlp_reads=("mlp.up",),
        unembed="unembed",
        ours=True,
    ),
    Family(
        "attn_only",
        ("attn_only",),
        blocks="decoder.blocks",
        attention="attention",
        attention_out="attention.o",
        mlp_down="",
        values="attention.v",
        queries="attention.q",
        keys="attention.k",
        attention_norm="norm",
        final_norm="decoder.norm",
        unembed="unembed",
        ours=True,
    ),
)


@dataclass(frozen=True)
class Shape:
    """The sizes of a model."""

    n_layers: int
    n_heads: int
    """Query heads in each layer: the heads that have an output of their own."""
    n_kv_heads: int
    """Heads of keys and values: each is read by `n_heads / n_kv_heads` query heads."""
    d_head: int
    d_model: int
    d_mlp: int
    """0 if there are no MLPs."""

    @property
    def has_mlps(self) -> bool:
        """Whether layers have an MLP beside attention."""
        return self.d_mlp > 0

    @property
    def n_neurons(self) -> int:
        """MLP neurons in all layers."""
        return self.n_layers * self.d_mlp


def family_of(config: Any) -> Family:
    """The family of a model, from its configuration.

    Raises:
        ModelError: If no rule covers it; the message lists the model types that are covered.
    """
    for family in FAMILIES:
        if config.model_type in family.model_types:
            return family
    public = [family for family in FAMILIES if family.name != "plain"]
    known = ", ".join(sorted(kind for family in public for kind in family.model_types))
    raise ModelError(
        f"models of type {config.model_type!r} are not covered; the types covered are {known}. "
        "A Family rule in needlepoint/models/families.py adds one."
    )


def find(root: nn.Module, path: str) -> Any:
    """The module at a dotted path.

    Raises:
        ModelError: If there is none, which means that the rule of the family does not fit.
    """
    try:
        return attrgetter(path)(root)
    except AttributeError as error:
        kind = type(root).__name__
        raise ModelError(
            f"{kind} has no module {path!r}: its family's rule does not fit."
        ) from error


def shape_of(module: nn.Module, family: Family) -> Shape:
    """The sizes of a model, read from its configuration and checked against its weights.

    Raises:
        ModelError: If the two disagree.
    """
    config: Any = module.config
    blocks = find(module, family.blocks)
    if not len(blocks):
        raise ModelError("the model has no layers: look at num_hidden_layers of its config.")
    n_heads = config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // n_heads
    width_in, width_out = linear_shape(find(blocks[0], family.attention_out))
    if width_in != n_heads * head_size:
        raise ModelError(
            f"the attention output projection reads {width_in} numbers, but {n_heads} heads of "
            f"{head_size} make {n_heads * head_size}: this model would be read wrongly."
        )
    neurons, written = 0, width_out
    if family.mlp_down:
        neurons, written = linear_shape(find(blocks[0], family.mlp_down))
    if written != width_out:
        raise ModelError(
            f"the MLP's down projection writes {written} numbers, but the attention output "
            f"projection writes {width_out}: this model would be read wrongly."
        )
    shared = getattr(config, "num_key_value_heads", None) or n_heads
    if n_heads % shared:
        raise ModelError(f"{n_heads} query heads cannot share {shared} key/value heads evenly.")
    return Shape(len(blocks), n_heads, shared, head_size, width_out, neurons)


def linear_shape(layer: nn.Module) -> tuple[int, int]:
    """Inputs and outputs of a linear map, however its weight is laid out."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    rows, columns = weight.shape
    return (rows, columns) if is_input_major(layer) else (columns, rows)


def input_major_weight(layer: nn.Module) -> Tensor:
    """The weight of a linear map as `[input, output]`, so that `y = x @ weight`."""
    weight = weight_of(layer)
    assert weight is not None
    return weight if is_input_major(layer) else weight.T


def is_input_major(layer: nn.Module) -> bool:
    """Whether a linear map keeps its weight as `[input, output]`, as GPT-2's do."""
    return type(layer).__name__ == "Conv1D"
