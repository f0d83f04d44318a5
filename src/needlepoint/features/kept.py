"""Raw records kept in the cache, so that packages are read once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from needlepoint._core.files import atomic_path, cache_dir, sha256_file
from needlepoint._core.packages import Package


def kept_records(
    name: str,
    *,
    version: int,
    packages: Sequence[Package] = (),
    files: Sequence[Path] = (),
    make: Callable[[], pd.DataFrame],
) -> pd.DataFrame:
    """The records of a source, made on the first call and read from a Parquet file afterwards.

    The file is named by the version and by the hashes of the packages and files: other content
    is another file. A damaged one is made again.

    Args:
        name: Name of the records, which the file bears too.
        version: Raise it whenever other records would come out of the same packages.
        packages: Packages that the records are made from.
        files: Files on this machine that they are made from.
        make: Makes them; its columns hold text, numbers or lists of these.

    Raises:
        SourceError: If a package cannot be had.
    """
    key = hashlib.sha256(str(version).encode())
    for package in packages:
        key.update(package.sha256.encode())
    for file in files:
        key.update(f"{file.name} {sha256_file(file)}".encode())
    path = cache_dir() / "features" / f"{name}-{key.hexdigest()[:16]}.parquet"
    if path.exists():
        try:
            return pd.read_parquet(path)
        except (OSError, ValueError):
            path.unlink()  # damaged: made again below
    found = make()
    with atomic_path(path) as temporary:
        found.to_parquet(temporary, index=False)
    return found
