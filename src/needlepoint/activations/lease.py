"""The right to write to a store in object storage, which has no locks: a lease that runs out.

`lease.json` says who writes. It is taken, renewed and given back by writes that the server makes
only if the object is as it was seen last, so that of several who try at once one succeeds. Its
holder renews it every few seconds. A process that was killed does not, and when the server's clock
says that the last renewal is too long ago, another may take over. Clocks of machines play no part.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from typing import Any, Protocol, runtime_checkable
from uuid import uuid4

from needlepoint._core.errors import StoreBusyError, StoreError
from needlepoint._core.provenance import now

SECONDS = 60.0
"""A lease that was not renewed for so long may be taken over."""
KEY = "lease.json"


@runtime_checkable
class Versioned(Protocol):
    """Objects that are written only if they are as they were seen last."""

    def read(self, key: str) -> bytes:
        """Content of an object."""
        ...

    def write(self, key: str, content: bytes) -> None:
        """Write an object."""
        ...

    def replace(self, key: str, content: bytes, version: str | None) -> str | None:
        """Write an object of a known version; None if it has another one by now."""
        ...

    def version(self, key: str) -> tuple[str, float] | None:
        """Version of an object, and when it was written by the server's clock."""
        ...

    def remove(self, key: str) -> None:
        """Remove an object."""
        ...


class Lease:
    """The lease of one writer of one place.

    Args:
        place: Where the lease lies.
        seconds: How long it lasts without being renewed; `SECONDS` by default.
    """

    def __init__(self, place: Versioned, seconds: float | None = None) -> None:
        self.place, self.seconds = place, SECONDS if seconds is None else seconds
        self._token, self._beat = uuid4().hex, 0
        self._version: str | None = None
        self._guard, self._ended = threading.Lock(), threading.Event()
        self._renewed = 0.0

    def take(self) -> None:
        """Become the only writer, and stay it until `give_back`.

        Raises:
            StoreBusyError: If someone else is; the message says who, and until when at most.
        """
        seen = self.place.version(KEY)
        if seen is not None:
            self._check_free(*seen)
        self._renewed = time.monotonic()
        self._version = self._written(seen[0] if seen else None)
        if self._version is None:
            raise StoreBusyError(f"{self.place} has just been taken by another writer; wait.")
        threading.Thread(target=self._keep, name="lease", daemon=True).start()

    def renew(self) -> None:
        """Say that the writer is alive.

        Raises:
            StoreBusyError: If another one has taken over, as this one was silent for too long.
            StoreError: If the server cannot be reached.
        """
        with self._guard:
            before = time.monotonic()
            if self._version is not None:
                self._beat += 1
                self._version = self._written(self._version)
            if self._version is None:
                raise StoreBusyError(
                    f"another writer has taken over {self.place}, as nothing was heard of this one "
                    f"for {self.seconds:.0f} seconds; wait until it ends. What was committed stays."
                )
            self._renewed = before

    def give_back(self) -> None:
        """Let the next writer in at once."""
        self._ended.set()
        with self._guard:
            if self._version is not None:
                try:
                    self.place.replace(KEY, b'{"free": true}\n', self._version)
                except StoreError:
                    return  # it runs out by itself

    def _keep(self) -> None:
        """Renew the lease until it ends or is lost; a server that is away is asked again."""
        while not self._ended.wait(self.seconds / 3):
            try:
                self.renew()
            except StoreBusyError:
                return
            except StoreError:
                continue

    def _written(self, before: str | None) -> str | None:
        """The lease's new version; None if someone else has written it since `before`.

        A write whose answer was lost is made again, and then refused for its own sake.
        """
        version = self.place.replace(KEY, self._content(), before)
        if version is None:
            found, seen = self.place.version(KEY), self._read()
            mine = (seen.get("token"), seen.get("beat")) == (self._token, self._beat)
            version = found[0] if found and mine else None
        return version

    def _content(self) -> bytes:
        who = f"process {os.getpid()} on {socket.gethostname()}"
        values = {"writer": who, "token": self._token, "beat": self._beat, "time": now()}
        return (json.dumps({**values, "seconds": self.seconds}) + "\n").encode()

    def _check_free(self, version: str, written: float) -> None:
        """Refuse a lease that another one holds."""
        values = self._read()
        if values.get("free") is True:
            return
        lasts = values.get("seconds")
        lasts = float(lasts) if isinstance(lasts, int | float) and 0 < lasts < 86400 else SECONDS
        left = written + lasts - self._server_time()
        if left >= 0:
            who = values.get("writer")
            raise StoreBusyError(
                f"{self.place} is being written by "
                f"{who if isinstance(who, str) else 'another process'}; wait until it ends, or, if "
                f"it was killed, {max(1, round(left))} seconds, or extract to another place."
            )

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self.place.read(KEY))
        except (FileNotFoundError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def _server_time(self) -> float:
        """The time by the server's clock, in seconds: when it says that an object was written."""
        key = f"lease.{self._token}"
        self.place.write(key, b"")
        found = self.place.version(key)
        self.place.remove(key)
        if found is None:
            raise StoreError(f"{self.place} loses objects that it has taken; use another storage.")
        return found[1]
