"""Members of zip, tar and Debian archives, read one after the other and never put on disk."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from needlepoint._core.errors import SourceError

MAX_BYTES = 300_000
MOST_UNPACKED = 8 * 2**30
"""An archive that unpacks to more bytes is none of those that are used here."""
MOST_AT_ONCE = 512 * 2**20
"""Most bytes of a tar archive that are held at once; a header can claim any length."""
_PACKED = ((b"\x1f\x8b", gzip.GzipFile), (b"BZh", bz2.BZ2File), (b"\xfd7zXZ", lzma.LZMAFile))
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    OSError,
    EOFError,
    RuntimeError,  # a member that is encrypted, or packed in a way that Python does not know
    ValueError,
)


def members(
    archive: Path, wanted: Callable[[str], bool], *, max_bytes: int = MAX_BYTES
) -> Iterator[tuple[str, bytes]]:
    """Name and content of the wanted files of an archive: wheel, source, npm or Debian package.

    Links, folders and files of more than `max_bytes` are passed over. Names are as the archive
    has them, in its order; `./` in front is left out. They are names and no paths: what is done
    with them is the caller's business.

    Raises:
        SourceError: If the archive is damaged, or is a Debian package and `dpkg-deb` is missing.
    """
    try:
        if zipfile.is_zipfile(archive):
            yield from _of_zip(archive, wanted, max_bytes)
        else:
            with _opened_tar(archive) as tar:
                yield from _of_tar(tar, wanted, max_bytes)
    except _DAMAGE as error:
        raise _damaged(archive, error) from error


def _of_zip(
    archive: Path, wanted: Callable[[str], bool], max_bytes: int
) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            if not info.is_dir() and info.file_size <= max_bytes and wanted(info.filename):
                # a plain read() unpacks all that there is, whatever size was said
                with opened.open(info) as member:
                    yield info.filename, member.read(info.file_size + 1)


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
        with _unpacked(archive) as stream, _tar_of(stream) as tar:
            yield tar
        return
    if shutil.which("dpkg-deb") is None:
        raise SourceError(f"{archive} is a Debian package, read with dpkg-deb, which is not here.")
    command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as unpacking:
        try:
            with _tar_of(cast(io.BufferedIOBase, unpacking.stdout)) as tar:
                yield tar
        finally:
            unpacking.kill()


def _tar_of(stream: io.BufferedIOBase) -> tarfile.TarFile:
    # tarfile reads, seeks forward and tells, which is all that the stream can do
    return tarfile.open(fileobj=_Bounded(stream), mode="r:")  # type: ignore[call-overload,no-any-return]


def _unpacked(archive: Path) -> io.BufferedIOBase:
    with archive.open("rb") as handle:
        begin = handle.read(6)
    for mark, opened in _PACKED:
        if begin.startswith(mark):
            return opened(archive)
    return archive.open("rb")


class _Bounded:
    """A stream that is read forward only, and neither for ever nor in one gulp.

    A few kilobytes can unpack to any length, and a tar archive says itself how much of it is to be
    read as the header of a file.
    """

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream, self._at = stream, 0

    def read(self, size: int) -> bytes:
        if size > MOST_AT_ONCE or self._at + size > MOST_UNPACKED:
            raise tarfile.ReadError("it claims to be larger than any archive that is used here")
        found = self._stream.read(size)
        self._at += len(found)
        return found

    def seek(self, place: int) -> None:
        if place < self._at or place > MOST_UNPACKED:
            raise tarfile.ReadError("it claims to be larger than any archive that is used here")
        while self._at < place and self.read(min(2**20, place - self._at)):
            pass

    def tell(self) -> int:
        return self._at


def _damaged(archive: Path, error: Exception) -> SourceError:
    reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(":- ")
    return SourceError(f"{archive} is damaged ({reason}); remove it and try again.")
