"""Causal truth: what happens to a behaviour when heads are given their corrupt output."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.progress import Bar
from needlepoint.circuits.graph.graph import Graph, Kind
from needlepoint.circuits.pair_batch import CHUNK, PairBatch, corrupt_metric, from_clean
from needlepoint.circuits.patching.effects import node_effects
from needlepoint.circuits.patching.means import Means
from needlepoint.circuits.patching.replacement import AblationKind, Replacement, replacements
from needlepoint.models.hooks import hook
from needlepoint.models.model import Batch, Model
from needlepoint.models.sites import Part, Site

__all__ = ["CHUNK", "PairBatch", "corrupt_metric", "from_clean", "head_effects", "run_circuits"]

ABLATION_TOKENS = 4096


def head_effects(
    model: Model, pairs: PairBatch, *, kind: AblationKind = "resample", data: Means | None = None
) -> Float[Tensor, "pair head"]:
    """Change of the metric when one head's output is replaced, for every head.

    The head's z at every position is replaced by what it is on the paired corrupt prompt, and
    everything above is recomputed: exact, no approximation. Heads are in layer-major order.
    Where more of the metric is better, negative means that the head helps. Other nodes, single
    positions and the opposite direction are options of `node_effects`, of which this is a part.

    Args:
        model: Any model.
        pairs: Clean and corrupt prompts, and what is measured.
        kind: `resample`, or `mean` or `zero` in place of the corrupt prompt.
        data: Means for `mean`, of `means_over`.

    Source:
        Resample ablation as in Chan et al., "Causal Scrubbing", 2022; on IOI in Wang et al.,
        "Interpretability in the Wild", 2022, section 3.
    """
    heads = [node for node in Graph.of(model.shape).writers if node.kind is Kind.HEAD]
    return node_effects(model, pairs, kind=kind, data=data, nodes=heads).values


def run_circuits(
    model: Model,
    pairs: PairBatch,
    keep: Bool[Tensor, "resample head"],
    *,
    kind: AblationKind = "resample",
    data: Means | None = None,
) -> Float[Tensor, "resample pair"]:
    """Metric of each pair when every head outside a circuit is replaced, by circuit.

    Heads outside the circuit get the z that they have on the paired corrupt prompt, or another
    replacement; heads inside, and every MLP, compute on what they receive. Keeping all heads is
    the clean model exactly; keeping none leaves the MLPs and the embedding as the only path from
    the clean prompt.
    """
    shape = model.shape
    kept = keep.reshape(len(keep), shape.n_layers, shape.n_heads).to(model.device)
    out = torch.empty(len(keep), len(pairs))
    pieces = [(index, piece.trimmed()) for index, piece in pairs.parts()]
    with Bar("running circuits", total=len(pieces) * len(keep)) as bar, torch.no_grad():
        for index, piece in pieces:
            values = replacements(model, piece, kind, data)
            step = max(1, ABLATION_TOKENS // piece.clean.ids.numel())
            for start in range(0, len(keep), step):
                part = kept[start : start + step]
                out[start : start + step, index] = _run_kept(model, piece, part, values)
                bar.advance(len(part))
    return out


def _run_kept(
    model: Model, piece: PairBatch, kept: Bool[Tensor, "resample layer head"], values: Replacement
) -> Float[Tensor, "resample pair"]:
    copies, n_pairs = len(kept), len(piece)

    def swap(layer: int, z: Tensor) -> Tensor:
        inside = kept[:, layer, None, None, :, None]
        shaped = z.reshape(copies, n_pairs, *z.shape[1:])
        return torch.where(inside, shaped, values.heads(layer)[None]).flatten(0, 1)

    edits = [
        (Site.of(layer, Part.HEADS), lambda z, layer=layer: swap(layer, z))
        for layer in range(model.shape.n_layers)
    ]
    with hook(model, edits):
        logits = model.last_logits(_repeat(piece.clean, copies))
    return piece.answers.repeat(copies)(logits).reshape(copies, n_pairs).cpu()


def _repeat(batch: Batch, copies: int) -> Batch:
    return Batch(batch.ids.repeat(copies, 1), batch.lengths.repeat(copies))
