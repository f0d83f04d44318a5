"""The mean of every node over a set of prompts, position by position or over all positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.models.hooks import record
from needlepoint.models.model import Batch, Model
from needlepoint.models.sites import Part, Site

MEAN_ROWS = 32
"""Prompts that are read at once."""
Positions = Mapping[str, Int[Tensor, " pair"]]


@dataclass(frozen=True, eq=False)
class Means:
    """Mean z of every head, mean output of every MLP and mean embedding over a set of prompts.

    A slot gathers the positions that are averaged together. Slot 0 is the mean over all positions
    of all prompts, the first token included; it also stands in for a position that no prompt of
    the set has a counterpart of, because all of them are shorter.
    """

    heads: Float[Tensor, "layer slot head d_head"]
    mlps: Float[Tensor, "_ slot d_model"]
    """One for each layer, or none."""
    embeddings: Float[Tensor, "slot d_model"]
    counts: Int[Tensor, " slot"]
    """Positions that each slot is the mean of."""
    names: tuple[str, ...]
    """Named positions from which slots are counted; the start of the prompt comes before them."""
    span: int
    """Slots after the start and after each named position; 0 if there is slot 0 alone."""

    def slots(
        self, shape: tuple[int, int], positions: Positions, device: torch.device
    ) -> Int[Tensor, "pair pos"]:
        """The slot of each position of some prompts, 0 where no prompt of the set had any.

        Raises:
            DataError: If a named position that the means are counted from is missing.
        """
        places = slot_places(shape, positions, self.names, self.span, device)
        return torch.where(self.counts.to(device)[places] > 0, places, 0)


def means_over(
    model: Model,
    prompts: Batch,
    *,
    by_position: bool = True,
    positions: Positions | None = None,
) -> Means:
    """The mean of every node over some prompts, for mean ablation; one pass, streamed.

    Prompts need not be of one length. By position, and without named positions, the mean of a
    node at position 5 is over all prompts that have a position 5. With named positions each
    position is counted from the last named one at or before it, so that prompts of different
    templates are averaged at what corresponds: two tokens after the subject, say. The plain mean
    over all positions leaves in what is true of any position, and takes out where things stand.

    Args:
        model: Any model.
        prompts: The set to average over.
        by_position: Whether to average each position on its own.
        positions: Named positions of each prompt, counted as the model sees them.

    Raises:
        DataError: If a named position lies outside its prompt.

    Source:
        Mean ablation by position and template: Wang et al., "Interpretability in the Wild",
        2022 (arXiv 2211.00593), section 2.
    """
    positions = dict(positions or {}) if by_position else {}
    span = int(prompts.lengths.max()) if by_position else 0
    sums = _Sums(model, 1 + span * (1 + len(positions)))
    _inside(prompts, positions)
    places = slot_places(
        (len(prompts.ids), prompts.ids.shape[1]), positions, tuple(positions), span, model.device
    )
    for start in range(0, len(prompts.ids), MEAN_ROWS):
        rows = slice(start, start + MEAN_ROWS)
        sums.add(prompts.rows(rows), places[rows])
    return sums.means(tuple(positions), span)


def slot_places(
    shape: tuple[int, int],
    positions: Positions,
    names: Sequence[str],
    span: int,
    device: torch.device,
) -> Int[Tensor, "pair pos"]:
    """The slot of each position: counted from the last of the named positions, or the start."""
    where = torch.arange(shape[1], device=device).expand(shape)
    anchors = torch.zeros(shape, dtype=torch.long, device=device)
    offsets = where.clone()
    for rank, name in enumerate(names, 1):
        if name not in positions:
            raise DataError(
                f"the means are counted from the position {name!r}, which these prompts do not "
                "name; give it, or take means counted from the start."
            )
        since = where - positions[name].to(device)[:, None]
        nearer = (since >= 0) & (since <= offsets)
        anchors, offsets = torch.where(nearer, rank, anchors), torch.where(nearer, since, offsets)
    return torch.where(offsets < span, 1 + anchors * span + offsets, 0)


def _inside(prompts: Batch, positions: Positions) -> None:
    for name, where in positions.items():
        outside = (where < 0) | (where >= prompts.lengths.to(where.device))
        if outside.any():
            row = int(outside.nonzero()[0])
            raise DataError(
                f"position {name!r} of prompt {row + 1} is {int(where[row])}, but the prompt has "
                f"{int(prompts.lengths[row])} tokens; count from 0, any first token included."
            )


class _Sums:
    """Sums by slot, in float64; slot 0 holds none of its own until the end."""

    def __init__(self, model: Model, n_slots: int) -> None:
        self.model = model
        shape = model.shape
        self.sites = [
            Site.of(layer, part)
            for part in ((Part.HEADS, Part.MLP) if shape.has_mlps else (Part.HEADS,))
            for layer in range(shape.n_layers)
        ] + [Site.of(0, Part.RESID_IN)]
        widths = {Part.HEADS: shape.n_heads * shape.d_head}
        self.sums = {
            site: torch.zeros(
                n_slots,
                widths.get(site.part, shape.d_model),
                dtype=torch.float64,
                device=model.device,
            )
            for site in self.sites
        }
        self.counts = torch.zeros(n_slots, dtype=torch.long, device=model.device)

    def add(self, prompts: Batch, places: Int[Tensor, "pair pos"]) -> None:
        real = prompts.mask
        where = places[real]
        with record(self.model, self.sites) as kept:
            self.model.hidden(prompts)
        for site, sums in self.sums.items():
            sums.index_add_(0, where, kept[site][real].flatten(1).double())
        self.counts.index_add_(0, where, torch.ones_like(where))

    def means(self, names: tuple[str, ...], span: int) -> Means:
        shape, total = self.model.shape, int(self.counts.sum())
        counts = self.counts.clone()
        counts[0] = total
        found = []
        for sums in self.sums.values():
            overall = sums.sum(0, keepdim=True)
            mean = torch.cat([overall, sums[1:]]) / counts.clamp(min=1)[:, None]
            found.append(mean.to(self.model.dtype))
        heads = torch.stack(found[: shape.n_layers])
        heads = heads.reshape(*heads.shape[:2], shape.n_heads, shape.d_head)
        written = found[shape.n_layers : -1]
        mlps = torch.stack(written) if written else heads.new_zeros(0, *found[-1].shape)
        return Means(heads, mlps, found[-1], counts, names, span)
