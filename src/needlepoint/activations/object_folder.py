"""A store in object storage: a prefix of a bucket, spoken to through `obstore`.

Credentials come from the environment, as the storage's own tools have them (`AWS_ACCESS_KEY_ID`
and so on), and go nowhere else: URLs with credentials are refused, and what the server says is
told in our own words, as it can hold parts of a request.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import zarr.abc.store
from typing_extensions import override
from zarr.storage import ObjectStore

from needlepoint._core.errors import SourceError, StoreBusyError, StoreError
from needlepoint.activations.lease import Lease
from needlepoint.activations.place import Place

SCHEMES = ("s3", "gs", "az", "memory")
_OURS = re.compile(r"(arrays|progress\.json|lease\.\w+)\Z")
"""What a process that was killed while it made a store can have left."""
_RETRIES = {
    "max_retries": 4,
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=5)},
    "retry_timeout": timedelta(seconds=30),
}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_MEMORY: dict[str, Any] = {}


class ObjectFolder(Place):
    """A prefix in object storage. Free space is not looked at: there is none to ask for.

    Raises:
        StoreError: If the URL cannot be used, or has credentials in it.
        SourceError: If `obstore` is not installed.
    """

    def __init__(self, url: str) -> None:
        self._obs = _obstore()
        self.scheme, self.bucket, self.prefix = _checked(url)
        with self.errors():
            self._store, self._front = self._opened()
        self._lease: Lease | None = None

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.prefix}".rstrip("/")

    def _opened(self) -> tuple[Any, str]:
        """The store, and what stands in front of each key in it."""
        if self.scheme == "memory":
            found = _MEMORY.setdefault(self.bucket, self._obs.store.MemoryStore())
            return found, f"{self.prefix}/" if self.prefix else ""
        options: dict[str, Any] = {"timeout": timedelta(minutes=5)}
        if urlsplit(os.environ.get("AWS_ENDPOINT_URL", "")).hostname in _LOOPBACK:
            options["allow_http"] = True
        made = self._obs.store.from_url(str(self), retry_config=_RETRIES, client_options=options)
        return made, ""

    @override
    def read(self, key: str) -> bytes:
        with self.errors():
            try:
                return bytes(self._obs.get(self._store, self._front + key).bytes())
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
        raise FileNotFoundError(f"{self.name(key)} is not there")

    @override
    def write(self, key: str, content: bytes) -> None:
        with self.errors():
            self._obs.put(self._store, self._front + key, content)

    def replace(self, key: str, content: bytes, version: str | None) -> str | None:
        """Write an object only if it is as it was seen last; None if it is not.

        Args:
            key: Which object.
            content: What it is to hold.
            version: What `replace` or `version` gave for it; None if it was not there.

        Returns:
            Its new version.
        """
        mode: Any = "create" if version is None else {"e_tag": version}
        refusals = (self._obs.exceptions.AlreadyExistsError, self._obs.exceptions.PreconditionError)
        with self.errors():
            try:
                done = self._obs.put(self._store, self._front + key, content, mode=mode)
            except refusals:
                return None
        return str(done["e_tag"])

    def version(self, key: str) -> tuple[str, float] | None:
        """Version of an object, and when it was written by the server's clock, in seconds."""
        with self.errors():
            try:
                found = self._obs.head(self._store, self._front + key)
            except FileNotFoundError:
                return None
        return str(found["e_tag"]), found["last_modified"].timestamp()

    @override
    def size(self, key: str) -> int | None:
        with self.errors():
            try:
                return int(self._obs.head(self._store, self._front + key)["size"])
            except FileNotFoundError:
                return None

    @override
    def names(self, key: str) -> list[str]:
        front = f"{self._front}{key}".rstrip("/")
        with self.errors():
            found = self._obs.list_with_delimiter(self._store, front or None)
        paths = [*found["common_prefixes"], *(one["path"] for one in found["objects"])]
        return sorted(path.rstrip("/").rpartition("/")[2] for path in paths)

    @override
    def remove(self, key: str) -> None:
        with self.errors():
            front = self._front + key
            below = [one["path"] for some in self._obs.list(self._store, front) for one in some]
            self._obs.delete(self._store, below or [front])

    def settle(self, key: str) -> None:
        """Nothing is waited for: an object that was taken is kept."""

    @override
    def zarr(self, *, read_only: bool) -> tuple[zarr.abc.store.Store, str]:
        return ObjectStore(self._store, read_only=read_only), self._front

    @contextmanager
    def building(self) -> Iterator[Path]:
        """A local folder whose files are sent when the block succeeds, the header last of all."""
        foreign = [name for name in self.names("") if not _OURS.match(name)]
        if foreign:
            raise StoreError(
                f"{self} is not an activation store and is not empty ({foreign[0]}); choose "
                "another prefix."
            )
        folder = Path(tempfile.mkdtemp(prefix="needlepoint-"))
        try:
            yield folder
            files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
            for path in sorted(files, key=lambda path: path.name == "header.json"):
                self.confirm()
                self.write(path.relative_to(folder).as_posix(), path.read_bytes())
        finally:
            shutil.rmtree(folder)

    def clear_leftovers(self) -> None:
        """Nothing is left in passing: an object that was not sent whole is not there."""

    @override
    @contextmanager
    def lock(self, patience: float = 0.0) -> Iterator[None]:
        end = time.monotonic() + patience
        lease = Lease(self)
        while True:
            try:
                lease.take()
                break
            except StoreBusyError:
                if time.monotonic() >= end:
                    raise
                time.sleep(min(0.5, patience))
        self._lease = lease
        try:
            yield
        finally:
            self._lease = None
            lease.give_back()

    @override
    def confirm(self) -> None:
        if self._lease is not None:
            self._lease.renew()

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what the server or the way to it says into one sentence.

        What was said is not kept, not even as the cause: it can hold parts of a signed request.
        """
        known = (self._obs.exceptions.BaseError, FileNotFoundError)
        try:
            yield
        except known as error:
            raise StoreError(self._sentence(error)) from None

    def _sentence(self, error: Exception) -> str:
        said, kinds = str(error), self._obs.exceptions
        server = _server()
        if "NoSuchBucket" in said:
            return f"there is no bucket {self.bucket!r}{server}; make it, or check the name."
        if "169.254.169.254" in said or "metadata.google.internal" in said:
            return (
                f"no credentials were found for {self}; set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or what your object storage takes in their place."
            )
        refused = (kinds.PermissionDeniedError, kinds.UnauthenticatedError)
        if isinstance(error, refused) or "403 Forbidden" in said or "401 Unauthorized" in said:
            return (
                f"the object storage{server} refuses {self}; check the credentials in the "
                "environment (AWS_ACCESS_KEY_ID, ...) and what they permit."
            )
        if isinstance(error, kinds.NotSupportedError) or "501 Not Implemented" in said:
            return (
                f"the object storage{server} has no conditional writes, without which {self} "
                "could have two writers; use another one, or a folder."
            )
        if "HTTP error" in said or "error sending request" in said:
            return (
                f"no object storage answers{server} for {self}; check the network and "
                "AWS_ENDPOINT_URL."
            )
        if isinstance(error, FileNotFoundError):
            return f"an object of {self} is not there any more; call verify() on the store."
        return (
            f"{self} cannot be used ({type(error).__name__}); check the URL, the settings of the "
            "object storage in the environment, and its own log."
        )


def local_path(url: str) -> Path | None:
    """The folder that a `file://` URL names; None for any other."""
    parts = _split(url)
    if parts.scheme != "file":
        return None
    if parts.netloc not in ("", "localhost"):
        raise StoreError("a file:// URL has three slashes and names a folder of this machine.")
    return Path(unquote(parts.path))


def _checked(url: str) -> tuple[str, str, str]:
    """Scheme, bucket and prefix of a URL that has no credentials in it."""
    parts = _split(url)
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise StoreError(
            "the URL of a store has no place for credentials, '?' or '#'; leave them out, and put "
            "credentials into the environment (AWS_ACCESS_KEY_ID, ...)."
        )
    if parts.scheme not in SCHEMES or not parts.netloc:
        kinds = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise StoreError(
            f"a store in object storage is named by {kinds} and bucket/prefix, as in "
            "s3://bucket/prefix; or give a folder."
        )
    prefix = parts.path.strip("/")
    pieces = prefix.split("/") if prefix else []
    if not prefix.isprintable() or "%" in prefix or any(one in ("", ".", "..") for one in pieces):
        raise StoreError("the prefix of a store is names with '/' between, as in runs/my-store.")
    return parts.scheme, parts.netloc, prefix


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        raise StoreError("the URL of a store cannot be read; write s3://bucket/prefix.") from None


def _server() -> str:
    """Where the server is, as far as the environment says it; without credentials."""
    parts = urlsplit(os.environ.get("AWS_ENDPOINT_URL", ""))
    if not parts.hostname:
        return ""
    port = f":{parts.port}" if parts.port else ""
    return f" at {parts.scheme}://{parts.hostname}{port}"


def _obstore() -> Any:
    try:
        import obstore
        import obstore.store
    except ImportError as error:
        raise SourceError(
            "stores in object storage take obstore, which is not installed: "
            "pip install 'needlepoint[s3]', or extract into a folder."
        ) from error
    return obstore
