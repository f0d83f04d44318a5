"""A transformer plain enough to be worked out on paper, with the face of a larger one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


@dataclass(frozen=True)
class PlainConfig:
    """Sizes of a plain transformer, under the names that `transformers` gives them."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    head_dim: int
    intermediate_size: int
    num_key_value_heads: int
    max_position_embeddings: int = 64
    causal: bool = True
    """Whether a position sees itself and those before it only; else it sees all."""

    model_type: ClassVar[str] = "needlepoint_plain"


@dataclass(frozen=True)
class PlainHidden:
    """What the blocks leave behind."""

    last_hidden_state: Float[Tensor, "batch pos d_model"]


@dataclass(frozen=True)
class PlainLogits:
    """What the whole transformer gives."""

    logits: Float[Tensor, "batch pos vocab"]


class CausalModel(nn.Module):
    """The face that models of `transformers` have: a decoder, then a map to logits."""

    decoder: nn.Module
    unembed: nn.Linear

    @property
    def base_model(self) -> nn.Module:
        """Everything but the map to logits."""
        return self.decoder

    def forward(
        self,
        input_ids: Int[Tensor, "batch pos"],
        use_cache: bool = False,
        logits_to_keep: int | Int[Tensor, " example"] = 0,
    ) -> PlainLogits:
        """Logits at every position, at the last few, or at the positions named.

        Args:
            input_ids: Tokens, padded on the right if at all.
            use_cache: Taken for the sake of the common face; there is no cache.
            logits_to_keep: 0 for every position, a number for that many at the end, or a tensor
                of positions.
        """
        hidden = self.decoder(input_ids).last_hidden_state
        keep = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        return PlainLogits(self.unembed(hidden[:, keep]))


class PlainTransformer(CausalModel):
    """Attention and ReLU layers that add to a residual stream, without norms.

    Token and position embeddings are added, heads may share keys and values, and the map to
    logits is a matrix of its own. Without norms every activation is a sum of what was written
    before, so a model can be built by hand: all weights start at zero. Attention is causal unless
    the configuration says otherwise; padding is never masked, so without causality the texts of a
    batch must be of equal length, which `Model.batch` sees to. Hooks and checks treat it as any
    other model; it cannot be saved or generate text.

    Example:
        >>> plain = PlainTransformer(PlainConfig(5, 4, 1, 2, 2, 3, num_key_value_heads=1))
        >>> plain(torch.tensor([[0, 1, 2]])).logits.shape
        torch.Size([1, 3, 5])
    """

    decoder: PlainDecoder

    def __init__(self, config: PlainConfig) -> None:
        super().__init__()
        self.config = config
        with torch.random.fork_rng():
            self.decoder = PlainDecoder(config)
            self.unembed = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)


class PlainDecoder(nn.Module):
    """Embeddings and blocks."""

    def __init__(self, config: PlainConfig) -> None:
        super().__init__()
        self.tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.positions = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.blocks = nn.ModuleList(PlainBlock(config) for _ in range(config.num_hidden_layers))

    def forward(self, input_ids: Int[Tensor, "batch pos"], use_cache: bool = False) -> PlainHidden:
        """The residual stream after the last block."""
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)
        hidden = self.tokens(input_ids) + self.positions(positions)
        for block in self.blocks:
            hidden = block(hidden)
        return PlainHidden(hidden)


class PlainBlock(nn.Module):
    """Attention, then an MLP, each adding to the residual stream."""

    def __init__(self, config: PlainConfig) -> None:
        super().__init__()
        self.attention = PlainAttention(config)
        self.mlp = PlainMLP(config)

    def forward(
        self, hidden_states: Float[Tensor, "batch pos d_model"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """The residual stream after the block."""
        attended, _ = self.attention(hidden_states)
        middle = hidden_states + attended
        after: Tensor = middle + self.mlp(middle)
        return after


class PlainAttention(nn.Module):
    """Softmax attention, causal or not; an equal run of query heads reads each key/value head."""

    def __init__(self, config: PlainConfig) -> None:
        super().__init__()
        self.n_heads = config.num_attention_heads
        self.n_kv_heads = config.num_key_value_heads
        self.d_head = config.head_dim
        self.causal = config.causal
        width, shared = self.n_heads * self.d_head, self.n_kv_heads * self.d_head
        self.q = nn.Linear(config.hidden_size, width, bias=False)
        self.k = nn.Linear(config.hidden_size, shared, bias=False)
        self.v = nn.Linear(config.hidden_size, shared, bias=False)
        self.o = nn.Linear(width, config.hidden_size)

    def forward(
        self, hidden_states: Float[Tensor, "batch pos d_model"]
    ) -> tuple[Float[Tensor, "batch pos d_model"], Float[Tensor, "batch head pos pos"]]:
        """What attention writes, and the pattern: a row of weights for each query position."""
        queries = self.q(hidden_states).unflatten(-1, (self.n_heads, self.d_head))
        keys, values = (
            part(hidden_states)
            .unflatten(-1, (self.n_kv_heads, self.d_head))
            .repeat_interleave(self.n_heads // self.n_kv_heads, dim=-2)
            for part in (self.k, self.v)
        )
        scores = torch.einsum("bihd,bjhd->bhij", queries, keys) / self.d_head**0.5
        if self.causal:
            future = torch.ones_like(scores, dtype=torch.bool).triu(1)
            scores = scores.masked_fill(future, float("-inf"))
        pattern = scores.softmax(-1)
        z = torch.einsum("bhij,bjhd->bihd", pattern, values).flatten(-2)
        return self.o(z), pattern


class PlainMLP(nn.Module):
    """One layer of ReLU neurons."""

    def __init__(self, config: PlainConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.hidden_size, config.intermediate_size)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(
        self, hidden_states: Float[Tensor, "batch pos d_model"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """What the neurons write."""
        written: Tensor = self.down(self.up(hidden_states).relu())
        return written
