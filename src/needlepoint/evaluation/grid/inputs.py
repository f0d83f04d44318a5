"""What a grid reads from outside: models and data files, each with the hash of its content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from needlepoint._core.errors import DataError, StoreError
from needlepoint._core.files import sha256_file
from needlepoint.evaluation.grid.config import GridConfig
from needlepoint.models.packaged import PACKAGED

_WEIGHTS_AND_WORDS = (".safetensors", ".pth", ".pt", ".json", ".model", ".txt")
"""Endings of the files of a model's folder on which its numbers depend."""


@dataclass(frozen=True)
class Input:
    """One model or file, as the config names it."""

    path: str
    """Where it lies on this disk, whole; empty for a name that is looked up elsewhere."""
    sha256: str
    """Hash of its content; empty for a model of the hub until it has been loaded."""


@dataclass(frozen=True)
class Inputs:
    """Everything that the results of a grid depend on besides its config."""

    models: Mapping[str, Input] = field(default_factory=dict)
    data: Mapping[str, Input] = field(default_factory=dict)
    """Files and folders of tasks, features and sources; what is built in is not among them."""
    version: str = ""
    """Of needlepoint: it brings the data that are built in, and the methods."""

    @classmethod
    def of(cls, config: GridConfig) -> Inputs:
        """What lies on the disk now.

        Raises:
            DataError: If a file cannot be read.
        """
        data = {name: Input(str(path.resolve()), _hash(path)) for name, path in _data(config)}
        models = {name: _model(name) for name in config.models}
        return cls(models, data, version("needlepoint"))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Inputs:
        """Read back what `to_json` wrote."""
        models, data = (
            {name: Input(**one) for name, one in values[part].items()}
            for part in ("models", "data")
        )
        return cls(models, data, values["version"])

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def found(self) -> Inputs:
        """The same inputs where they lie now: as before, or from the folder one stands in.

        Raises:
            StoreError: If one is gone, or its content is not what it was, or another version of
                needlepoint would read it. The message names it and the way out.
        """
        if self.version != version("needlepoint"):
            raise StoreError(
                f"the run was begun with needlepoint {self.version} and this is "
                f"{version('needlepoint')}, whose numbers may differ: install that version, or "
                "start a new run."
            )
        models = {name: _found(name, one, "model") for name, one in self.models.items()}
        data = {name: _found(name, one, "data") for name, one in self.data.items()}
        return Inputs(models, data, self.version)

    def where(self, name: str) -> str:
        """What a question or a source is to be loaded from."""
        return self.data[name].path if name in self.data else name


def _data(config: GridConfig) -> Iterator[tuple[str, Path]]:
    from needlepoint.features import COLLECTIONS
    from needlepoint.tasks import TASKS

    for names, built_in in ((config.tasks, TASKS), (config.features, COLLECTIONS)):
        for name in names:
            if name not in built_in and Path(name).exists():
                yield name, Path(name)
    source = config.neurons.source
    if source not in ("", "packages", "hub") and Path(source).exists():
        yield source, Path(source)


def _model(name: str) -> Input:
    if name in PACKAGED:
        return Input("", PACKAGED[name].sha256)
    path = Path(name)
    return Input(str(path.resolve()), _hash(path)) if path.exists() else Input("", "")


def _found(name: str, before: Input, kind: str) -> Input:
    """An input that is still what it was."""
    if not before.path:
        return before
    there = [path for path in (Path(before.path), Path(name)) if path.exists()]
    if not there:
        raise StoreError(
            f"the {kind} {name} is not there any more: put it back at {before.path}, or go on from "
            "the folder where the run was begun."
        )
    for path in there:
        if _hash(path) == before.sha256:
            return Input(str(path.resolve()), before.sha256)
    raise StoreError(
        f"the {kind} {name} has changed since the run was begun: put back the one whose hash is "
        f"{before.sha256[:16]}, or start a new run."
    )


def _hash(path: Path) -> str:
    """Hash of a file, or of a folder's files and their names."""
    try:
        if path.is_file():
            return sha256_file(path)
        model = (path / "config.json").is_file()
        inside = sorted(one for one in path.rglob("*") if one.is_file())
        digest = hashlib.sha256()
        for one in inside:
            if not model or one.suffix in _WEIGHTS_AND_WORDS:
                digest.update(f"{one.relative_to(path).as_posix()} {sha256_file(one)}\n".encode())
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error
    return digest.hexdigest()
