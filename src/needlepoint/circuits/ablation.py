"""Causal truth: what happens to a behaviour when heads are given their corrupt output."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.progress import Bar
from needlepoint.circuits.graph.graph import Graph, Kind
from needlepoint.circuits.pair_batch import CHUNK, PairBatch, corrupt_metric, from_clean
from needlepoint.circuits.patching.effects import first_changes, node_effects
from needlepoint.circuits.patching.kept_run import KeptRun
from needlepoint.circuits.patching.means import Means
from needlepoint.circuits.patching.replacement import AblationKind, Replacement, replacements
from needlepoint.models.hooks import hook
from needlepoint.models.model import Model
from needlepoint.models.sites import Part, Site

__all__ = ["CHUNK", "PairBatch", "corrupt_metric", "from_clean", "head_effects", "run_circuits"]

ABLATION_TOKENS = 4096
"""Tokens that are run at once."""


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
    the clean model, to rounding; keeping none leaves the MLPs and the embedding as the only path
    from the clean prompt. What a circuit shares with the run in which every head is replaced, the
    layers below its first head and the positions before the first that changes, is run once.
    """
    shape = model.shape
    kept = keep.reshape(len(keep), shape.n_layers, shape.n_heads).to(model.device)
    out = torch.empty(len(keep), len(pairs))
    pieces = [(index, piece.trimmed()) for index, piece in pairs.parts()]
    with Bar("running circuits", total=len(pieces) * len(keep)) as bar, torch.no_grad():
        for index, piece in pieces:
            emptied = _Emptied.of(model, piece, kind, data)
            for some in emptied.batches(kept):
                out[some.cpu(), index] = emptied.filled(kept[some])
                bar.advance(len(some))
    return out


@dataclass(frozen=True, eq=False)
class _Emptied:
    """Some pairs run with every head replaced: what the heads of circuits are put back into."""

    pairs: PairBatch
    values: Replacement
    run: KeptRun

    @classmethod
    def of(cls, model: Model, pairs: PairBatch, kind: AblationKind, data: Means | None) -> _Emptied:
        values = replacements(model, pairs, kind, data)
        start = int(first_changes(model, pairs, kind).min())
        edits = [
            (Site.of(layer, Part.HEADS), lambda z, layer=layer: _later(values, layer, z))
            for layer in range(model.shape.n_layers)
        ]
        with hook(model, edits):
            return cls(pairs, values, KeptRun.of(model, pairs.clean, start))

    def batches(
        self, kept: Bool[Tensor, "resample layer head"]
    ) -> Iterator[Int[Tensor, " resample"]]:
        """Places of the circuits that are run at once: those that begin in about one layer."""
        tokens = len(self.pairs) * (self.pairs.clean.ids.shape[1] - self.run.start)
        yield from torch.split(_first_layers(kept).argsort(), max(1, ABLATION_TOKENS // tokens))

    def filled(self, kept: Bool[Tensor, "resample layer head"]) -> Float[Tensor, "resample pair"]:
        """The metric with the heads of each circuit computing again."""
        copies, n_pairs = len(kept), len(self.pairs)
        first = int(_first_layers(kept).min())
        if first == kept.shape[1]:
            return self.pairs.answers(self.run.logits).cpu().expand(copies, n_pairs)

        def swap(layer: int, z: Tensor) -> Tensor:
            inside = kept[:, layer, None, None, :, None]
            shaped = z.reshape(copies, n_pairs, *z.shape[1:])
            other = _later(self.values, layer, z)
            return torch.where(inside, shaped, other[None]).flatten(0, 1)

        model, rows = self.run.model, torch.arange(n_pairs, device=kept.device).repeat(copies)
        edits = [
            (Site.of(layer, Part.HEADS), lambda z, layer=layer: swap(layer, z))
            for layer in range(first, model.shape.n_layers)
        ]
        with hook(model, edits):
            stream = self.run.stream[first][rows, self.run.start :]
            logits = self.run.resume(rows, first, stream=stream)
        return self.pairs.answers.repeat(copies)(logits).reshape(copies, n_pairs).cpu()


def _later(values: Replacement, layer: int, z: Tensor) -> Float[Tensor, "pair pos head d_head"]:
    """What replaces the heads of a layer at the positions that are run, which are the last ones."""
    return values.heads(layer)[:, -z.shape[1] :].contiguous()


def _first_layers(kept: Bool[Tensor, "resample layer head"]) -> Int[Tensor, " resample"]:
    """The first layer in which each circuit has a head; the number of layers if it has none."""
    inside = kept.any(2)
    return torch.where(inside.any(1), inside.int().argmax(1), kept.shape[1])
