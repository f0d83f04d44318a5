"""The zarr side of an activation store: one sharded, checksummed array for each site.

Not-yet-written rows read as NaN, never as 0. `bfloat16`, which zarr does not know, is kept as the
same sixteen bits in `uint16`, with `dtype: bfloat16` in the array's attributes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from jaxtyping import Float, Shaped
from torch import Tensor
from zarr.codecs import Crc32cCodec
from zarr.storage import LocalStore

from needlepoint._core.errors import StoreError
from needlepoint.activations.header import Header, Request, read_json
from needlepoint.activations.place import LocalFolder, Place
from needlepoint.activations.plan import Layout

_STORED = {"float32": "float32", "float16": "float16", "bfloat16": "uint16"}
_NAN: dict[str, float | int] = {"float32": np.nan, "float16": np.nan, "bfloat16": 0x7FC0}
ARRAYS = "arrays"

Rows = Shaped[np.ndarray[Any, Any], "example width"]


@dataclass(frozen=True)
class Damage:
    """A file of a store that cannot be used, and the rows that went with it."""

    site: str
    file: str
    """Its path or URL."""
    start: int
    """First row it holds."""
    stop: int
    """The row after its last."""
    reason: str

    def __str__(self) -> str:
        return (
            f"site {self.site}: {self.file} (rows {self.start} to {self.stop - 1}) is damaged: "
            f"{self.reason}"
        )


def encode(rows: Float[Tensor, "example width"], dtype: str) -> Rows:
    """The rows as they are kept, rounded to `dtype`; bfloat16 becomes its bits."""
    kept = rows.detach().to(getattr(torch, dtype)).cpu()
    if dtype == "bfloat16":
        return kept.view(torch.int16).numpy().view(np.uint16)
    return kept.numpy()


def decode(stored: Rows, dtype: str) -> Float[Tensor, "example width"]:
    """The inverse of `encode`, exact."""
    if dtype == "bfloat16":
        return torch.from_numpy(stored.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(stored)


def empty_rows(rows: int, width: int, dtype: str) -> Rows:
    """Room for rows as they are kept, with nothing defined in it yet."""
    return np.empty((rows, width), dtype=_STORED[dtype])


def create_arrays(folder: Path, request: Request, layout: Layout) -> dict[str, Mapping[str, Any]]:
    """Make the empty arrays of a new store, in a folder of this machine.

    Returns:
        The `zarr.json` of each, for the header.
    """
    group = zarr.create_group(LocalStore(folder / ARRAYS))
    for site, width in request.widths.items():
        group.create_array(
            site,
            shape=(request.rows, width),
            chunks=(layout.chunk_rows(site), width),
            shards=(layout.block_rows, width),
            dtype=_STORED[request.dtype],
            fill_value=_NAN[request.dtype],
            filters=None,
            compressors=(Crc32cCodec(),),
            dimension_names=("example", "width"),
            attributes={"dtype": request.dtype, "site": site},
        )
    made = LocalFolder(folder)
    return {site: read_json(made, f"{ARRAYS}/{site}/zarr.json") for site in request.widths}


class SiteArray:
    """The array of one site: whole blocks in, checked rows out."""

    def __init__(self, place: Place, site: str, header: Header) -> None:
        self.site, self.place = site, place
        self.key = f"{ARRAYS}/{site}"
        self.layout = Layout.of(header.request, header.block_rows)
        self._metadata = header.arrays[site]
        self._dtype = header.request.dtype
        self._array: zarr.Array[Any] | None = None

    def shard(self, block: int) -> str:
        """Key of the file that holds a block."""
        return f"{self.key}/c/{block}/0"

    def write(self, block: int, rows: Rows) -> None:
        """Write one whole block, and wait until it is kept.

        Raises:
            StoreError: If the file is not of the size that was computed beforehand.
        """
        start, stop = self.layout.span(block)
        self._opened(read_only=False)[start:stop] = rows
        expected, key = self.layout.shard_bytes(self.site, block), self.shard(block)
        self.place.settle(key)
        found = self.place.size(key)
        if found != expected:
            raise StoreError(
                f"{self.place.name(key)} has {found} bytes where {expected} were expected; "
                "the installed zarr lays shards out in another way: install zarr 3.1."
            )

    def read(
        self, block: int, rows: slice | Shaped[np.ndarray[Any, Any], " example"]
    ) -> Float[Tensor, "example width"]:
        """Rows of one block, given by their numbers within the whole array.

        Raises:
            StoreError: If the shard is missing, cut short, or does not match its checksums.
        """
        damage = (None if self._array else self.metadata_damage()) or self._size_damage(block)
        if damage is None:
            try:
                with self.place.errors():
                    return decode(np.asarray(self._reading().oindex[rows]), self._dtype)
            except ValueError as error:  # what zarr raises for a checksum that does not match
                damage = self._damage(block, f"its checksum does not match ({error})")
        raise StoreError(
            f"{damage}. Remove {self.place} with all that is in it, or call repair() on the "
            "store, which keeps all that is whole; then do the same again."
        )

    def damage(self, block: int) -> Damage | None:
        """What is wrong with one block, found by reading all of it; None if nothing is."""
        found = self._size_damage(block)
        if found is None:
            try:
                with self.place.errors():
                    self._reading()[slice(*self.layout.span(block))]
            except ValueError as error:
                found = self._damage(block, f"its checksum does not match ({error})")
        return found

    def metadata_damage(self) -> Damage | None:
        """What is wrong with the array's `zarr.json`; None if nothing is."""
        reason = "it differs from the header's copy"
        key = f"{self.key}/zarr.json"
        if self.place.size(key) is None:
            reason = "the file is missing"
        else:
            try:
                if read_json(self.place, key) == self._metadata:
                    return None
            except StoreError as error:
                reason = str(error)
        return Damage(self.site, self.place.name(key), 0, self.layout.rows, reason)

    def restore_metadata(self) -> None:
        """Write `zarr.json` again, from the header's copy."""
        self.place.write(f"{self.key}/zarr.json", json.dumps(self._metadata, indent=2).encode())

    def clear_all_but(self, blocks: Collection[int]) -> None:
        """Remove the shards of all other blocks."""
        for name in self.place.names(f"{self.key}/c"):
            if not name.isdecimal() or int(name) not in blocks:
                self.place.remove(f"{self.key}/c/{name}")

    def _reading(self) -> zarr.Array[Any]:
        if self._array is None:
            self._array = self._opened(read_only=True)
        return self._array

    def _opened(self, *, read_only: bool) -> zarr.Array[Any]:
        store, front = self.place.zarr(read_only=read_only)
        # a chunk of nothing but padding is left out, which is what `shard_bytes` counts on
        config = {"write_empty_chunks": False}
        mode: Any = "r" if read_only else "r+"
        return zarr.open_array(store, path=f"{front}{self.key}", mode=mode, config=config)

    def _size_damage(self, block: int) -> Damage | None:
        expected = self.layout.shard_bytes(self.site, block)
        size = self.place.size(self.shard(block))
        if size is None:
            return self._damage(block, "the file is missing")
        if size == expected:
            return None
        return self._damage(block, f"it has {size} bytes and should have {expected}")

    def _damage(self, block: int, reason: str) -> Damage:
        name = self.place.name(self.shard(block))
        return Damage(self.site, name, *self.layout.span(block), reason)
