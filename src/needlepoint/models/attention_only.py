"""A transformer of attention alone: the small models that circuits were first studied in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from needlepoint.models.plain import CausalModel, PlainHidden

NormKind = Literal["LN", "RMS", ""]


@dataclass(frozen=True)
class AttentionOnlyConfig:
    """Sizes of a transformer of attention alone, under the names that `transformers` gives them."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    head_dim: int
    max_position_embeddings: int
    norm: NormKind = "LN"
    """The norm before the attention of each layer; empty if there is none."""
    final_norm: NormKind = "LN"
    """The norm before the logits."""
    layer_norm_eps: float = 1e-5
    shortformer: bool = False
    """Whether positions are told to queries and keys of every layer, and not to the stream."""

    model_type: ClassVar[str] = "attn_only"


class AttentionOnlyTransformer(CausalModel):
    """Layers of attention that add to a residual stream, with learned positions and no MLPs.

    Each layer reads the stream through a norm, and so do the logits. Attention is causal and every
    map has a bias. Hooks and checks treat it as any other model; it keeps no cache of keys and
    values, and cannot be saved or generate text.

    Example:
        >>> config = AttentionOnlyConfig(5, 4, 1, 2, 2, max_position_embeddings=8)
        >>> AttentionOnlyTransformer(config)(torch.tensor([[0, 1, 2]])).logits.shape
        torch.Size([1, 3, 5])
    """

    decoder: AttentionOnlyDecoder

    def __init__(self, config: AttentionOnlyConfig) -> None:
        super().__init__()
        self.config = config
        self.decoder = AttentionOnlyDecoder(config)
        self.unembed = nn.Linear(config.hidden_size, config.vocab_size)


class AttentionOnlyDecoder(nn.Module):
    """Embeddings, layers, and the norm before the logits."""

    def __init__(self, config: AttentionOnlyConfig) -> None:
        super().__init__()
        self.shortformer = config.shortformer
        self.tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.positions = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        layers = range(config.num_hidden_layers)
        self.blocks = nn.ModuleList(AttentionOnlyBlock(config) for _ in layers)
        self.norm = _norm(config.final_norm, config)

    def forward(self, input_ids: Int[Tensor, "batch pos"], use_cache: bool = False) -> PlainHidden:
        """The residual stream after the last layer, through the norm before the logits if any."""
        places = self.positions(torch.arange(input_ids.shape[1], device=input_ids.device))
        hidden = self.tokens(input_ids)
        hidden = hidden if self.shortformer else hidden + places
        for block in self.blocks:
            hidden = block(hidden, places if self.shortformer else None)
        return PlainHidden(hidden if self.norm is None else self.norm(hidden))


class AttentionOnlyBlock(nn.Module):
    """A norm, then attention, which adds to the residual stream."""

    def __init__(self, config: AttentionOnlyConfig) -> None:
        super().__init__()
        self.norm = _norm(config.norm, config)
        self.attention = Attention(config)

    def forward(
        self,
        hidden_states: Float[Tensor, "batch pos d_model"],
        places: Float[Tensor, "pos d_model"] | None = None,
    ) -> Float[Tensor, "batch pos d_model"]:
        """The residual stream after the layer."""
        normed = hidden_states if self.norm is None else self.norm(hidden_states)
        attended, _ = self.attention(normed, places)
        after: Tensor = hidden_states + attended
        return after


class Attention(nn.Module):
    """Causal softmax attention, each head with queries, keys and values of its own."""

    def __init__(self, config: AttentionOnlyConfig) -> None:
        super().__init__()
        self.n_heads, self.d_head = config.num_attention_heads, config.head_dim
        width = self.n_heads * self.d_head
        self.q, self.k, self.v = (nn.Linear(config.hidden_size, width) for _ in range(3))
        self.o = nn.Linear(width, config.hidden_size)

    def forward(
        self,
        hidden_states: Float[Tensor, "batch pos d_model"],
        places: Float[Tensor, "pos d_model"] | None = None,
    ) -> tuple[Float[Tensor, "batch pos d_model"], None]:
        """What attention writes; positions, where they are given, go to queries and keys alone.

        They are added behind the maps, so that a hook on a map's output leaves them in place.
        """
        queries, keys, values = (part(hidden_states) for part in (self.q, self.k, self.v))
        if places is not None:
            queries = queries + functional.linear(places, self.q.weight)
            keys = keys + functional.linear(places, self.k.weight)
        q, k, v = (
            x.unflatten(-1, (self.n_heads, self.d_head)).transpose(1, 2)
            for x in (queries, keys, values)
        )
        z = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o(z.transpose(1, 2).flatten(-2)), None


def _norm(kind: NormKind, config: AttentionOnlyConfig) -> nn.Module | None:
    if kind == "LN":
        return nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
    if kind == "RMS":
        return nn.RMSNorm(config.hidden_size, eps=config.layer_norm_eps)
    return None
