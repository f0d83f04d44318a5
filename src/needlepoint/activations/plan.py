"""How rows are cut into files, and what an extraction will cost before it starts."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from needlepoint._core.errors import DataError, StorageFullError
from needlepoint.activations.header import Request

BLOCK_BYTES = 128 * 2**20
"""Most that one block of all sites takes; the writer holds one block in memory."""
SHARD_BYTES = 64 * 2**20
"""Most that one file takes."""
CHUNK_BYTES = 4 * 2**20
"""Most that has to be read to get at one row."""
CHUNK_ROWS = 1024
_CHECKSUM = 4
_INDEX_ENTRY = 16


@dataclass(frozen=True)
class Layout:
    """Rows in blocks, one shard file for each block and site, chunks inside the shards.

    A shard is written once, whole, and never again: a block is either committed, with all its
    shards, or not there. Shard sizes are known beforehand, to the byte.
    """

    rows: int
    block_rows: int
    widths: Mapping[str, int]
    itemsize: int

    @classmethod
    def of(cls, request: Request, block_rows: int | None = None) -> Layout:
        """The layout of a request, with blocks of the largest power of two that fits the bounds.

        Args:
            request: What is to be stored.
            block_rows: Rows in a block, to choose it yourself: fewer lose less work to an
                interruption and need less memory, more make fewer and larger files.
        """
        itemsize = 4 if request.dtype == "float32" else 2
        if block_rows is None:
            row = itemsize * sum(request.widths.values())
            widest = itemsize * max(request.widths.values())
            fitting = max(1, min(BLOCK_BYTES // row, SHARD_BYTES // widest))
            enough = 2 ** math.ceil(math.log2(request.rows))
            block_rows = min(2 ** (fitting.bit_length() - 1), enough)
        if block_rows < 1:
            raise DataError(f"a block needs at least one row, not {block_rows}.")
        return cls(request.rows, block_rows, dict(request.widths), itemsize)

    @property
    def blocks(self) -> int:
        """Number of blocks; the last one may be short."""
        return math.ceil(self.rows / self.block_rows)

    def span(self, block: int) -> tuple[int, int]:
        """First row of a block, and the row after its last."""
        return block * self.block_rows, min(self.rows, (block + 1) * self.block_rows)

    def chunk_rows(self, site: str) -> int:
        """Rows in one chunk of a site: the largest divisor of `block_rows` within the bounds."""
        fitting = max(1, CHUNK_BYTES // (self.itemsize * self.widths[site]))
        most = min(self.block_rows, CHUNK_ROWS, fitting)
        return next(rows for rows in range(most, 0, -1) if self.block_rows % rows == 0)

    def shard_bytes(self, site: str, block: int) -> int:
        """Exact size of one shard file: its chunks, each with a checksum, and their index."""
        chunk = self.chunk_rows(site)
        start, stop = self.span(block)
        kept = math.ceil((stop - start) / chunk)
        index = _INDEX_ENTRY * (self.block_rows // chunk) + _CHECKSUM
        return kept * (chunk * self.widths[site] * self.itemsize + _CHECKSUM) + index

    def bytes_of(self, block: int) -> int:
        """Bytes of one block, all sites together."""
        return sum(self.shard_bytes(site, block) for site in self.widths)

    def bytes_from(self, row: int) -> int:
        """Bytes still to be written once `row` rows are committed."""
        first = row // self.block_rows
        if row >= self.rows:
            return 0
        whole, last = self.blocks - 1 - first, self.blocks - 1
        return sum(whole * self.shard_bytes(s, 0) + self.shard_bytes(s, last) for s in self.widths)

    def pieces(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """The rows `[start, stop)` cut at block boundaries, as (block, start, stop).

        Example:
            >>> list(Layout(rows=10, block_rows=4, widths={"s": 1}, itemsize=4).pieces(3, 9))
            [(0, 3, 4), (1, 4, 8), (2, 8, 9)]
        """
        while start < stop:
            block = start // self.block_rows
            end = min(stop, (block + 1) * self.block_rows)
            yield block, start, end
            start = end


@dataclass(frozen=True)
class Plan:
    """What an extraction will take, known before it starts. `str(plan)` is a sentence."""

    rows: int
    widths: Mapping[str, int]
    bytes: int
    """Bytes on disk of the finished arrays, checksums included."""
    blocks: int
    """Times that rows are committed; an interruption loses at most one block's work."""
    chunks: int
    """Chunks over all sites."""
    block_bytes: int
    """Memory that the writer holds."""

    def seconds(self, rate: float) -> float:
        """How long it takes at `rate` rows a second.

        Raises:
            DataError: If the rate is not positive; no time would mean anything.
        """
        if not rate > 0:
            raise DataError(f"a rate must be above 0 rows a second, not {rate}; measure a batch.")
        return self.rows / rate

    def sentence(self, rate: float | None = None) -> str:
        """The plan in one line, with the time it takes if a rate in rows a second is given.

        Example:
            >>> widths = {f"L{layer}.mlp.neurons": 1536 for layer in range(30)}
            >>> request = Request("smollm2", "ab", "cd", widths, rows=4096, reduce="mean")
            >>> estimate(request).sentence(rate=5.7)
            '4,096 rows x 30 sites x 1536 = 755 MB, about 12 minutes'
        """
        distinct = set(self.widths.values())
        sites = f"{len(self.widths)} site{'s' * (len(self.widths) > 1)}"
        across = f"{sites} x {distinct.pop()}" if len(distinct) == 1 else f"{self._mixed(sites)}"
        text = f"{self.rows:,} rows x {across} = {in_bytes(self.bytes)}"
        return text if rate is None else f"{text}, about {in_time(self.seconds(rate))}"

    def __str__(self) -> str:
        return self.sentence()

    def _mixed(self, sites: str) -> str:
        return f"{sum(self.widths.values()):,} numbers at {sites}"


def estimate(request: Request, *, block_rows: int | None = None) -> Plan:
    """What storing a request will take, without running anything."""
    layout = Layout.of(request, block_rows)
    return Plan(
        rows=request.rows,
        widths=dict(request.widths),
        bytes=layout.bytes_from(0),
        blocks=layout.blocks,
        chunks=sum(math.ceil(request.rows / layout.chunk_rows(site)) for site in request.widths),
        block_bytes=min(layout.rows, layout.block_rows)
        * layout.itemsize
        * sum(request.widths.values()),
    )


def check_space(needed: int, folder: Path) -> None:
    """Refuse to start what cannot fit.

    Raises:
        StorageFullError: If fewer than `needed` bytes are free where `folder` is or will be.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise StorageFullError(
            f"the activations need {in_bytes(needed)} and {in_bytes(free)} are free at {there}: "
            "free some space, choose another folder, store fewer sites or rows, or use float16."
        )


def in_bytes(count: int) -> str:
    """A number of bytes for a reader, in decimal units.

    Example:
        >>> in_bytes(912), in_bytes(754974720), in_bytes(1_500_000_000)
        ('912 bytes', '755 MB', '1.5 GB')
    """
    for size, unit in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= size:
            value = count / size
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{count} bytes"


def in_time(seconds: float) -> str:
    """A duration for a reader.

    Example:
        >>> in_time(1), in_time(40.2), in_time(718), in_time(9000)
        ('1 second', '40 seconds', '12 minutes', '2.5 hours')
    """
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} hours"
    count, unit = (seconds / 60, "minute") if seconds >= 90 else (seconds, "second")
    whole = max(1, round(count))
    return f"{whole} {unit}{'s' * (whole != 1)}"
