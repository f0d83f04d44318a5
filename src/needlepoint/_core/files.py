"""Files that are whole or absent: atomic writes, content hashes, the cache folder."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from needlepoint._core.errors import StorageFullError


def cache_dir() -> Path:
    """Folder for downloads, converted models and activation stores.

    `NEEDLEPOINT_CACHE` overrides the platform's usual place.
    """
    path = Path(os.environ.get("NEEDLEPOINT_CACHE") or platformdirs.user_cache_dir("needlepoint"))
    path.mkdir(parents=True, exist_ok=True)
    return path


def sha256_file(path: Path) -> str:
    """Content hash of a file, as 64 hexadecimal digits."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn "no space left" into one sentence that names the folder."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFullError(
                f"no space left while writing {path}; nothing half-written was kept. "
                "Free some space, or point NEEDLEPOINT_CACHE or --out at another disk."
            ) from error
        raise


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` that replaces it only if the block succeeds.

    Works for a file or for a folder (make the folder yourself). Whatever goes wrong, the
    temporary is removed and what stood at `path` before still stands.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        holder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    temporary = holder / path.name
    try:
        with storage_errors(path):
            yield temporary
            if temporary.is_dir() and path.is_dir():
                shutil.rmtree(path)
            os.replace(temporary, path)
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file that is either wholly there or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
