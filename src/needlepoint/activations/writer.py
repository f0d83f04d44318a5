"""Appending rows to an activation store, so that a kill at any moment loses at most one block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint._core.errors import DataError, StoreError
from needlepoint.activations.arrays import Rows, empty_rows, encode
from needlepoint.activations.store import Store, check_room


class BlockWriter:
    """Gathers the rows of some whole blocks in memory and writes each block when it is full.

    It neither locks the store nor commits: several may write other blocks of one store, wherever
    they are, for one `Writer` that says which blocks are whole. Where the appends are cut makes no
    difference to the files.

    Args:
        store: Where the blocks belong.
        start: The first row to be appended, the first of a block.
        written: Is told of each block that is on the disk.
    """

    def __init__(self, store: Store, start: int, written: Callable[[int], None]) -> None:
        self.store, self.row, self._written = store, start, written
        self.request, self._layout = store.request, store.layout
        if start % self._layout.block_rows:
            raise StoreError(
                f"row {start} is not the first of a block; blocks have {self._layout.block_rows} "
                "rows each."
            )
        rows = min(self._layout.block_rows, self.request.rows)
        self._buffer: dict[str, Rows] = {
            site: empty_rows(rows, width, self.request.dtype)
            for site, width in self.request.widths.items()
        }

    def append(self, chunk: Mapping[str, Float[Tensor, "example _"]]) -> None:
        """Add the next rows of every site, on any device and in any floating dtype.

        A chunk is taken as a whole or, if it is refused, not at all.

        Raises:
            DataError: If a site is missing or not in the request, shapes do not fit, there are
                more rows than the request has, or a value is not finite in the store's dtype.
            StorageFullError: If the disk is full.
            StoreError: If a file is not as it should be once it is written.
        """
        number = self._count(chunk)
        kept = {site: self._encode(site, rows) for site, rows in chunk.items()}
        for block, start, stop in self._layout.pieces(self.row, self.row + number):
            first = self._layout.span(block)[0]
            taken = slice(start - self.row, stop - self.row)
            for site, rows in kept.items():
                self._buffer[site][start - first : stop - first] = rows[taken]
            if stop == self._layout.span(block)[1]:
                self._write(block)
        self.row += number

    def _write(self, block: int) -> None:
        start, stop = self._layout.span(block)
        with self.store.place.errors():
            for site, rows in self._buffer.items():
                self.store.arrays[site].write(block, rows[: stop - start])
            self._written(block)

    def _encode(self, site: str, rows: Float[Tensor, "example _"]) -> Rows:
        dtype = self.request.dtype
        bad = ~torch.isfinite(rows.to(getattr(torch, dtype)))
        if bad.any():
            row, column = (int(number) for number in bad.nonzero()[0])
            raise DataError(
                f"site {site}, row {self.row + row}, column {column} is "
                f"{rows[row, column].item()}, which is not finite in {dtype}; "
                "run the model, or keep the store, in float32."
            )
        return encode(rows, dtype)

    def _count(self, chunk: Mapping[str, Float[Tensor, "example _"]]) -> int:
        if set(chunk) != set(self.request.widths):
            odd = ", ".join(sorted(set(chunk) ^ set(self.request.widths)))
            raise DataError(f"a chunk holds rows of each site of the request; check {odd}.")
        for site, width in self.request.widths.items():
            if chunk[site].ndim != 2 or chunk[site].shape[1] != width:
                shape = tuple(chunk[site].shape)
                raise DataError(f"site {site} takes shape [rows, {width}], not {shape}.")
        counts = {len(rows) for rows in chunk.values()}
        if len(counts) > 1:
            raise DataError(f"all sites of a chunk need equally many rows, not {sorted(counts)}.")
        count = counts.pop()
        if self.row + count > self.request.rows:
            raise DataError(
                f"row {self.row} plus {count} more exceeds the {self.request.rows} rows of the "
                "request; ask for as many rows as the data has."
            )
        return count


class Writer:
    """The one writer of a store; it goes on where the last one was stopped.

    Rows of a block that was not filled are dropped when the writer closes, unless they are the
    last of the request; start the next run at `rows_done`. An interrupted and a smooth extraction
    leave the same bytes.

    Example:
        >>> import tempfile, pathlib
        >>> from needlepoint.activations.header import Request
        >>> from needlepoint.activations.store import open_or_create
        >>> request = Request("toy", "ab", "cd", {"L0.resid": 2}, rows=3, reduce="last")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     store = open_or_create(request, pathlib.Path(folder) / "store")
        ...     with Writer(store) as writer:
        ...         writer.append({"L0.resid": torch.zeros(2, 2)})
        ...         writer.append({"L0.resid": torch.ones(1, 2)})
        ...     store.complete, store.read("L0.resid", [2, 0])
        (True, tensor([[1., 1.],
                [0., 0.]]))

    Raises:
        StoreError: On entering, if the store has another writer.
        StorageFullError: On entering, if the rows that are left cannot fit on the disk.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._exit = ExitStack()
        self._open: BlockWriter | None = None
        self._whole: set[int] = set()
        self._row = 0

    @property
    def row(self) -> int:
        """Number of the next row to append; on entering, the number of rows committed."""
        return self._open.row if self._open else self._row

    def __enter__(self) -> Writer:
        with ExitStack() as undo:
            undo.enter_context(self.store.lock())
            self.store.clear_uncommitted()
            self._whole = set(self.store.whole)
            self._row = self.store.rows_done
            layout = self.store.layout
            left = sum(
                layout.bytes_of(block) for block in range(layout.blocks) if block not in self._whole
            )
            check_room(left, self.store.place)
            self._exit = undo.pop_all()
        self.go_to(self._row if self._row < self.store.request.rows else 0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()
        self._exit.close()

    def go_to(self, row: int) -> None:
        """Append from the first row of another block on; rows of a block begun are dropped."""
        self._open = None  # its memory goes first
        self._open = BlockWriter(self.store, row, self.commit)

    def commit(self, block: int) -> None:
        """Say that a block is whole, whoever wrote it."""
        self._whole.add(block)
        self.store.commit(self._whole)

    def append(self, chunk: Mapping[str, Float[Tensor, "example _"]]) -> None:
        """Add the next rows of every site, as `BlockWriter.append` does.

        Raises:
            DataError: If the chunk is refused; nothing of it was taken.
            StorageFullError: If the disk is full. Rows committed before stay; free some space,
                open a new writer and go on at its `row`.
            StoreError: If the writer is not open, or was broken off by an error.
        """
        if self._open is None:
            raise StoreError(
                f"this writer is closed; open a new one, which goes on at row "
                f"{self.store.rows_done}."
            )
        with ExitStack() as undo:
            undo.callback(self._close)
            undo.callback(self.store.clear_uncommitted)
            try:
                self._open.append(chunk)
            except DataError:
                undo.pop_all()
                raise
            undo.pop_all()

    def _close(self) -> None:
        self._row, self._open = self.row, None
