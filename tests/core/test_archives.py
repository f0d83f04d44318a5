"""Archives are read member by member; nothing is written, nothing outside them is read."""

from __future__ import annotations

import contextlib
import gzip
import io
import shutil
import struct
import subprocess
import tarfile
import time
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from needlepoint._core import archives
from needlepoint._core.archives import MAX_BYTES, members
from needlepoint._core.errors import SourceError

CONTENT = {"p/a.txt": b"one", "p/b.txt": b"two" * 100, "p/deep/c.md": b""}

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not here")


def any_name(_name: str) -> bool:
    return True


def tar_of(path: Path, files: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            for name, target in (links or {}).items():
                link = tarfile.TarInfo(f"{name}{kind.decode()}")
                link.type, link.linkname = kind, target
                archive.addfile(link)
        folder = tarfile.TarInfo("p/folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    return path


def zip_of(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("p/folder")
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def deb_of(folder: Path, files: dict[str, bytes]) -> Path:
    root = folder / "root"
    (root / "DEBIAN").mkdir(parents=True)
    control = "Package: p\nVersion: 1\nArchitecture: all\nMaintainer: M <m@example.org>\n"
    (root / "DEBIAN" / "control").write_text(f"{control}Description: small\n")
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    command = ["dpkg-deb", "--root-owner-group", "--build", str(root), str(folder / "p-1.deb")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "p-1.deb"


def test_a_zip_and_a_tar_give_the_same_files_and_no_folders(tmp_path):
    zipped = zip_of(tmp_path / "p.wheel", CONTENT)
    tarred = tar_of(tmp_path / "p.npm", CONTENT)
    assert dict(members(zipped, any_name)) == CONTENT
    assert dict(members(tarred, any_name)) == CONTENT


@needs_dpkg
def test_a_debian_package_gives_the_same_files_without_the_dot_in_front(tmp_path):
    assert dict(members(deb_of(tmp_path, CONTENT), any_name)) == CONTENT


@needs_dpkg
def test_a_debian_package_may_be_left_in_the_middle(tmp_path):
    files = {f"p/{i}.txt": b"x" * 50_000 for i in range(60)}
    found = members(deb_of(tmp_path, files), any_name)
    name, content = next(found)
    assert content == files[name]
    found.close()


def test_only_what_is_wanted_and_small_enough_is_read(tmp_path):
    for archive in (zip_of(tmp_path / "p.wheel", CONTENT), tar_of(tmp_path / "p.sdist", CONTENT)):
        assert [name for name, _ in members(archive, lambda name: name.endswith(".md"))] == [
            "p/deep/c.md"
        ]
        small = [name for name, _ in members(archive, any_name, max_bytes=299)]
        assert small == ["p/a.txt", "p/deep/c.md"]
        assert len(list(members(archive, any_name, max_bytes=300))) == 3
    huge = zip_of(tmp_path / "q.wheel", {"huge": b"0" * (MAX_BYTES + 1)})
    assert list(members(huge, any_name)) == []


def test_links_and_names_that_lead_out_touch_nothing_outside(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("unread")
    inner = tmp_path / "inner"
    inner.mkdir()
    links = {"p/link": str(secret), "p/up": "../../secret", "p/other": "p/a.txt"}
    files = {"../outside.txt": b"planted", "/absolute.txt": b"planted", "./p/here.txt": b"here"}
    archive = tar_of(inner / "p.npm", files, links)
    found = dict(members(archive, any_name))
    assert found.pop("p/here.txt") == b"here"
    assert set(found.values()) == {b"planted"}, "names are told, links are passed over"
    assert list(inner.iterdir()) == [archive]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inner", "secret"]
    assert not Path("/absolute.txt").exists()


@pytest.mark.parametrize("kind", ["wheel", "npm"])
def test_a_damaged_archive_is_named(tmp_path, kind):
    make = zip_of if kind == "wheel" else tar_of
    files = {f"p/{i}.txt": bytes(range(256)) * (i + 1) for i in range(50)}
    whole = make(tmp_path / f"p.{kind}", files)
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(SourceError, match=rf"p\.{kind} is damaged .*remove it and try again"):
        list(members(whole, any_name))
    whole.write_bytes(b"nothing of the kind")
    with pytest.raises(SourceError, match="is damaged") as caught:
        list(members(whole, any_name))
    assert "\n" not in str(caught.value)


def test_a_byte_changed_inside_a_zip_is_noticed(tmp_path):
    archive = zip_of(tmp_path / "p.wheel", {"p/a.bin": bytes(range(256)) * 8})
    content = bytearray(archive.read_bytes())
    content[120] ^= 0xFF
    archive.write_bytes(bytes(content))
    with pytest.raises(SourceError, match=r"p\.wheel is damaged"):
        list(members(archive, any_name))


@needs_dpkg
def test_a_damaged_debian_package_is_named(tmp_path):
    whole = deb_of(tmp_path, {f"p/{i}.txt": bytes(range(256)) * 40 for i in range(30)})
    whole.write_bytes(whole.read_bytes()[:200])
    with pytest.raises(SourceError, match=r"p-1\.deb is damaged"):
        list(members(whole, any_name))


def test_without_dpkg_the_message_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "p-1.deb").write_bytes(b"!<arch>\n")
    with pytest.raises(SourceError, match="read with dpkg-deb, which is not here"):
        list(members(tmp_path / "p-1.deb", any_name))


def test_a_missing_archive_is_said(tmp_path):
    with pytest.raises(SourceError, match=r"none\.sdist is damaged"):
        list(members(tmp_path / "none.sdist", any_name))


def gzipped(path: Path, parts) -> Path:
    with gzip.open(path, "wb", compresslevel=1) as packed:
        for part in parts:
            packed.write(part)
    return path


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("size", [2**40, 2**62])
def test_a_tar_that_claims_to_be_huge_is_refused_at_once(tmp_path, size):
    packed = gzipped(tmp_path / "p.npm", [header("p/huge", size), bytes(4096)])
    start = time.monotonic()
    with pytest.raises(SourceError, match=r"p\.npm is damaged .*larger than any archive"):
        list(members(packed, any_name))
    assert time.monotonic() - start < 1


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_unpacks_to_gigabytes_is_never_held(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(archives, "MOST_AT_ONCE", 2**20)
    bomb = [header("p/x", 64 * 2**20, kind), *[bytes(2**20)] * 64]
    packed = gzipped(tmp_path / "p.npm", bomb)
    assert packed.stat().st_size < 2**20
    tracemalloc.start()
    with pytest.raises(SourceError, match="larger than any archive that is used here"):
        list(members(packed, any_name))
    assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    tracemalloc.stop()


def test_a_tar_that_unpacks_without_end_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_UNPACKED", 8 * 2**20)
    parts = [part for i in range(40) for part in (header(f"p/{i}", 2**20), bytes(2**20))]
    packed = gzipped(tmp_path / "p.npm", parts)
    with pytest.raises(SourceError, match="larger than any archive"):
        list(members(packed, any_name))


def test_a_zip_that_says_it_is_small_gives_no_more_than_it_said(tmp_path):
    path = zip_of(tmp_path / "p.wheel", {"p/bomb": bytes(50 * 2**20)})
    content = path.read_bytes().replace(struct.pack("<I", 50 * 2**20), struct.pack("<I", 100))
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(SourceError, match=r"p\.wheel is damaged"):
        list(members(path, any_name))
    assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    tracemalloc.stop()


@pytest.mark.parametrize(("offset", "flag"), [(6, 1), (8, 99)])
def test_a_zip_that_is_encrypted_or_packed_in_another_way_is_named(tmp_path, offset, flag):
    path = zip_of(tmp_path / "p.wheel", {"p/a.txt": b"one"})
    content = bytearray(path.read_bytes())
    for mark, shift in ((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)):
        place = content.rfind(mark) + offset + shift
        content[place : place + 2] = struct.pack("<H", flag)
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"p\.wheel is damaged") as caught:
        list(members(path, any_name))
    assert "\n" not in str(caught.value)


WHOLE = {"p/a.txt": b"one", "p/b.txt": b"two" * 100}


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(["wheel", "npm"]), st.integers(0), st.binary(max_size=8), st.integers(0, 40))
def test_any_bytes_are_an_archive_or_one_sentence(tmp_path, kind, place, noise, cut):
    whole = (zip_of if kind == "wheel" else tar_of)(tmp_path / f"q.{kind}", WHOLE)
    content = whole.read_bytes()
    place %= len(content)
    whole.write_bytes(content[:place] + noise + content[place + cut :])
    with contextlib.suppress(SourceError):
        assert len(list(members(whole, any_name))) <= 3
