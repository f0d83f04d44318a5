"""Where a store lies: a folder of this machine, or a prefix in object storage, used alike.

A place holds whole small files and shards under keys such as `progress.json` or
`arrays/L0.resid/c/0/0`. Whatever is written appears as a whole or not at all.
"""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import zarr.abc.store
from filelock import FileLock, Timeout
from typing_extensions import override
from zarr.storage import LocalStore

from needlepoint._core.errors import StoreBusyError, StoreError
from needlepoint._core.files import atomic_path, storage_errors


class Place(ABC):
    """Files of one store, by their keys. `str(place)` is its path or URL, for messages."""

    folder: Path | None = None
    """The folder of this machine that it is; None in object storage."""

    def name(self, key: str) -> str:
        """Path or URL of one file, for messages."""
        return f"{self}/{key}"

    @abstractmethod
    def read(self, key: str) -> bytes:
        """Content of a file.

        Raises:
            FileNotFoundError: If there is no such file.
        """

    @abstractmethod
    def write(self, key: str, content: bytes) -> None:
        """Write a file, or replace it; it is either wholly there or not at all."""

    @abstractmethod
    def size(self, key: str) -> int | None:
        """Bytes of a file; None if there is no such file."""

    @abstractmethod
    def names(self, key: str) -> list[str]:
        """Names of the files and folders directly in a folder; none if it is not there."""

    @abstractmethod
    def remove(self, key: str) -> None:
        """Remove a file, or a folder with all that is in it."""

    @abstractmethod
    def settle(self, key: str) -> None:
        """Wait until a file that was written is kept, whatever happens to this machine."""

    @abstractmethod
    def zarr(self, *, read_only: bool) -> tuple[zarr.abc.store.Store, str]:
        """What zarr reads and writes here, and what to put in front of each key."""

    @abstractmethod
    def building(self) -> AbstractContextManager[Path]:
        """A local folder in which a new store is made; it comes here when the block succeeds."""

    @abstractmethod
    def clear_leftovers(self) -> None:
        """Remove what a killed writer left in passing. For the only writer."""

    @abstractmethod
    def lock(self, patience: float = 0.0) -> AbstractContextManager[None]:
        """Be the only writer, for as long as the block lasts.

        Args:
            patience: Seconds to wait for another writer to end.

        Raises:
            StoreBusyError: If someone else is.
        """

    @abstractmethod
    def confirm(self) -> None:
        """Make sure that this process still is the only writer.

        Raises:
            StoreBusyError: If another one has taken over.
        """

    @abstractmethod
    def errors(self) -> AbstractContextManager[None]:
        """Turn what goes wrong at the place inside the block into one sentence."""


class LocalFolder(Place):
    """A folder of this machine, or of a disk that several share."""

    def __init__(self, folder: Path) -> None:
        self.folder: Path = folder

    def __str__(self) -> str:
        return str(self.folder)

    @override
    def name(self, key: str) -> str:
        return str(self.folder / key)

    @override
    def read(self, key: str) -> bytes:
        return (self.folder / key).read_bytes()

    @override
    def write(self, key: str, content: bytes) -> None:
        with atomic_path(self.folder / key) as temporary:
            temporary.write_bytes(content)

    @override
    def size(self, key: str) -> int | None:
        path = self.folder / key
        return path.stat().st_size if path.is_file() else None

    @override
    def names(self, key: str) -> list[str]:
        path = self.folder / key
        return sorted(one.name for one in path.iterdir()) if path.is_dir() else []

    @override
    def remove(self, key: str) -> None:
        path = self.folder / key
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

    @override
    def settle(self, key: str) -> None:
        with (self.folder / key).open("rb") as handle:
            os.fsync(handle.fileno())

    @override
    def zarr(self, *, read_only: bool) -> tuple[zarr.abc.store.Store, str]:
        return LocalStore(self.folder, read_only=read_only), ""

    @override
    @contextmanager
    def building(self) -> Iterator[Path]:
        path = self.folder
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise StoreError(
                f"{path} is not an activation store and is not empty; choose another folder."
            )
        with atomic_path(path) as folder:
            folder.mkdir()
            yield folder

    @override
    def clear_leftovers(self) -> None:
        for path in self.folder.glob(".progress.json.*"):
            shutil.rmtree(path)
        for path in self.folder.rglob("*.partial"):
            path.unlink()

    @override
    @contextmanager
    def lock(self, patience: float = 0.0) -> Iterator[None]:
        lock = FileLock(self.folder.with_name(f".{self.folder.name}.lock"))
        try:
            with storage_errors(self.folder):
                self.folder.parent.mkdir(parents=True, exist_ok=True)
                lock.acquire(timeout=patience)
        except Timeout as error:
            raise StoreBusyError(
                f"{self} is being written by another process (or another writer in this one); "
                "wait until it ends, or extract into another folder."
            ) from error
        try:
            yield
        finally:
            lock.release()

    def confirm(self) -> None:
        """Nothing is to be done: a lock of the system ends with the process, and not before."""

    @override
    def errors(self) -> AbstractContextManager[None]:
        return storage_errors(self.folder)


def place_of(where: Place | Path | str) -> Place:
    """The place at a path or a URL.

    Args:
        where: A folder; `file:///folder`; or a bucket and a prefix in object storage, as in
            `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, or `memory://name`
            for as long as this process lives.

    Raises:
        StoreError: If the URL cannot be used, or has credentials in it.
        SourceError: If `obstore`, which object storage takes, is not installed.

    Example:
        >>> str(place_of("runs/store"))
        'runs/store'
        >>> place_of("s3://key:secret@bucket/store")
        Traceback (most recent call last):
        needlepoint._core.errors.StoreError: the URL of a store has no place for credentials...
    """
    if isinstance(where, Place):
        return where
    if isinstance(where, Path):
        _check_no_url(where)
        return LocalFolder(where)
    if "://" not in where:
        return LocalFolder(Path(where))
    from needlepoint.activations.object_folder import ObjectFolder, local_path

    local = local_path(where)
    return ObjectFolder(where) if local is None else LocalFolder(local)


def _check_no_url(path: Path) -> None:
    """`Path` makes one slash of two, and a URL would come to be a folder named `s3:`."""
    if path.parts and path.parts[0].endswith(":") and len(path.parts[0]) > 2:
        raise StoreError(
            f"a URL is given as text, not as a path: {path.parts[0]}//... in quotes, without Path."
        )
