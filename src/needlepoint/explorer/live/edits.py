"""Neurons and heads given another output, and what that does."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.explorer.live.site_names import short_name
from needlepoint.explorer.live.text_run import TextRun, Wanted, run_layers
from needlepoint.explorer.questions import EditKind
from needlepoint.models.hooks import Edit, hook, resume_from
from needlepoint.models.model import Batch, Model
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

    resid: Float[Tensor, "1 pos d_model"]
    """The residual stream after the last layer."""
    values: dict[Site, Float[Tensor, " pos"]]
    """What neurons are then."""


def run_both(
    model: Model, batch: Batch, wanted: Wanted, changes: Sequence[Change], neurons: Sequence[Site]
) -> tuple[TextRun, Edited]:
    """Run the model on a text as it is and with some sites edited, in about one pass and a half.

    Up to the lowest edited layer there is one text; from there on a copy of it, which is edited,
    runs beside it in the same batch.

    Args:
        model: The model.
        batch: The text, and below it the corrupt prompt if there is one.
        wanted: What to keep of the text as it is; the layers of `changes` among it.
        changes: What to edit, as `run_edited` says; several at once.
        neurons: Neurons to read while the edits hold.

    Raises:
        DataError: If the corrupt value is asked for and there is no corrupt prompt.
    """
    start, rows = _lowest(changes), len(batch.ids)
    below = run_layers(model, batch, wanted, range(start)) if start else None
    both = Batch(*(torch.cat([part, part[:1]]) for part in (batch.ids, batch.lengths)))
    with ExitStack() as stack:
        if below is not None:
            resid = torch.cat([below.resid[-1], below.resid[-1][:1]])
            stack.enter_context(resume_from(model, start, resid))
        edits = [_edit(model, change, rows, rows) for change in changes]
        stack.enter_context(hook(model, edits))
        above = run_layers(model, both, wanted, range(start, model.shape.n_layers))
    values = {site: above.values(site)[rows] for site in neurons if site.layer >= start}
    run = _joined(batch, below, above)
    return run, Edited(above.resid[-1][rows:], {**_below(run, start, neurons), **values})


def run_edited(
    model: Model, run: TextRun, changes: Sequence[Change], neurons: Sequence[Site]
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
        neurons: Neurons to read while the edits hold.

    Raises:
        DataError: If the corrupt value is asked for and there is no corrupt prompt.
    """
    start = _lowest(changes)
    text, layers = run.batch.rows(slice(0, 1)), range(start, model.shape.n_layers)
    edits = [
        _edit(model, change, 0, len(run.batch.ids), run.values(change.site)) for change in changes
    ]
    with resume_from(model, start, run.resid[start][:1]), hook(model, edits):
        above = run_layers(model, text, Wanted.of(neurons, ()), layers)
    values = {site: above.values(site)[0] for site in neurons if site.layer >= start}
    return Edited(above.resid[-1], {**_below(run, start, neurons), **values})


def _lowest(changes: Sequence[Change]) -> int:
    return min(change.site.layer for change in changes)


def _below(run: TextRun, start: int, neurons: Sequence[Site]) -> dict[Site, Tensor]:
    """Neurons below the edits are what they were."""
    return {site: run.values(site)[0] for site in neurons if site.layer < start}


def _joined(batch: Batch, below: TextRun | None, above: TextRun) -> TextRun:
    """One pass of two parts, without the edited copy of the text."""
    n = len(batch.ids)
    resid = tuple(stream[:n] for stream in above.resid)
    kept = {site: values[:n] for site, values in above.kept.items()}
    patterns = {layer: pattern[:n] for layer, pattern in above.patterns.items()}
    if below is None:
        return TextRun(batch, above.wanted, resid, kept, patterns)
    return TextRun(
        batch,
        above.wanted,
        (*below.resid[:-1], *resid),
        {**below.kept, **kept},
        {**below.patterns, **patterns},
    )


def _edit(
    model: Model, change: Change, row: int, n_clean: int, clean: Tensor | None = None
) -> tuple[Site | str, Edit]:
    """What gives one row of a batch another value at a site.

    Args:
        model: The model.
        change: What to do.
        row: Which row is edited.
        n_clean: Rows without edits: the text, and the corrupt prompt if there is one.
        clean: The values there; those of the first rows of the batch itself if not given.
    """
    first = len(model.prefix)
    if change.kind == "corrupt" and n_clean < 2:
        raise DataError(
            f"{short_name(change.site)} cannot be given its corrupt value without a corrupt "
            "prompt; write one, or choose zero, mean or scale."
        )

    def edit(activation: Tensor) -> Tensor:
        known = activation[:n_clean] if clean is None else clean
        own = activation[row, first:]
        changed = activation.clone()
        changed[row, first:] = {
            "zero": lambda: torch.zeros_like(own),
            "mean": lambda: known[0, first:].mean(0).expand_as(own),
            "scale": lambda: change.factor * own,
            "corrupt": lambda: known[1, first:],
        }[change.kind]()
        return changed

    return change.site, edit
