"""A folder has one writer, and whoever comes second is told who it is."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from filelock import FileLock

from needlepoint._core.errors import StoreError
from needlepoint._core.lock import HOLDER, holder, is_held, only_writer


def test_the_second_writer_is_told_who_the_first_is(tmp_path: Path) -> None:
    with only_writer(tmp_path):
        assert is_held(tmp_path)
        with pytest.raises(StoreError) as caught, only_writer(tmp_path):
            pass
    assert f"is being written by process {os.getpid()} on " in str(caught.value)
    assert "wait until that has ended, or use another folder" in str(caught.value)
    assert not is_held(tmp_path)
    with only_writer(tmp_path):
        pass


def test_the_lock_ends_with_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), only_writer(tmp_path):
        raise RuntimeError
    assert not is_held(tmp_path)
    assert not (tmp_path / HOLDER).exists()


@pytest.mark.parametrize("left", ["", "{", "[]", json.dumps({"process": 1})])
def test_what_a_killed_holder_left_is_in_nobody_s_way(tmp_path: Path, left: str) -> None:
    (tmp_path / HOLDER).write_text(left)
    assert holder(tmp_path) == ""
    assert not is_held(tmp_path)
    with only_writer(tmp_path):
        assert holder(tmp_path).startswith("process ")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_a_read_only_folder_is_said_to_be_so(tmp_path: Path, monkeypatch, number: int) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with (
        pytest.raises(StoreError, match=r"cannot be written to \(.*\); change its perm"),
        only_writer(tmp_path),
    ):
        pass


def test_other_errors_of_the_system_stay_what_they_are(tmp_path: Path, monkeypatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(FileLock, "acquire", fail)
    with pytest.raises(OSError, match="Input/output"), only_writer(tmp_path):
        pass
