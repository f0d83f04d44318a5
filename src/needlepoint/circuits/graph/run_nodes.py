"""Run a model with nodes ablated: every reader sees the replacement of what each of them writes.

The same as cutting all edges out of those nodes, without making what each reader sees by itself:
about the cost of a forward pass for each circuit.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.progress import Bar
from needlepoint.circuits.graph.graph import Graph
from needlepoint.circuits.graph.run import EDGE_BYTES, Replaced, run_edges
from needlepoint.circuits.graph.terms import graph_of, term_bytes, terms
from needlepoint.circuits.pair_batch import PairBatch
from needlepoint.models.hooks import Edit, hook
from needlepoint.models.model import Batch, Model
from needlepoint.models.reads import writing_norm
from needlepoint.models.sites import Part, Site

RUN_TOKENS = 4096
"""Tokens that go through the model at a time."""


def run_nodes(
    model: Model,
    pairs: PairBatch,
    keep: Bool[Tensor, "resample writer"],
    replaced: Replaced | None = None,
) -> Float[Tensor, "resample pair"]:
    """Metric of each pair under each circuit of nodes, all other nodes ablated.

    Keeping all nodes is the model on the clean prompt; keeping none is, with the default
    replacement, the model on the corrupt one, both to rounding.

    Args:
        model: Any model whose parts add to a residual stream.
        pairs: Clean and corrupt prompts.
        keep: Which nodes each circuit keeps, in the order of the graph's writers.
        replaced: What ablated nodes write; their term on the paired corrupt prompt unless given.

    Raises:
        ModelError: If the nodes of the model have no terms of their own.
    """
    graph = graph_of(model)
    if any(writing_norm(model, 0, part) is not None for part in ("attention", "mlp")):
        return run_edges(model, pairs, graph.edges & keep.cpu()[:, :, None], replaced)
    replaced = replaced or (lambda piece: terms(model, piece.corrupt))
    inside = keep.to(model.device)
    out = torch.empty(len(keep), len(pairs))
    fit = max(1, EDGE_BYTES // max(1, term_bytes(model, pairs.clean.ids.shape[1])))
    with (
        Bar("running circuits of nodes", total=len(keep) * len(pairs)) as bar,
        torch.no_grad(),
    ):
        for index, piece in pairs.parts(min(len(pairs), fit, 16)):
            instead = replaced(piece).expand(*piece.clean.ids.shape, -1, -1)
            step = max(1, RUN_TOKENS // piece.clean.ids.numel())
            for start in range(0, len(keep), step):
                some = slice(start, start + step)
                out[some, index] = _run(model, graph, piece, inside[some], instead).cpu()
                bar.advance(len(inside[some]) * len(piece))
    return out


def _run(
    model: Model,
    graph: Graph,
    piece: PairBatch,
    inside: Bool[Tensor, "resample writer"],
    instead: Float[Tensor, "pair pos writer d_model"],
) -> Float[Tensor, "resample pair"]:
    n = len(inside)
    batch = Batch(piece.clean.ids.repeat(n, 1), piece.clean.lengths.repeat(n))
    edits: list[tuple[Site | str, Edit]] = [
        (Site.of(0, Part.RESID_IN), _whole(inside[:, 0], instead[:, :, 0]))
    ]
    for layer in range(model.shape.n_layers):
        heads = graph.heads(layer)
        edits += [
            (Site.of(layer, Part.HEADS), _silenced(inside[:, heads])),
            (Site.of(layer, Part.ATTENTION), _added(inside[:, heads], instead[:, :, heads])),
        ]
        if graph.has_mlps:
            mlp = graph.mlp(layer)
            edits.append((Site.of(layer, Part.MLP), _whole(inside[:, mlp], instead[:, :, mlp])))
    with hook(model, edits):
        logits = model.last_logits(batch)
    return piece.answers.repeat(n)(logits).reshape(n, len(piece))


def _silenced(inside: Bool[Tensor, "resample head"]) -> Callable[[Tensor], Tensor]:
    """Let heads outside write nothing."""

    def edit(z: Tensor) -> Tensor:
        shaped = z.reshape(len(inside), -1, *z.shape[1:])
        return shaped.mul(inside[:, None, None, :, None]).reshape(z.shape)

    return edit


def _added(
    inside: Bool[Tensor, "resample head"], instead: Float[Tensor, "pair pos head d_model"]
) -> Callable[[Tensor], Tensor]:
    """Add what heads outside are replaced by to what the others write."""

    def edit(out: Tensor) -> Tensor:
        added = torch.einsum("bphm,ch->cbpm", instead.to(out), (~inside).to(out))
        return out + added.reshape(out.shape)

    return edit


def _whole(
    inside: Bool[Tensor, " resample"], instead: Float[Tensor, "pair pos d_model"]
) -> Callable[[Tensor], Tensor]:
    """Replace all that one node writes, in the circuits that it is outside of."""

    def edit(out: Tensor) -> Tensor:
        shaped = out.reshape(len(inside), -1, *out.shape[1:])
        kept = inside[:, None, None, None]
        return torch.where(kept, shaped, instead[None].to(out)).reshape(out.shape)

    return edit
