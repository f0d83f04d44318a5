"""The activation store: rows of many sites on disk, committed block by block, checked when read.

A store is a folder, or a prefix in object storage: `header.json` says what it is made of and how it
is laid out, `arrays/SITE` is a Zarr v3 array of shape `[row, width]`, and `progress.json` says how
many rows are committed. A block of rows is committed by replacing `progress.json` after all its
files are kept, so a reader never sees half of one. Writing is in `writer.py`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError, StoreError, UnknownSiteError
from needlepoint._core.files import write_text
from needlepoint.activations.arrays import Damage, SiteArray, create_arrays
from needlepoint.activations.header import Header, Request, default_place, read_json
from needlepoint.activations.place import Place, place_of
from needlepoint.activations.plan import Layout, check_space

_PATIENCE = 30.0


class Store:
    """The committed rows of one request, read a piece at a time; never all loaded at once.

    Any number may read while one writes; `rows_done` is looked up anew each time.
    """

    def __init__(self, where: Place | Path | str) -> None:
        """Open a store that exists.

        Args:
            where: Its folder, or its URL, as `place_of` takes them.

        Raises:
            StoreError: If there is none, another schema version wrote it, or its header is damaged.
        """
        self.place = place_of(where)
        self.header = Header.read(self.place)
        self.request = self.header.request
        self.layout = Layout.of(self.request, self.header.block_rows)
        self.arrays = {
            site: SiteArray(self.place, site, self.header) for site in self.request.widths
        }

    @property
    def path(self) -> Path:
        """Its folder.

        Raises:
            StoreError: If it lies in object storage; `place` says where.
        """
        if self.place.folder is None:
            raise StoreError(f"{self.place} is not a folder of this machine.")
        return self.place.folder

    @property
    def sites(self) -> tuple[str, ...]:
        """Sites that have rows here, in the order of the request."""
        return tuple(self.arrays)

    @property
    def rows_done(self) -> int:
        """Rows committed so far, the same for every site.

        Raises:
            StoreError: If `progress.json` is missing or damaged.
        """
        return self._progress()[0]

    @property
    def ahead(self) -> frozenset[int]:
        """Blocks after those rows that are whole too: what is between is yet to be computed.

        Raises:
            StoreError: If `progress.json` is missing or damaged.
        """
        return self._progress()[1]

    @property
    def whole(self) -> frozenset[int]:
        """All blocks that need not be computed again."""
        rows, ahead = self._progress()
        return ahead.union(range(-(-rows // self.header.block_rows)))

    def gaps(self) -> list[tuple[int, int]]:
        """The rows yet to be computed, as stretches from a first row to the one after the last."""
        found: list[tuple[int, int]] = []
        for block in sorted(set(range(self.layout.blocks)) - self.whole):
            start, stop = self.layout.span(block)
            if found and found[-1][1] == start:
                start = found.pop()[0]
            found.append((start, stop))
        return found

    def _progress(self) -> tuple[int, frozenset[int]]:
        fix = "Call repair() on the store, which finds the rows that are whole."
        name = self.place.name("progress.json")
        try:
            values = read_json(self.place, "progress.json")
        except StoreError as error:
            raise StoreError(f"{error} {fix}") from error
        rows: Any = values.get("rows")
        ahead: Any = values.get("ahead", [])
        whole = isinstance(rows, int) and 0 <= rows <= self.request.rows
        if not whole or (rows % self.header.block_rows and rows != self.request.rows):
            raise StoreError(f"{name} is damaged: rows is {rows!r}. {fix}")
        listed = isinstance(ahead, list) and all(isinstance(block, int) for block in ahead)
        if not listed or not all(0 <= block < self.layout.blocks for block in ahead):
            raise StoreError(f"{name} is damaged: ahead is {ahead!r}. {fix}")
        return int(rows), frozenset(ahead)

    @property
    def complete(self) -> bool:
        """Whether all rows of the request are there, so that nothing is left to compute."""
        return self.rows_done == self.request.rows

    def read(
        self, site: str, rows: slice | Sequence[int] | Int[Tensor, " value"] | None = None
    ) -> Float[Tensor, "example width"]:
        """Rows of one site, in the order asked for, in the precision they are kept in.

        Args:
            site: One of `sites`.
            rows: A slice, or row numbers in any order, repeats allowed; all rows by default.

        Raises:
            UnknownSiteError: If the store has no such site.
            DataError: If a row is asked for that is not committed.
            StoreError: If the file that holds a row is damaged; the message names it.
        """
        array, done = self._array(site), self.rows_done
        if isinstance(rows, slice):
            _check_slice(rows, done)
            numbers = np.arange(done)[rows]
        elif rows is None:
            numbers = np.arange(done)
        else:
            listed = rows.cpu() if isinstance(rows, Tensor) else rows
            numbers = np.asarray(listed, dtype=np.int64)
        if numbers.size and not (numbers.min() >= 0 and numbers.max() < done):
            raise DataError(
                f"rows {numbers.min()} to {numbers.max()} were asked for; "
                f"{done} are committed, numbered from 0."
            )
        found = self._empty(site, len(numbers))
        blocks = numbers // self.header.block_rows
        for block in np.unique(blocks):
            inside = blocks == block
            wanted = numbers[inside]
            run = slice(int(wanted[0]), int(wanted[-1]) + 1)
            in_a_row = bool((np.diff(wanted) == 1).all())
            piece = array.read(int(block), run if in_a_row else wanted)
            found[torch.from_numpy(inside)] = piece
        return found

    def blocks(
        self, site: str, n_rows: int | None = None
    ) -> Iterator[Float[Tensor, "example width"]]:
        """All committed rows of one site in order, `n_rows` at a time; the last may be fewer.

        Args:
            site: One of `sites`.
            n_rows: Rows in each piece; by default as they are committed, which reads no file twice.
        """
        array, done, step = self._array(site), self.rows_done, n_rows or self.header.block_rows
        if step < 1:
            raise DataError(f"a piece needs at least one row, not {step}.")
        for start in range(0, done, step):
            stop = min(done, start + step)
            pieces = self.layout.pieces(start, stop)
            yield torch.cat([array.read(block, slice(i, j)) for block, i, j in pieces])

    def verify(self) -> tuple[Damage, ...]:
        """Read everything back and list the damaged files; empty when the store is sound."""
        committed = sorted(self.whole)
        found: list[Damage | None] = []
        for array in self.arrays.values():
            metadata = array.metadata_damage()
            found.append(metadata)
            if metadata is None:
                found.extend(array.damage(block) for block in committed)
        return tuple(damage for damage in found if damage is not None)

    def repair(self) -> int:
        """Keep every block that is whole and uncommit the damaged ones.

        Lost numbers cannot be made up from the store alone: the next extraction computes them
        again, and only them. Damaged array metadata is put back from the header, and a lost
        `progress.json` is found again from the files, without losing rows.

        Returns:
            Rows that are whole, before and after the damage.

        Raises:
            StoreError: If someone is writing to the store.
        """
        with self.lock():
            for array in self.arrays.values():
                array.restore_metadata()
            try:
                claimed = self.whole
            except StoreError:
                claimed = frozenset(range(self.layout.blocks))
            arrays = self.arrays.values()
            sound = {block for block in claimed if not any(array.damage(block) for array in arrays)}
            self.commit(sound)
            self.clear_uncommitted()
        return sum(stop - start for start, stop in map(self.layout.span, sound))

    def commit(self, blocks: Collection[int]) -> None:
        """Say which blocks are whole. For the holder of the lock only."""
        first = next(block for block in count() if block not in blocks)
        rows = min(first * self.header.block_rows, self.request.rows)
        ahead = sorted(block for block in blocks if block > first)
        values = {"rows": rows, **({"ahead": ahead} if ahead else {})}
        self.place.confirm()
        self.place.write("progress.json", (json.dumps(values) + "\n").encode())

    def clear_uncommitted(self) -> None:
        """Remove files of rows that are not committed. For the holder of the lock only."""
        whole = self.whole
        for array in self.arrays.values():
            array.clear_all_but(whole)
        self.place.clear_leftovers()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only writer, here and in any other process that sees the store.

        Raises:
            StoreError: If someone else is.
        """
        with self.place.lock():
            yield

    def _array(self, site: str) -> SiteArray:
        if site not in self.arrays:
            raise UnknownSiteError(
                f"{self.place} has no rows of site {site!r}; it has {', '.join(self.sites)}."
            )
        return self.arrays[site]

    def _empty(self, site: str, rows: int) -> Float[Tensor, "example width"]:
        dtype: torch.dtype = getattr(torch, self.request.dtype)
        return torch.empty((rows, self.request.widths[site]), dtype=dtype)


def open_or_create(
    request: Request, where: Place | Path | str | None = None, *, block_rows: int | None = None
) -> Store:
    """The store of a request: the one that is there, complete or not, or a new one without rows.

    A request that is `complete` need only be read; the same request is never computed twice.

    Args:
        request: What the store is to hold.
        where: Its folder or URL; by default one that is named by the request's key, where
            `NEEDLEPOINT_STORE` says or in the cache.
        block_rows: Rows committed together in a new store; by default as many as fit 128 MiB.

    Raises:
        StoreError: If the place holds something else, or the store of another request.
        StorageFullError: If the rows cannot fit on the disk; the message has the figures.
    """
    place = default_place(request) if where is None else place_of(where)
    if place.size("header.json") is None:
        layout = Layout.of(request, block_rows)
        check_room(layout.bytes_from(0), place)
        with place.errors(), place.lock(_PATIENCE):
            _create(place, request, layout)
    store = Store(place)
    if store.request.key != request.key:
        raise StoreError(
            f"{place} holds another request: {store.request.differences(request)}. "
            "Choose another folder, or leave it out to use one named by the request."
        )
    return store


def check_room(needed: int, place: Place) -> None:
    """Refuse to start what cannot fit on a disk; object storage does not say what is free.

    Raises:
        StorageFullError: If fewer than `needed` bytes are free.
    """
    if place.folder is not None:
        check_space(needed, place.folder)


def _create(place: Place, request: Request, layout: Layout) -> None:
    if place.size("header.json") is not None:
        return  # made by someone else while we waited for the lock
    with place.building() as folder:
        Header.new(request, layout.block_rows, create_arrays(folder, request, layout)).write(folder)
        write_text(folder / "progress.json", json.dumps({"rows": 0}) + "\n")


def _check_slice(rows: slice, done: int) -> None:
    """A slice past the end would come back silently short."""
    if rows.stop is not None and rows.stop > done:
        raise DataError(f"rows up to {rows.stop} were asked for; {done} are committed.")
