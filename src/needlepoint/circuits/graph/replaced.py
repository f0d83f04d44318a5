"""What cut edges carry under each kind of ablation, as terms of the residual stream."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint.circuits.graph.graph import Graph
from needlepoint.circuits.graph.run import Replaced
from needlepoint.circuits.graph.terms import graph_of
from needlepoint.circuits.pair_batch import PairBatch
from needlepoint.circuits.patching.means import Means
from needlepoint.circuits.patching.replacement import AblationKind, Replacement, replacements
from needlepoint.models.model import Model
from needlepoint.models.reads import division, writing_norm


def replaced_by(model: Model, kind: AblationKind, data: Means | None = None) -> Replaced | None:
    """What ablated parts write, for `Question.replaced`; None stands for the corrupt prompt.

    Args:
        model: The model of the question.
        kind: `resample`, `mean` or `zero`.
        data: Means for `mean`, of `means_over`.

    Raises:
        DataError: When it is called, if `mean` comes without means.
    """
    if kind == "resample":
        return None

    def instead(piece: PairBatch) -> Float[Tensor, "pair pos writer d_model"]:
        values = replacements(model, piece, kind, data)
        return terms_of(model, values, tuple(piece.clean.ids.shape))

    return instead


def terms_of(
    model: Model, values: Replacement, shape: tuple[int, ...]
) -> Float[Tensor, "pair pos writer d_model"]:
    """The terms that nodes of given values add: heads by their z, MLPs by what they write.

    A norm between a part and the stream is passed through, its division held at what it is for
    all heads of the layer together.
    """
    graph = graph_of(model)
    full = (*shape, graph.n_writers, model.shape.d_model)
    found = torch.empty(full, dtype=model.dtype, device=model.device)
    found[:, :, 0] = values.embedding()
    with torch.no_grad():
        for layer in range(model.shape.n_layers):
            _fill(model, graph, values, layer, found)
    return found


def _fill(model: Model, graph: Graph, values: Replacement, layer: int, found: Tensor) -> None:
    heads = torch.einsum("bphd,hdm->bphm", values.heads(layer), model.head_weights(layer))
    norm = writing_norm(model, layer, "attention")
    if norm is not None:
        bias = getattr(model.attention_output(layer), "bias", None)
        whole = heads.sum(2) if bias is None else heads.sum(2) + bias
        heads = division(norm, whole)(heads)
    found[:, :, graph.heads(layer)] = heads
    if not graph.has_mlps:
        return
    written, norm = values.mlp(layer), writing_norm(model, layer, "mlp")
    found[:, :, graph.mlp(layer)] = written if norm is None else norm(written)
