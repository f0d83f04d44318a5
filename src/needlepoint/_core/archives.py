"""Members of zip, tar and Debian archives, read one after the other and never put on disk."""

from __future__ import annotations

import lzma
import shutil
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from needlepoint._core.errors import SourceError

MAX_BYTES = 300_000


def members(
    archive: Path, wanted: Callable[[str], bool], *, max_bytes: int = MAX_BYTES
) -> Iterator[tuple[str, bytes]]:
    """Name and content of the wanted files of an archive: wheel, source, npm or Debian package.

    Links, folders and files of more than `max_bytes` are passed over. Names are as the archive
    has them, in its order; `./` in front is left out.

    Raises:
        SourceError: If the archive is damaged, or is a Debian package and `dpkg-deb` is missing.
    """
    try:
        if zipfile.is_zipfile(archive):
            yield from _of_zip(archive, wanted, max_bytes)
        else:
            with _opened_tar(archive) as tar:
                yield from _of_tar(tar, wanted, max_bytes)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError) as error:
        raise _damaged(archive, error) from error
    except OSError as error:
        raise _damaged(archive, error) from error


def _of_zip(
    archive: Path, wanted: Callable[[str], bool], max_bytes: int
) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            if not info.is_dir() and info.file_size <= max_bytes and wanted(info.filename):
                yield info.filename, opened.read(info)


def _of_tar(
    tar: tarfile.TarFile, wanted: Callable[[str], bool], max_bytes: int
) -> Iterator[tuple[str, bytes]]:
    for member in tar:
        name = member.name.removeprefix("./")
        if member.isfile() and member.size <= max_bytes and wanted(name):
            handle = tar.extractfile(member)
            yield name, handle.read() if handle else b""


@contextmanager
def _opened_tar(archive: Path) -> Iterator[tarfile.TarFile]:
    if archive.suffix != ".deb":
        with tarfile.open(archive) as tar:
            yield tar
        return
    if shutil.which("dpkg-deb") is None:
        raise SourceError(f"{archive} is a Debian package, read with dpkg-deb, which is not here.")
    command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as unpacking:
        try:
            with tarfile.open(fileobj=unpacking.stdout, mode="r|") as tar:
                yield tar
        finally:
            unpacking.kill()


def _damaged(archive: Path, error: Exception) -> SourceError:
    reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(":- ")
    return SourceError(f"{archive} is damaged ({reason}); remove it and try again.")
