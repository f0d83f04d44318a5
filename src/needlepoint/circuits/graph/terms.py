"""What each node adds to the residual stream: the terms whose sum a reader reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint.circuits.graph.graph import Graph
from needlepoint.models.hooks import Edit, hook
from needlepoint.models.model import Batch, Model
from needlepoint.models.reads import division, is_parallel, writing_norm
from needlepoint.models.sites import Part, Site

Heard = Callable[[int, Tensor], None]
"""Is told what was written: the layer, and the terms, `[example pos node d_model]`."""


def graph_of(model: Model) -> Graph:
    """The graph of a model.

    Example:
        >>> from needlepoint.models.micro import micro_model
        >>> graph_of(micro_model()).n_edges
        46
    """
    coupled = writing_norm(model, 0, "attention") is not None
    return Graph.of(model.shape, parallel=is_parallel(model), coupled=coupled)


@contextmanager
def heard(
    model: Model, *, embedding: Heard, heads: Heard, mlp: Heard, attention: Heard | None = None
) -> Iterator[None]:
    """Call functions with the terms of every node, as each is computed, inside the block.

    Terms are what reaches the residual stream. A head's is `z @ W_O[head]` without bias; where a
    norm stands between attention and stream (Gemma 2 and 3), each head has its share of the
    norm's output, with the division held at what it is for the sum. An MLP's term includes its
    bias. Summed over all nodes before it, with the biases of attention, they are the stream.

    Args:
        model: The model that is run inside the block.
        embedding: Hears the stream before the first layer, as `(-1, [example pos 1 d_model])`.
        heads: Hears the terms of a layer's heads.
        mlp: Hears the term of a layer's MLP, as `[example pos 1 d_model]`.
        attention: Hears all that the attention of a layer adds, bias included.
    """
    edits: list[tuple[Site | str, Edit]] = [
        (Site.of(0, Part.RESID_IN), lambda x: embedding(-1, x[:, :, None]))
    ]
    for layer in range(model.shape.n_layers):
        edits += _layer(model, layer, heads, mlp, attention)
    with hook(model, edits):
        yield


def _layer(
    model: Model, layer: int, heads: Heard, mlp: Heard, attention: Heard | None
) -> list[tuple[Site | str, Edit]]:
    weights = model.head_weights(layer)
    after_attention, after_mlp = (writing_norm(model, layer, part) for part in ("attention", "mlp"))
    parts: list[Tensor] = []

    def split(z: Tensor) -> None:
        parts[:] = [torch.einsum("bphd,hdm->bphm", z, weights)]
        if after_attention is None:
            heads(layer, parts.pop())

    def attended(out: Tensor) -> None:
        if after_attention is not None:
            heads(layer, division(after_attention, out)(parts.pop()))
            out = after_attention(out)
        if attention is not None:
            attention(layer, out)

    def written(out: Tensor) -> None:
        out = out if after_mlp is None else after_mlp(out)
        mlp(layer, out[:, :, None])

    edits: list[tuple[Site | str, Edit]] = [
        (Site.of(layer, Part.HEADS), split),
        (Site.of(layer, Part.ATTENTION), attended),
    ]
    return [*edits, (Site.of(layer, Part.MLP), written)] if model.shape.has_mlps else edits


def terms(model: Model, batch: Batch) -> Float[Tensor, "example pos writer d_model"]:
    """The term of every writer at every position of one forward pass.

    Large: `term_bytes` says how large. Ask for few examples at a time.

    Example:
        >>> from needlepoint.models.micro import micro_model
        >>> model = micro_model()
        >>> terms(model, model.batch([[1, 2, 3]])).shape
        torch.Size([1, 3, 7, 4])
    """
    graph = graph_of(model)
    shape = (*batch.ids.shape, graph.n_writers, model.shape.d_model)
    found = torch.empty(shape, dtype=model.dtype, device=model.device)

    def keep_embedding(_: int, term: Tensor) -> None:
        found[:, :, 0:1] = term

    def keep_heads(layer: int, term: Tensor) -> None:
        found[:, :, graph.heads(layer)] = term

    def keep_mlp(layer: int, term: Tensor) -> None:
        found[:, :, graph.mlp(layer)] = term[:, :, 0]

    with heard(model, embedding=keep_embedding, heads=keep_heads, mlp=keep_mlp):
        model.hidden(batch)
    return found


def term_bytes(model: Model, n_tokens: int) -> int:
    """Memory that the terms of so many tokens take, in bytes."""
    each = torch.finfo(model.dtype).bits // 8
    return n_tokens * graph_of(model).n_writers * model.shape.d_model * each
