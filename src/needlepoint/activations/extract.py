"""Extract activations into a store, once for each request, and read them back in order."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint._core.progress import heard, say
from needlepoint.activations.batches import Batches, length_batches
from needlepoint.activations.header import Request
from needlepoint.activations.plan import estimate
from needlepoint.activations.reduce import Rows
from needlepoint.activations.store import Store, open_or_create
from needlepoint.activations.stream import BATCH_TOKENS, collect
from needlepoint.activations.units import Units
from needlepoint.activations.writer import BlockWriter, Writer
from needlepoint.models.back_off import BackOff
from needlepoint.models.model import Model
from needlepoint.models.sites import Part, Site

_NOT_SETTINGS = ("_name_or_path", "transformers_version")


@dataclass(frozen=True)
class Extraction:
    """A complete store, read in the order of the rows that were asked for."""

    store: Store
    order: Int[Tensor, " example"]
    """Place of each row in the store."""
    width: dict[Site, tuple[int, ...]]
    """Shape of one row at each site."""
    units: Units = field(default_factory=Units)
    """Which units the columns are, where not all are kept."""

    def __len__(self) -> int:
        return len(self.order)

    def read(self, site: Site | str, rows: Tensor | None = None) -> Tensor:
        """Activations of some rows, or all, at one site: `[row, ...width]`, on the processor."""
        found = site if isinstance(site, Site) else Site.parse(site)
        places = self.order if rows is None else self.order[rows]
        return self.store.read(str(found), places).reshape(len(places), *self.width[found])


@dataclass(frozen=True)
class Reading:
    """What is read of which texts, whichever model is at hand and whoever writes it down."""

    ids: Sequence[Sequence[int]]
    sites: tuple[Site, ...]
    rows: Rows
    batch_tokens: int = BATCH_TOKENS
    units: Units = field(default_factory=Units)
    dtype: str = "float32"

    @cached_property
    def batches(self) -> Batches:
        """Which texts are run together, and the order in which rows come."""
        return Batches.of(self.ids, self.rows, self.batch_tokens)

    def widths(self, model: Model) -> dict[Site, tuple[int, ...]]:
        """Shape of one row at each site."""
        return {site: self.units.width(site, site_width(model, site)) for site in self.sites}

    def request(self, model: Model) -> Request:
        """What a store of it is made of.

        Raises:
            DataError: If there are no rows, or a site has not the units that are chosen.
        """
        if len(self.rows) == 0:
            raise DataError("there are no rows to read.")
        self.units.check({site: prod(site_width(model, site)) for site in self.sites})
        return Request(
            model=model.name,
            model_sha256=weights_hash(model),
            data_sha256=self._data_hash(),
            widths={str(site): prod(width) for site, width in self.widths(model).items()},
            rows=len(self.rows),
            reduce=self.rows.reduce,
            dtype=self.dtype,
            settings={
                "config_sha256": config_hash(model),
                "model_dtype": str(model.dtype).removeprefix("torch."),
                "device": model.device.type,
                "first_token": model.first_token,
                "batch_tokens": self.batch_tokens,
                **({"units_sha256": self.units.sha256} if self.units.chosen else {}),
            },
        )

    def open(self, model: Model, path: Path | str | None = None) -> Store:
        """The store of it, complete or not, in the cache unless a folder is given."""
        return open_or_create(self.request(model), path)

    def extraction(self, store: Store, widths: dict[Site, tuple[int, ...]]) -> Extraction:
        """A complete store, to be read in the order of the rows."""
        return Extraction(store, torch.argsort(self.batches.order), widths, self.units)

    def _data_hash(self) -> str:
        data = hashlib.sha256(json.dumps([list(map(int, row)) for row in self.ids]).encode())
        for column in (self.rows.text, self.rows.start, self.rows.end):
            data.update(column.numpy().tobytes())
        return data.hexdigest()

    def into(
        self,
        writer: Writer | BlockWriter,
        model: Model,
        start: int,
        stop: int,
        label: str = "reading",
    ) -> None:
        """Append the rows from `start` to before `stop`, in the order of streaming.

        Batches are those of the whole reading, so that the numbers do not depend on where it is
        cut.
        """
        row = int(self.batches.starts[self.batches.between(start, stop).start])
        for chunk in collect(
            model,
            self.ids,
            self.sites,
            self.rows,
            batch_tokens=self.batch_tokens,
            skip=start,
            stop=stop,
            batches=self.batches,
            label=label,
        ):
            some = slice(max(0, start - row), max(0, stop - row))
            row += len(chunk.rows)
            flat = {site: chunk.values[site].reshape(len(chunk.rows), -1) for site in self.sites}
            kept = {site: self.units.take(site, flat[site][some]) for site in self.sites}
            writer.append({str(site): kept[site].cpu() for site in self.sites})


def extract(
    model: Model,
    ids: Sequence[Sequence[int]],
    sites: Sequence[Site | str],
    rows: Rows,
    *,
    path: Path | str | None = None,
    dtype: str = "float32",
    batch_tokens: int = BATCH_TOKENS,
    units: Units | None = None,
    label: str = "reading",
) -> Extraction:
    """The activations at some sites in a store on disk, computed only if it is not there already.

    The store's place follows from what it holds (weights and their settings, token ids, rows,
    sites, precision), so the same request is never computed twice. An extraction that was stopped
    goes on where it was stopped. Before a long one starts, its size and time are said.

    Args:
        model: A model that has passed `check_model`.
        ids: Token ids of the texts, without the first token.
        sites: Where to read.
        rows: Which positions become which rows.
        path: Where to keep the store: a folder, or a URL such as `s3://bucket/prefix`; by default
            where `NEEDLEPOINT_STORE` says or in the cache, under its content key.
        dtype: How numbers are kept: float32, float16 or bfloat16.
        batch_tokens: Most tokens in one forward pass.
        units: Which units of a site to keep; all by default. Rows of such a site are flat, one
            column for each unit in the order given.
        label: What the progress bar says.

    Raises:
        DataError: If there are no rows, or a site has not the units that are chosen.
        StorageFullError: If the store would not fit; nothing has been computed then.
        StoreError: If the store is damaged or being written by another process.
    """
    found = tuple(model.site(address) for address in sites)
    reading = Reading(ids, found, rows, batch_tokens, units or Units(), dtype)
    return read_into_store(reading, model, path, label=label)


def read_into_store(
    reading: Reading, model: Model, path: Path | str | None = None, *, label: str = "reading"
) -> Extraction:
    """The activations of a reading, as `extract` gets them."""
    store = reading.open(model, path)
    if not store.complete:
        if heard():
            rate = rows_per_second(model, reading.ids, len(reading.rows), reading.batch_tokens)
            say(estimate(store.request).sentence(rate) + ".")
        with Writer(store) as writer:
            for start, stop in store.gaps():
                writer.go_to(start)
                reading.into(writer, model, start, stop, label)
    return reading.extraction(store, reading.widths(model))


def site_width(model: Model, found: Site) -> tuple[int, ...]:
    """Shape of one row at a site."""
    shape, found = model.shape, model.site(found)
    return {
        Part.HEADS: (shape.n_heads, shape.d_head),
        Part.HEAD: (shape.d_head,),
        Part.NEURONS: (shape.d_mlp,),
        Part.NEURON: (),
    }.get(found.part, (shape.d_model,))


def weights_hash(model: Model) -> str:
    """Content hash of a model's weights: the known one of its file, else computed."""
    known = model.provenance.get("sha256")
    if known:
        return str(known)
    digest = hashlib.sha256()
    for name, weight in sorted(model.module.state_dict().items()):
        digest.update(name.encode())
        digest.update(weight.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def config_hash(model: Model) -> str:
    """Content hash of the settings that the weights run under: windows, rotary bases, caps.

    Where the model was loaded from, and by which version, does not count.
    """
    config = model.module.config
    values = config.to_dict() if hasattr(config, "to_dict") else vars(config)
    kept = {name: value for name, value in values.items() if name not in _NOT_SETTINGS}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()


def rows_per_second(
    model: Model, ids: Sequence[Sequence[int]], n_rows: int, batch_tokens: int
) -> float:
    """How many rows a second this will go at, from one pass over a few of the shortest texts."""
    *_, shortest = length_batches([len(row) for row in ids], batch_tokens)

    def timed(texts: Sequence[int]) -> tuple[float, int]:
        batch = model.batch([ids[text] for text in texts])
        start = time.perf_counter()
        model.hidden(batch)
        return time.perf_counter() - start, batch.ids.numel()

    parts = list(BackOff("texts")(shortest[:8], timed))
    seconds, tokens = (sum(part[column] for part in parts) for column in (0, 1))
    return float(n_rows * tokens / (seconds * sum(len(row) + 1 for row in ids)))
