"""Causal truth: what happens to a behaviour when heads are given their corrupt output."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint._core.progress import Bar
from needlepoint.circuits.metric import Divergence, Measure
from needlepoint.models.hooks import hook, record, resume_from
from needlepoint.models.model import Batch, Model
from needlepoint.models.sites import Part, Site

ABLATION_TOKENS = 4096
CHUNK = 32


@dataclass(frozen=True)
class PairBatch:
    """Clean prompts and their corrupt counterparts, position by position, on the model's device."""

    clean: Batch
    corrupt: Batch
    answers: Measure
    """What is measured on the next token: the task's answers, or the divergence from clean."""

    def __post_init__(self) -> None:
        if not torch.equal(self.clean.lengths, self.corrupt.lengths):
            raise DataError(
                "clean and corrupt prompts must be of equal token length, pair by pair."
            )

    def __len__(self) -> int:
        return len(self.answers)

    def rows(self, index: slice) -> PairBatch:
        """Some of the pairs."""
        return PairBatch(self.clean.rows(index), self.corrupt.rows(index), self.answers.rows(index))

    def parts(self, size: int = CHUNK) -> Iterator[tuple[slice, PairBatch]]:
        """The pairs in pieces, so that memory does not grow with their number."""
        for start in range(0, len(self), size):
            index = slice(start, min(start + size, len(self)))
            yield index, self.rows(index)


def from_clean(model: Model, pairs: PairBatch) -> PairBatch:
    """The same pairs, judged by how far each prediction is from that of the clean prompt.

    The reference is the whole next-token distribution of the model as it is, so no answers are
    needed: the metric of the clean prompts is 0, and an ablation can only raise it.
    """
    with torch.no_grad():
        logits = [model.last_logits(piece.clean) for _, piece in pairs.parts()]
    return replace(pairs, answers=Divergence(torch.cat(logits)))


def corrupt_metric(model: Model, pairs: PairBatch) -> Float[Tensor, " pair"]:
    """The metric of each pair on its corrupt prompt, where every head and every MLP is corrupt."""
    with torch.no_grad():
        found = [piece.answers(model.last_logits(piece.corrupt)) for _, piece in pairs.parts()]
    return torch.cat(found).cpu()


def head_effects(model: Model, pairs: PairBatch) -> Float[Tensor, "pair head"]:
    """Change of the metric when one head's output is resampled, for every head.

    The head's z at every position is replaced by what it is on the paired corrupt prompt, and
    everything above is recomputed: exact, no approximation. Heads are in layer-major order.
    Where more of the metric is better, negative means that the head helps. The residual stream
    below the ablated layer is computed once and reused, and the heads of a layer run as one batch.

    Source:
        Resample ablation as in Chan et al., "Causal Scrubbing", 2022; on IOI in Wang et al.,
        "Interpretability in the Wild", 2022, section 3.
    """
    shape = model.shape
    effects = torch.empty(len(pairs), shape.n_layers, shape.n_heads)
    pieces = list(pairs.parts())
    with Bar("ablating heads", total=len(pieces) * shape.n_layers) as bar, torch.no_grad():
        for index, piece in pieces:
            base, resid, corrupt = _reference(model, piece)
            for layer in range(shape.n_layers):
                ablated = _layer_effects(model, piece, layer, resid[layer], corrupt[layer])
                effects[index, layer] = (ablated - base[:, None]).cpu()
                bar.advance()
    return effects.flatten(1)


def run_circuits(
    model: Model, pairs: PairBatch, keep: Bool[Tensor, "resample head"]
) -> Float[Tensor, "resample pair"]:
    """Metric of each pair when every head outside a circuit is resampled, by circuit.

    Heads outside the circuit get the z that they have on the paired corrupt prompt; heads inside,
    and every MLP, compute on what they receive. Keeping all heads is the clean model exactly;
    keeping none leaves the MLPs and the embedding as the only path from the clean prompt.
    """
    shape = model.shape
    kept = keep.reshape(len(keep), shape.n_layers, shape.n_heads).to(model.device)
    out = torch.empty(len(keep), len(pairs))
    pieces = list(pairs.parts())
    with Bar("running circuits", total=len(pieces) * len(keep)) as bar, torch.no_grad():
        for index, piece in pieces:
            corrupt = _corrupt_heads(model, piece)
            step = max(1, ABLATION_TOKENS // piece.clean.ids.numel())
            for start in range(0, len(keep), step):
                part = kept[start : start + step]
                out[start : start + step, index] = _run_kept(model, piece, part, corrupt)
                bar.advance(len(part))
    return out


def _reference(model: Model, piece: PairBatch) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    layers = range(model.shape.n_layers)
    sites = [Site.of(layer, Part.RESID_IN) for layer in layers]
    with record(model, sites) as kept:
        base = piece.answers(model.last_logits(piece.clean))
    return base, [kept[found] for found in sites], _corrupt_heads(model, piece)


def _corrupt_heads(model: Model, piece: PairBatch) -> list[Tensor]:
    sites = [Site.of(layer, Part.HEADS) for layer in range(model.shape.n_layers)]
    with record(model, sites) as kept:
        model.hidden(piece.corrupt)
    return [kept[found] for found in sites]


def _layer_effects(
    model: Model, piece: PairBatch, layer: int, resid: Tensor, corrupt: Tensor
) -> Float[Tensor, "pair head"]:
    """Metric with each head of one layer ablated in turn."""
    n_heads = model.shape.n_heads
    step = max(1, ABLATION_TOKENS // piece.clean.ids.numel())
    found = []
    for start in range(0, n_heads, step):
        heads = torch.arange(start, min(start + step, n_heads), device=model.device)
        found.append(_ablated(model, piece, layer, resid, corrupt, heads))
    return torch.cat(found, dim=1)


def _ablated(
    model: Model, piece: PairBatch, layer: int, resid: Tensor, corrupt: Tensor, heads: Tensor
) -> Float[Tensor, "pair head"]:
    n_pairs, copies = len(piece), len(heads)

    def swap(z: Tensor) -> Tensor:
        z = z.reshape(copies, n_pairs, *z.shape[1:]).clone()
        for copy, head in enumerate(heads.tolist()):
            z[copy, :, :, head] = corrupt[:, :, head]
        return z.flatten(0, 1)

    repeated = _repeat(piece.clean, copies)
    with (
        resume_from(model, layer, resid.repeat(copies, 1, 1)),
        hook(model, [(Site.of(layer, Part.HEADS), swap)]),
    ):
        logits = model.last_logits(repeated)
    return piece.answers.repeat(copies)(logits).reshape(copies, n_pairs).T


def _run_kept(
    model: Model, piece: PairBatch, kept: Bool[Tensor, "resample layer head"], corrupt: list[Tensor]
) -> Float[Tensor, "resample pair"]:
    copies, n_pairs = len(kept), len(piece)

    def swap(layer: int, z: Tensor) -> Tensor:
        inside = kept[:, layer, None, None, :, None]
        shaped = z.reshape(copies, n_pairs, *z.shape[1:])
        return torch.where(inside, shaped, corrupt[layer][None]).flatten(0, 1)

    edits = [
        (Site.of(layer, Part.HEADS), lambda z, layer=layer: swap(layer, z))
        for layer in range(model.shape.n_layers)
    ]
    with hook(model, edits):
        logits = model.last_logits(_repeat(piece.clean, copies))
    return piece.answers.repeat(copies)(logits).reshape(copies, n_pairs).cpu()


def _repeat(batch: Batch, copies: int) -> Batch:
    return Batch(batch.ids.repeat(copies, 1), batch.lengths.repeat(copies))
