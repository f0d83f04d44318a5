"""One pass over a text that keeps what later questions about it need."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint.models.attention import attention_patterns
from needlepoint.models.hooks import record, resume_from
from needlepoint.models.model import Batch, Model
from needlepoint.models.sites import Part, Site

TEXT, EVERY = slice(0, 1), slice(None)
"""The text alone, or the corrupt prompt with it."""


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
    """The residual stream before each layer, from which the model can go on."""
    kept: Mapping[Site, Tensor]
    patterns: Mapping[int, Float[Tensor, "example head pos pos"]]

    def values(self, site: Site) -> Float[Tensor, "example pos *width"]:
        """What a neuron or a head was: one number at each position, or `d_head` of them."""
        whole = Part.NEURONS if site.part is Part.NEURON else Part.HEADS
        assert site.index is not None
        return self.kept[Site.of(site.layer, whole)][:, :, site.index]

    def pattern(self, site: Site) -> Float[Tensor, "pos pos"]:
        """Where a head looked in the text."""
        assert site.index is not None
        return self.patterns[site.layer][0, site.index]


def run_text(model: Model, batch: Batch, wanted: Wanted) -> TextRun:
    """Run the blocks once, and keep the residual stream and what is wanted besides."""
    streams = [Site.of(layer, Part.RESID_IN) for layer in range(model.shape.n_layers)]
    sites = [Site.of(layer, Part.NEURONS) for layer in sorted(wanted.neurons)]
    sites += [Site.of(layer, Part.HEADS) for layer in sorted(wanted.heads)]
    with torch.no_grad(), record(model, [*streams, *sites]) as kept:
        patterns = attention_patterns(model, batch, sorted(wanted.patterns))
    resid = tuple(kept.pop(stream) for stream in streams)
    return TextRun(batch, wanted, resid, dict(kept), patterns)


def logits_from(
    model: Model, run: TextRun, layer: int, positions: Sequence[int], rows: slice = EVERY
) -> Float[Tensor, "example place vocab"]:
    """Logits after some positions, computed from a layer upwards.

    Hooks that are set when this is called see the layers from that one on.

    Args:
        model: The model.
        run: The text after one pass.
        layer: Where to go on.
        positions: After which tokens to predict.
        rows: `TEXT` to leave the corrupt prompt out.
    """
    keep = torch.tensor(list(positions), device=model.device)
    ids = run.batch.ids[rows]
    with torch.no_grad(), resume_from(model, layer, run.resid[layer][rows]):
        out = model.module(input_ids=ids, use_cache=False, logits_to_keep=keep)
    logits: Tensor = out.logits
    return logits.float()
