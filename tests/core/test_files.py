"""Files are whole or absent."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path

import pytest

from needlepoint._core.errors import StorageFullError
from needlepoint._core.files import atomic_path, cache_dir, sha256_file, storage_errors, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def broken_off(target: Path, error: BaseException, *, folder: bool = False) -> None:
    """Writing that ends in an error halfway."""
    with atomic_path(target) as temporary:
        if folder:
            temporary.mkdir()
        (temporary / "part" if folder else temporary).write_text("half")
        raise error


def test_a_file_appears_only_when_the_block_succeeds(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.txt"
    with atomic_path(target) as temporary:
        temporary.write_text("half")
        assert not target.exists()
        assert temporary.parent.parent == target.parent  # the same disk, so the move is atomic
    assert target.read_text() == "half"
    assert names(target.parent) == ["file.txt"]


def test_a_file_is_replaced_only_when_the_block_succeeds(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="midway"):
        broken_off(target, RuntimeError("midway"))
    assert target.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]
    with atomic_path(target) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    for content in ("old", "new"):
        with atomic_path(target) as temporary:
            temporary.mkdir()
            (temporary / content).write_text(content)
    assert names(target) == ["new"]
    with pytest.raises(KeyboardInterrupt):
        broken_off(target, KeyboardInterrupt(), folder=True)
    assert names(target) == ["new"]
    assert names(tmp_path) == ["folder"]


def test_a_block_that_writes_nothing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "file"):
        pass
    assert names(tmp_path) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_no_space_is_one_sentence_and_leaves_nothing(tmp_path: Path, number: int) -> None:
    with pytest.raises(StorageFullError) as caught:
        broken_off(tmp_path / "file", OSError(number, "No space left on device"))
    assert str(caught.value).startswith(f"no space left while writing {tmp_path / 'file'};")
    assert "NEEDLEPOINT_CACHE or --out at another disk" in str(caught.value)
    assert names(tmp_path) == []


def test_other_errors_of_the_system_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), storage_errors(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied")


def test_text_is_written_as_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "caf\u00e9\n")
    assert (tmp_path / "file").read_bytes() == b"caf\xc3\xa9\n"


def test_the_hash_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256_file(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()
    (tmp_path / "file").write_bytes(b"abd")
    assert sha256_file(tmp_path / "file") != hashlib.sha256(b"abc").hexdigest()


def test_the_cache_is_where_it_is_told_to_be(own_cache: Path, monkeypatch) -> None:
    assert cache_dir() == own_cache
    assert own_cache.is_dir()
    monkeypatch.setenv("NEEDLEPOINT_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(own_cache / "usual"))
    assert "needlepoint" in cache_dir().parts
