"""One pass over a text that keeps what later questions about it need."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint.models.attention import attention_patterns
from needlepoint.models.hooks import record, resume_from, skipped
from needlepoint.models.model import Batch, Model
from needlepoint.models.sites import Part, Site

FEW = 4
"""The vocabulary takes two or three positions longer than this many, as it has them multiplied."""


@dataclass(frozen=True)
class Wanted:
    """Layers whose activations are kept."""

    neurons: frozenset[int] = frozenset()
    heads: frozenset[int] = frozenset()
    patterns: frozenset[int] = frozenset()

    @classmethod
    def of(cls, shown: Collection[Site], edited: Collection[Site]) -> Wanted:
        """What is needed to show some sites and to edit others."""
        every = {*shown, *edited}
        return cls(
            frozenset(site.layer for site in every if site.part is Part.NEURON),
            frozenset(site.layer for site in every if site.part is Part.HEAD),
            frozenset(site.layer for site in shown if site.part is Part.HEAD),
        )

    def __le__(self, other: Wanted) -> bool:
        """Whether another keeps all of this."""
        return (
            self.neurons <= other.neurons
            and self.heads <= other.heads
            and self.patterns <= other.patterns
        )

    def among(self, layers: range) -> Wanted:
        """What is wanted of some layers."""
        return Wanted(
            self.neurons.intersection(layers),
            self.heads.intersection(layers),
            self.patterns.intersection(layers),
        )

    def __or__(self, other: Wanted) -> Wanted:
        """What either keeps."""
        return Wanted(
            self.neurons | other.neurons,
            self.heads | other.heads,
            self.patterns | other.patterns,
        )


@dataclass(frozen=True, eq=False)
class TextRun:
    """A text after one pass of the model, with its corrupt counterpart if there is one."""

    batch: Batch
    """The text, and below it the corrupt prompt."""
    wanted: Wanted
    resid: tuple[Float[Tensor, "example pos d_model"], ...]
    """The residual stream before each layer, from which the model can go on, and after the last."""
    kept: Mapping[Site, Tensor]
    patterns: Mapping[int, Float[Tensor, "example head pos pos"]]

    def values(self, site: Site) -> Float[Tensor, "example pos *width"]:
        """What a neuron or a head was: one number at each position, or `d_head` of them."""
        assert site.index is not None
        return self.kept[whole(site)][:, :, site.index]

    def pattern(self, site: Site) -> Float[Tensor, "pos pos"]:
        """Where a head looked in the text."""
        assert site.index is not None
        return self.patterns[site.layer][0, site.index]


def whole(site: Site) -> Site:
    """All neurons or all heads of the layer of one."""
    return Site.of(site.layer, Part.NEURONS if site.part is Part.NEURON else Part.HEADS)


def run_text(model: Model, batch: Batch, wanted: Wanted) -> TextRun:
    """Run the blocks once, and keep the residual stream and what is wanted besides."""
    return run_layers(model, batch, wanted, range(model.shape.n_layers))


def run_layers(model: Model, batch: Batch, wanted: Wanted, layers: range) -> TextRun:
    """Run neighbouring layers, up to the last or not, and keep what is wanted of them.

    The layers above are skipped. Those below are for the caller to skip, with `resume_from`. Hooks
    that are set when this is called run before anything is kept.
    """
    some = wanted.among(layers)
    streams = [Site.of(layer, Part.RESID_IN) for layer in layers]
    streams.append(Site.of(layers[-1], Part.RESID))
    sites = [Site.of(layer, Part.NEURONS) for layer in sorted(some.neurons)]
    sites += [Site.of(layer, Part.HEADS) for layer in sorted(some.heads)]
    above = range(layers.stop, model.shape.n_layers)
    with torch.no_grad(), skipped(model, above), record(model, [*streams, *sites]) as kept:
        patterns = attention_patterns(model, batch, sorted(some.patterns))
    resid = tuple(kept.pop(stream) for stream in streams)
    return TextRun(batch, wanted, resid, dict(kept), patterns)


def logits_of(
    model: Model,
    ids: Int[Tensor, "example pos"],
    resid: Float[Tensor, "example pos d_model"],
    positions: Sequence[int],
) -> Float[Tensor, "example place vocab"]:
    """Logits after some positions, from the residual stream after the last layer.

    Args:
        model: The model.
        ids: Token ids of the same shape; their values do not matter.
        resid: The residual stream.
        positions: After which tokens to predict.
    """
    keep = list(positions)
    while 1 < len(resid) * len(keep) < FEW:
        keep.append(keep[-1])
    places = torch.tensor(keep, device=model.device)
    last = model.shape.n_layers - 1
    with (
        torch.no_grad(),
        skipped(model, range(last, last + 1)),
        resume_from(model, last, resid),
    ):
        out = model.module(input_ids=ids, use_cache=False, logits_to_keep=places)
    logits: Tensor = out.logits[:, : len(positions)]
    return logits.float()
