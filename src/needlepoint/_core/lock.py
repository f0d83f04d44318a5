"""One process writes to a run folder; any other is told which one it is."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from needlepoint._core.errors import StoreError
from needlepoint._core.provenance import now

LOCK, HOLDER = ".lock", ".lock.json"
LOCK_FILES = (LOCK, HOLDER)
"""Files by which a process holds a folder. They are of no use to anyone when it has ended."""
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Be the only process that writes to a folder, as long as the block lasts.

    The lock ends with the process, however that ends. It holds on one machine, and on a shared
    disk as far as the disk has locks.

    Raises:
        StoreError: If another process writes to it, with what is known of that one; or if the
            folder cannot be written to.
    """
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
        (folder / HOLDER).write_text(json.dumps(_myself()), encoding="utf-8")
    except Timeout as error:
        raise StoreError(
            f"{folder} is being written by {holder(folder) or 'another process'}; wait until that "
            "has ended, or use another folder."
        ) from error
    except OSError as error:
        lock.release()
        if error.errno not in _READ_ONLY:
            raise
        raise StoreError(
            f"{folder} cannot be written to ({error.strerror}); change its permissions, or copy "
            "the run to a folder of your own and go on there."
        ) from error
    try:
        yield
    finally:
        (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


def holder(folder: Path) -> str:
    """Who said to be writing to a folder, in words; empty if nobody did."""
    try:
        who = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return f"process {who['process']} on {who['machine']} since {who['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def is_held(folder: Path) -> bool:
    """Whether a process of this machine writes to the folder now; nothing is waited for."""
    if not (folder / LOCK).exists():
        return False
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False


def _myself() -> dict[str, str | int]:
    return {"process": os.getpid(), "machine": socket.gethostname(), "since": now()}
