"""How much memory gradients of so many pairs take, told beforehand, and how many fit."""

from __future__ import annotations

import torch

from needlepoint.circuits.ablation import PairBatch
from needlepoint.circuits.graph.terms import term_bytes
from needlepoint.models.families import find, linear_shape
from needlepoint.models.model import Model

PIECE_BYTES = 512 * 2**20
"""Memory that one piece of pairs may take above the model itself."""


def memory_bytes(model: Model, n_tokens: int, *, copies: int = 1) -> int:
    """Memory above the model itself that scores of edges take for a piece of so many tokens.

    The changes of all writers, the gradients of the readers of one layer, and what the model keeps
    for its backward pass, which is an estimate. It does not depend on the number of pairs: they are
    taken in pieces of `piece_size`.

    Args:
        model: Any model.
        n_tokens: Positions in all pairs of the piece.
        copies: How often the clean prompts go through the model at once.

    Example:
        >>> from needlepoint.models.micro import micro_model
        >>> memory_bytes(micro_model(), 100) < memory_bytes(micro_model(), 100, copies=5)
        True
    """
    each = torch.finfo(model.dtype).bits // 8
    per_token = saved_numbers(model) + _reader_numbers(model)
    return term_bytes(model, n_tokens) + copies * n_tokens * per_token * each


def piece_size(model: Model, pairs: PairBatch, *, copies: int = 1) -> int:
    """Pairs that go through the model at a time, at least one."""
    width = pairs.clean.ids.shape[1]
    return max(1, min(len(pairs), PIECE_BYTES // memory_bytes(model, width, copies=copies)))


def saved_numbers(model: Model) -> int:
    """About how many numbers a forward pass keeps for each token, for gradients of its input.

    Norms keep their input twice and what they made is kept for the readers; attention keeps its
    queries, its output, and a key and a value for each query head; an MLP what its maps make and
    what becomes of that. Attention patterns, where they are made at all, are not counted.
    """
    shape, family = model.shape, model.family
    made = sum(linear_shape(find(model.blocks[0], path))[1] for path in family.mlp_reads)
    each = 6 * shape.d_model + 4 * shape.n_heads * shape.d_head + 2 * made
    return shape.n_layers * each


def _reader_numbers(model: Model) -> int:
    shape = model.shape
    return 2 * (shape.n_heads + 2 * shape.n_kv_heads + shape.has_mlps) * shape.d_model
