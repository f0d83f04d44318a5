"""The zarr side of an activation store: one sharded, checksummed array for each site.

Not-yet-written rows read as NaN, never as 0. `bfloat16`, which zarr does not know, is kept as the
same sixteen bits in `uint16`, with `dtype: bfloat16` in the array's attributes.
"""

from __future__ import annotations

import json
import os
import shutil
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
from needlepoint._core.files import write_text
from needlepoint.activations.header import Header, Request, read_json
from needlepoint.activations.plan import Layout

_STORED = {"float32": "float32", "float16": "float16", "bfloat16": "uint16"}
_NAN: dict[str, float | int] = {"float32": np.nan, "float16": np.nan, "bfloat16": 0x7FC0}
ARRAYS = "arrays"

Rows = Shaped[np.ndarray[Any, Any], "example width"]


@dataclass(frozen=True)
class Damage:
    """A file of a store that cannot be used, and the rows that went with it."""

    site: str
    file: Path
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
    """Make the empty arrays of a new store.

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
    return {site: read_json(folder / ARRAYS / site / "zarr.json") for site in request.widths}


class SiteArray:
    """The array of one site: whole blocks in, checked rows out."""

    def __init__(self, folder: Path, site: str, header: Header) -> None:
        self.site = site
        self.folder = folder / ARRAYS / site
        self.layout = Layout.of(header.request, header.block_rows)
        self._metadata = header.arrays[site]
        self._dtype = header.request.dtype
        self._array: zarr.Array[Any] | None = None

    def shard(self, block: int) -> Path:
        """The file that holds a block."""
        return self.folder / "c" / str(block) / "0"

    def write(self, block: int, rows: Rows) -> None:
        """Write one whole block, and wait until it is on the disk.

        Raises:
            StoreError: If the file is not of the size that was computed beforehand.
        """
        start, stop = self.layout.span(block)
        # a chunk of nothing but padding is left out, which is what `shard_bytes` counts on
        config = {"write_empty_chunks": False}
        array = zarr.open_array(LocalStore(self.folder), mode="r+", config=config)
        array[start:stop] = rows
        expected, found = self.layout.shard_bytes(self.site, block), self.shard(block)
        with found.open("rb") as handle:
            os.fsync(handle.fileno())
        if found.stat().st_size != expected:
            raise StoreError(
                f"{found} has {found.stat().st_size} bytes where {expected} were expected; "
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
                return decode(np.asarray(self._reading().oindex[rows]), self._dtype)
            except ValueError as error:  # what zarr raises for a checksum that does not match
                damage = self._damage(block, f"its checksum does not match ({error})")
        raise StoreError(
            f"{damage}. Remove the folder {self.folder.parents[1]}, or call repair() on the "
            "store, which keeps all that is whole; then do the same again."
        )

    def damage(self, block: int) -> Damage | None:
        """What is wrong with one block, found by reading all of it; None if nothing is."""
        found = self._size_damage(block)
        if found is None:
            try:
                self._reading()[slice(*self.layout.span(block))]
            except ValueError as error:
                found = self._damage(block, f"its checksum does not match ({error})")
        return found

    def metadata_damage(self) -> Damage | None:
        """What is wrong with the array's `zarr.json`; None if nothing is."""
        path = self.folder / "zarr.json"
        try:
            same = read_json(path) == self._metadata
        except StoreError as error:
            return Damage(self.site, path, 0, self.layout.rows, str(error))
        if same:
            return None
        return Damage(self.site, path, 0, self.layout.rows, "it differs from the header's copy")

    def restore_metadata(self) -> None:
        """Write `zarr.json` again, from the header's copy."""
        write_text(self.folder / "zarr.json", json.dumps(self._metadata, indent=2))

    def clear_all_but(self, blocks: Collection[int]) -> None:
        """Remove the shards of all other blocks, and what a killed writer left in passing."""
        for path in (self.folder / "c").glob("*"):
            if not path.name.isdecimal() or int(path.name) not in blocks:
                shutil.rmtree(path)
        for path in self.folder.rglob("*.partial"):
            path.unlink()

    def _reading(self) -> zarr.Array[Any]:
        if self._array is None:
            self._array = zarr.open_array(LocalStore(self.folder, read_only=True), mode="r")
        return self._array

    def _size_damage(self, block: int) -> Damage | None:
        path, expected = self.shard(block), self.layout.shard_bytes(self.site, block)
        if not path.is_file():
            return self._damage(block, "the file is missing")
        size = path.stat().st_size
        if size == expected:
            return None
        return self._damage(block, f"it has {size} bytes and should have {expected}")

    def _damage(self, block: int, reason: str) -> Damage:
        return Damage(self.site, self.shard(block), *self.layout.span(block), reason)
