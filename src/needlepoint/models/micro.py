"""The micro model: small enough that every activation can be worked out on paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from needlepoint.models.load import load_model
from needlepoint.models.model import Model
from needlepoint.models.plain import PlainBlock, PlainConfig, PlainTransformer
from needlepoint.models.word_tokenizer import word_tokenizer

WORDS = ("zero", "one", "two", "three", "four")
_CONFIG = PlainConfig(
    vocab_size=len(WORDS),
    hidden_size=4,
    num_hidden_layers=2,
    num_attention_heads=2,
    head_dim=2,
    intermediate_size=3,
    num_key_value_heads=2,
    max_position_embeddings=16,
)


def micro_model() -> Model:
    """Two layers of two heads and three neurons, with small integers for weights.

    Token `t` at position `p` starts as the residual vector `(t, p, 0, 1)`. In each layer, head 0
    attends to all positions so far alike; head 1 to one position only: the first in layer 0, its
    own in layer 1, with scores so far apart that softmax gives exactly 0 and 1. No first token is
    put in front.

    Example:
        >>> model = micro_model()
        >>> model.encoder.encode("one two three")
        [1, 2, 3]
        >>> model.last_logits(model.batch([[1, 2, 3]])).detach().round().tolist()
        [[8.0, 8.0, 16.0, 0.0, 0.0]]
    """
    module = PlainTransformer(_CONFIG)
    tokens = [[token, 0, 0, 1] for token in range(_CONFIG.vocab_size)]
    positions = [[0, position, 0, 0] for position in range(_CONFIG.max_position_embeddings)]
    with torch.no_grad():
        _set(module.decoder.tokens, tokens)
        _set(module.decoder.positions, positions)
        first, second = module.decoder.blocks
        assert isinstance(first, PlainBlock)
        assert isinstance(second, PlainBlock)
        _fill_first(first)
        _fill_second(second)
        _set(
            module.unembed,
            [[1, 0, 0, 1], [0, 1, 0, -1], [0, 0, 2, 0], [0, 0, 0, 1], [1, 0, -1, 0]],
        )
    model = load_model(module, tokenizer=word_tokenizer(WORDS), device="cpu", first_token=None)
    return replace(model, name="micro", provenance={"source": "built by hand"})


def _set(layer: nn.Module, rows: Sequence[Sequence[int]]) -> None:
    """Each row of a linear map's weight makes one of its outputs."""
    weight = layer.weight
    assert isinstance(weight, nn.Parameter)
    weight.copy_(torch.tensor(rows, dtype=weight.dtype))


def _fill_first(block: PlainBlock) -> None:
    # In each of q, k and v, two rows for head 0, then two for head 1.
    attention, mlp = block.attention, block.mlp
    _set(attention.q, [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 30], [0, 0, 0, 0]])
    _set(attention.k, [[0, 0, 0, 0], [0, 0, 0, 0], [0, -30, 0, 0], [0, 0, 0, 0]])
    _set(attention.v, [[2, 0, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    _set(attention.o, [[0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, -1], [0, 0, 0, 2]])
    attention.o.bias.copy_(torch.tensor([0, 0, 0, 1]))
    _set(mlp.up, [[1, 0, 0, -1], [1, 0, 1, -1], [0, 1, 0, 0]])
    mlp.up.bias.copy_(torch.tensor([0, 1, 0]))
    _set(mlp.down, [[0, 0, -1], [1, 0, 0], [0, 1, 0], [0, 0, 0]])
    mlp.down.bias.copy_(torch.tensor([1, 0, 0, 0]))


def _fill_second(block: PlainBlock) -> None:
    attention, mlp = block.attention, block.mlp
    _set(attention.q, [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 10], [0, 0, 0, 0]])
    _set(attention.k, [[0, 0, 0, 0], [0, 0, 0, 0], [0, 10, 0, 0], [0, 0, 0, 0]])
    _set(attention.v, [[2, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0]])
    _set(attention.o, [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, -1, 0, 0]])
    attention.o.bias.copy_(torch.tensor([1, 0, 0, 0]))
    _set(mlp.up, [[1, -1, 0, 0], [-1, 0, 1, 0], [0, -1, 0, 0]])
    mlp.up.bias.copy_(torch.tensor([0, 0, 5]))
    _set(mlp.down, [[0, 0, 0], [1, 0, 0], [0, -1, 0], [0, 0, 1]])
