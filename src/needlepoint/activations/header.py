"""What an activation store is made of: the request, its content key, and the header on disk."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from needlepoint._core.errors import DataError, StoreError, unknown_name
from needlepoint._core.files import cache_dir, write_text
from needlepoint._core.provenance import now, versions
from needlepoint.activations.place import LocalFolder, Place, place_of

SCHEMA = 1
DTYPES = ("float32", "float16", "bfloat16")
Setting = str | int | float | bool | None
_SITE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.\-]*[A-Za-z0-9_\-])?\Z")


@dataclass(frozen=True)
class Request:
    """Everything that the stored numbers depend on, and nothing else.

    Two requests that are equal have the same `key`, and therefore share one store; whatever
    could change a number (the precision that the model ran in, the length of a window) has to be
    in `settings`. Not a plan: how the rows are cut into files does not change a number.

    Raises:
        StoreError: If a site cannot be the name of a folder.
        DataError: If there are no sites or no rows, or a setting is not a plain finite value.
        UnknownNameError: If `dtype` is not one of `float32`, `float16` and `bfloat16`.

    Example:
        >>> made_of = dict(model="gpt2", model_sha256="ab", data_sha256="cd", reduce="last")
        >>> ask = Request(widths={"L0.resid": 4, "L1.resid": 4}, rows=10, **made_of)
        >>> same = Request(widths={"L1.resid": 4, "L0.resid": 4}, rows=10, **made_of)
        >>> ask.key == same.key, ask.key == Request(widths={"L0.resid": 4}, rows=10, **made_of).key
        (True, False)
    """

    model: str
    """Name of the model, for the reader."""
    model_sha256: str
    """Hash of the weights."""
    data_sha256: str
    """Hash of the token ids, in the order of the rows."""
    widths: Mapping[str, int]
    """Length of one activation vector at each site."""
    rows: int
    """How many rows each site will have when complete."""
    reduce: str
    """How the positions of an example became one row: `last`, `mean`, ..., `all`."""
    dtype: str = "float32"
    """How numbers are kept; `float16` and `bfloat16` halve the store and round."""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    """Anything else that the numbers depend on."""

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise unknown_name("dtype", self.dtype, DTYPES)
        if not self.widths:
            raise DataError("a request needs at least one site; name one, such as L3.mlp.neurons.")
        for site, width in self.widths.items():
            check_site(site)
            if width < 1:
                raise DataError(f"site {site} has width {width}; it must be at least 1.")
        if len({site.casefold() for site in self.widths}) < len(self.widths):
            raise StoreError("two sites differ only in capitals; some disks cannot tell them apart")
        if self.rows < 1:
            raise DataError(f"a request needs at least one row, not {self.rows}.")
        _ = self.key

    @property
    def key(self) -> str:
        """The content key: sha256 of the request as canonical JSON, 64 hexadecimal digits."""
        return _digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """The request as plain JSON values."""
        return {**vars(self), "widths": dict(self.widths), "settings": dict(self.settings)}

    def differences(self, other: Request) -> str:
        """In words, what `other` asks for that this request does not."""
        mine, theirs = self.to_json(), other.to_json()
        return ", ".join(
            f"{k} {mine[k]!r}, not {theirs[k]!r}" for k in mine if mine[k] != theirs[k]
        )


def check_site(site: str) -> None:
    """Refuse a name that would leave the store's folder or hide one of its files.

    Raises:
        StoreError: If it is anything but letters, digits, `.`, `-` and `_`, or is too long.

    Example:
        >>> check_site("L3.mlp.neurons")
        >>> check_site("../L3")
        Traceback (most recent call last):
        needlepoint._core.errors.StoreError: '../L3' cannot name a site in a store: use ...
    """
    if not _SITE.match(site) or ".." in site or site == "zarr.json" or len(site) > 200:
        raise StoreError(
            f"{site!r} cannot name a site in a store: use at most 200 letters, digits, '.', '-' "
            "and '_', beginning with a letter or digit, as in L3.mlp.neurons."
        )


@dataclass(frozen=True)
class Header:
    """The contents of `header.json`, written once, before the first row."""

    request: Request
    block_rows: int
    """Rows that are committed together; each site keeps them in one shard file."""
    arrays: Mapping[str, Mapping[str, Any]]
    """A copy of each site's `zarr.json`, to check it and to restore it."""
    needlepoint: str
    """Version that wrote the store."""
    created: str
    """Time in UTC."""

    @classmethod
    def new(
        cls, request: Request, block_rows: int, arrays: Mapping[str, Mapping[str, Any]]
    ) -> Header:
        """The header of a store made now, by this version."""
        return cls(request, block_rows, arrays, versions().get("needlepoint", "unknown"), now())

    def write(self, folder: Path) -> None:
        """Write `header.json`, with a checksum of itself in it."""
        values = {
            "schema": SCHEMA,
            "key": self.request.key,
            **vars(self),
            "request": self.request.to_json(),
            "arrays": dict(self.arrays),
        }
        values["sha256"] = _digest(values)
        write_text(folder / "header.json", json.dumps(values, indent=1) + "\n")

    @classmethod
    def read(cls, where: Place | Path | str) -> Header:
        """Read `header.json`.

        Raises:
            StoreError: If there is none, another schema version wrote it, or it is damaged.
        """
        place = place_of(where)
        try:
            place.read("header.json")
        except FileNotFoundError as error:
            raise StoreError(
                f"{place} is not an activation store: it has no header.json. "
                "Check the path, or extract into a new or empty folder."
            ) from error
        except OSError:
            pass  # what is wrong with it is said below
        values = read_json(place, "header.json")
        _check_schema(place, values)
        if values.pop("sha256", None) != _digest(values):
            raise StoreError(
                f"{place.name('header.json')} is damaged: it does not match its own checksum. "
                f"Remove {place} and extract again."
            )
        return cls._of(place, values)

    @classmethod
    def _of(cls, place: Place, values: Mapping[str, Any]) -> Header:
        """The header that values with a right checksum describe, if they are its own."""
        values = {name: value for name, value in values.items() if name not in ("schema", "key")}
        try:
            header = cls(**{**values, "request": Request(**values["request"])})
            sound = header.block_rows >= 1 and set(header.arrays) == set(header.request.widths)
        except (TypeError, ValueError, AttributeError, KeyError):
            sound = False
        if not sound:
            raise StoreError(
                f"{place.name('header.json')} is not as needlepoint writes it; "
                f"remove {place} and extract again."
            )
        return header


def default_place(request: Request) -> Place:
    """Where the store of a request lives when no place is given: named by its key.

    `NEEDLEPOINT_STORE`, a folder or a URL such as `s3://bucket/prefix`, says where such stores
    are; otherwise they are in the cache.
    """
    chosen = os.environ.get("NEEDLEPOINT_STORE")
    if chosen:
        return place_of(f"{chosen.rstrip('/')}/{request.key}")
    return LocalFolder(cache_dir() / "activations" / request.key)


def read_json(place: Place, key: str) -> dict[str, Any]:
    """One JSON object from a file of a store.

    Raises:
        StoreError: If the file is missing, is not JSON, or holds something else.
    """
    name = place.name(key)
    try:
        value = json.loads(place.read(key).decode())
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{name} is missing or damaged ({error}).") from error
    if not isinstance(value, dict):
        raise StoreError(f"{name} is damaged: it should hold one JSON object.")
    return value


def _check_schema(place: Place, values: Mapping[str, Any]) -> None:
    schema, version = values.get("schema"), values.get("needlepoint", "unknown")
    if schema != SCHEMA:
        raise StoreError(
            f"{place} was written by needlepoint {version} with store schema {schema!r}; this "
            f"version reads schema {SCHEMA}. Open it with needlepoint {version}, or remove the "
            "folder and extract again."
        )


def _digest(values: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"the settings of a request must be text, finite numbers, true, false or null: {error}"
        ) from error
    return hashlib.sha256(text.encode()).hexdigest()
