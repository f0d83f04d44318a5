"""Neurons and heads given another output, and what that does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.explorer.live.text_run import TEXT, TextRun, logits_from
from needlepoint.explorer.questions import EditKind
from needlepoint.models.hooks import Edit, hook
from needlepoint.models.model import Model
from needlepoint.models.sites import Site


@dataclass(frozen=True)
class Change:
    """A site, and what its output becomes."""

    site: Site
    kind: EditKind
    factor: float = 0.0


@dataclass(frozen=True, eq=False)
class Edited:
    """The model on a text while some of its parts are edited."""

    logits: Float[Tensor, "place vocab"]
    """Logits after the positions asked for, of the text alone."""
    values: dict[Site, Float[Tensor, " pos"]]
    """What neurons are then."""


def run_edited(
    model: Model,
    run: TextRun,
    changes: Sequence[Change],
    positions: Sequence[int],
    neurons: Sequence[Site],
) -> Edited:
    """Run the model on the text of `run` while some sites are edited.

    What lies below the lowest of them is not computed again. An edit holds at every position but
    that of the first token, which carries no text; the corrupt prompt is left alone. `mean` is
    over these positions of the text before any edit; `scale` multiplies what the site is when
    the edits below it hold.

    Args:
        model: The model.
        run: The text as it is without edits, with the layers of `changes` kept.
        changes: What to edit; several at once.
        positions: Where to predict.
        neurons: Neurons to read while the edits hold.

    Raises:
        DataError: If the corrupt value is asked for and there is no corrupt prompt.
    """
    start = min(change.site.layer for change in changes)
    first = len(model.prefix)
    values = {site: run.values(site)[0] for site in neurons if site.layer < start}

    def keep(site: Site) -> Edit:
        def edit(activation: Tensor) -> None:
            values[site] = activation[0].detach().clone()

        return edit

    edits: list[tuple[Site | str, Edit]] = [
        (change.site, _edit(run, change, first)) for change in changes
    ]
    edits += [(site, keep(site)) for site in neurons if site.layer >= start]
    with hook(model, edits):
        logits = logits_from(model, run, start, positions, TEXT)
    return Edited(logits[0], values)


def _edit(run: TextRun, change: Change, first: int) -> Edit:
    clean = run.values(change.site)
    if change.kind == "corrupt" and len(clean) < 2:
        raise DataError(
            f"{change.site} cannot be given its corrupt value without a corrupt prompt; "
            "write one, or choose zero, mean or scale."
        )
    mean = clean[0, first:].mean(0)

    def edit(activation: Tensor) -> Tensor:
        changed = activation.clone()
        own = activation[0, first:]
        replaced = {
            "zero": lambda: torch.zeros_like(own),
            "mean": lambda: mean.expand_as(own),
            "scale": lambda: change.factor * own,
            "corrupt": lambda: clean[1, first:],
        }[change.kind]()
        changed[0, first:] = replaced
        return changed

    return edit
