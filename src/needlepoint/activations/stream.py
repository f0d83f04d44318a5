"""Stream the activations of many sites in one forward pass, batch by batch, reduced on the fly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint._core.progress import Bar
from needlepoint.activations.batches import Batches
from needlepoint.activations.reduce import Reducer, Rows
from needlepoint.models.back_off import BackOff
from needlepoint.models.hooks import hook
from needlepoint.models.model import Batch, Model
from needlepoint.models.sites import Site

BATCH_TOKENS = 2048


@dataclass(frozen=True)
class Chunk:
    """The rows of one batch, or of a part of it where the whole did not fit into memory."""

    rows: Int[Tensor, " example"]
    """Which rows these are."""
    texts: Int[Tensor, " batch"]
    """Which texts were run."""
    values: dict[Site, Tensor]
    """For each site, `[row, ...width]`."""
    logits: Float[Tensor, "batch vocab"] | None
    """Logits after each text of the batch, if they were asked for."""


def collect(
    model: Model,
    ids: Sequence[Sequence[int]],
    sites: Sequence[Site | str],
    rows: Rows,
    *,
    logits: bool = False,
    batch_tokens: int = BATCH_TOKENS,
    skip: int = 0,
    stop: int | None = None,
    batches: Batches | None = None,
    label: str = "reading",
) -> Iterator[Chunk]:
    """Stream the activations at some sites, each text's positions reduced to its rows.

    Nothing is kept: the caller decides whether chunks go to disk, to running moments, or into a
    probe. Texts are batched by length, so chunks come in another order than the texts; each says
    which rows it holds, and the order depends on the texts alone. Memory is bounded by
    `batch_tokens`, not by the number of texts; if it runs out all the same, batches are run in
    parts from then on. The model is left as it was found, also when the caller stops early.

    Args:
        model: A model that has passed `check_model`.
        ids: Token ids of the texts, without the first token.
        sites: Where to read, for instance `["L3.mlp.neurons", "L3.attn.z"]`.
        rows: Which positions become which rows.
        logits: Whether to compute the logits after each text; without, none are.
        batch_tokens: Most tokens in one forward pass, padding included.
        skip: Rows, in the order of streaming, that need not be computed again. Whole batches
            are skipped; a chunk that is partly wanted comes whole.
        stop: Row, in the same order, from which on none are wanted; the last one by default.
        batches: Those of these texts, rows and `batch_tokens`, if they are at hand.
        label: What the progress bar says.

    Raises:
        UnknownSiteError: If the model has no such site.
        DataError: If a row is of no text, or reaches beyond its text on either side.
        MemoryFullError: If one text alone does not fit into memory.
    """
    found = [model.site(address) for address in sites]
    _inside(rows, ids, len(model.prefix))
    batches = batches or Batches.of(ids, rows, batch_tokens)
    wanted = batches.between(skip, len(rows) if stop is None else stop)
    run, in_parts = partial(_chunk, model, ids, found, rows, logits), BackOff("texts")
    with Bar(label, total=sum(len(batches.texts[number]) for number in wanted)) as bar:
        for number in wanted:
            texts = batches.texts[number]
            yield from in_parts(_with_rows(texts, rows, batches.rows_of(number)), run)
            bar.advance(len(texts))


def gather(
    model: Model,
    ids: Sequence[Sequence[int]],
    sites: Sequence[Site | str],
    rows: Rows,
    *,
    batch_tokens: int = BATCH_TOKENS,
    label: str = "reading",
) -> dict[Site, Tensor]:
    """The activations at some sites, whole and in the order of the rows, on the processor.

    For what fits in memory; otherwise stream, or extract to a store.
    """
    out: dict[Site, Tensor] = {}
    for chunk in collect(model, ids, sites, rows, batch_tokens=batch_tokens, label=label):
        for found, values in chunk.values.items():
            if found not in out:
                out[found] = torch.empty(len(rows), *values.shape[1:], dtype=values.dtype)
            out[found][chunk.rows] = values.cpu()
    return out


_Owned = tuple[int, list[int]]
"""A text, and the numbers of its rows."""


def _with_rows(texts: list[int], rows: Rows, here: Tensor) -> list[_Owned]:
    owned: dict[int, list[int]] = {text: [] for text in texts}
    for row, text in zip(here.tolist(), rows.text[here].tolist(), strict=True):
        owned[text].append(row)
    return list(owned.items())


def _chunk(
    model: Model,
    ids: Sequence[Sequence[int]],
    sites: Sequence[Site],
    rows: Rows,
    logits: bool,
    owned: Sequence[_Owned],
) -> Chunk:
    texts = [text for text, _ in owned]
    here = torch.tensor([row for _, of_text in owned for row in of_text], dtype=torch.long)
    places = [place for place, (_, of_text) in enumerate(owned) for _ in of_text]
    batch = model.batch([ids[text] for text in texts])
    place = torch.tensor(places, dtype=torch.long)
    reducer = Reducer(rows, here, place, batch, len(model.prefix))
    values: dict[Site, Tensor] = {}
    enough = 0 if logits else len(set(sites))
    keep = partial(_keep, values, reducer, enough)
    found: Tensor | None = None
    with torch.no_grad(), hook(model, [(s, partial(keep, s)) for s in sites]):
        run: Callable[[Batch], Tensor | None] = model.last_logits if logits else model.hidden
        with suppress(_AllReadError):
            found = run(batch)
    return Chunk(here, torch.tensor(texts), values, found if logits else None)


class _AllReadError(Exception):
    """Ends a forward pass: what comes after the last site is not needed."""


def _keep(
    values: dict[Site, Tensor], reducer: Reducer, enough: int, found: Site, activation: Tensor
) -> None:
    values[found] = reducer(activation)
    if len(values) == enough:
        raise _AllReadError


def _inside(rows: Rows, ids: Sequence[Sequence[int]], prefix: int) -> None:
    strange = ((rows.text < 0) | (rows.text >= len(ids))).nonzero()
    if len(strange):
        row = int(strange[0])
        raise DataError(f"row {row} is of text {int(rows.text[row])}; there are {len(ids)} texts.")
    before = (rows.start < -prefix).nonzero()
    if len(before):
        row = int(before[0])
        raise DataError(
            f"row {row} starts at position {int(rows.start[row])}; the first that this model has "
            f"is {-prefix}{', the first token' if prefix else ', as it has no first token'}."
        )
    lengths = torch.tensor([len(row) for row in ids])
    beyond = (rows.end > lengths[rows.text]).nonzero()
    if len(beyond):
        row = int(beyond[0])
        raise DataError(
            f"row {row} ends at position {int(rows.end[row])} of text {int(rows.text[row])}, "
            f"which has {int(lengths[rows.text[row]])} tokens."
        )
