"""The command starts the explorer, says where it is, and ends when it is told to."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from needlepoint._core.errors import DataError, ModelError, NeedlepointError, StoreError
from needlepoint.cli.explore import ExploreAsked, explore
from needlepoint.explorer.live.loading import LoadingModel
from needlepoint.explorer.live.service import LiveModel
from needlepoint.explorer.questions import LiveService, TextQuestion


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not a folder; give a run folder"):
        explore(ExploreAsked((tmp_path / "none",), model="none"))


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        asked = ExploreAsked((tmp_path,), model="none", port=taken.getsockname()[1])
        with pytest.raises(DataError, match="choose another port with --port"):
            explore(asked)


@pytest.mark.parametrize("host", ["nowhere.invalid", "203.0.113.7"])
def test_a_host_that_is_not_ours_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(DataError, match="cannot be listened at"):
        explore(ExploreAsked((tmp_path,), model="none", host=host, port=0))


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(NeedlepointError, match=re.escape("pip install 'needlepoint[explorer]'")):
        explore(ExploreAsked())


def test_questions_wait_for_the_model(live: LiveModel) -> None:
    ready = threading.Event()

    def load() -> LiveService:
        ready.wait(20)
        return live

    loading = LoadingModel(load, "tiny")
    answers: list[str] = []
    asked = threading.Thread(target=lambda: answers.append(str(loading.card()["name"])))
    asked.start()
    assert answers == []
    ready.set()
    asked.join(20)
    assert answers == [live.model.name]
    assert loading.answer(TextQuestion("a")).tokens[-1] == "a"


def test_a_model_that_cannot_be_loaded_says_why_each_time() -> None:
    def absent() -> LiveService:
        raise ModelError("there is no such model.")

    def broken() -> LiveService:
        raise ZeroDivisionError("by nought")

    for load, message in ((absent, "no such model"), (broken, "could not be loaded: by nought")):
        loading = LoadingModel(load, "x")
        for _ in range(2):
            with pytest.raises(ModelError, match=message):
                loading.answer(TextQuestion("a"))


@pytest.fixture
def serving(runs: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, which is ended whatever happens."""
    command = shutil.which("needlepoint", path=str(Path(sys.executable).parent))
    assert command is not None
    words = [command, "explore", str(runs), "--model", "none", "--port", "0", "--token"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as server:
        yield server
        server.kill()


@pytest.mark.journey
@pytest.mark.skipif(os.name == "nt", reason="interrupts are sent otherwise there")
def test_the_command_serves_until_it_is_interrupted(
    serving: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert serving.stdout is not None
    assert serving.stderr is not None
    serving.stdout.readline()
    address = serving.stdout.readline().strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{43}", address)
    plain = address.partition("?")[0]
    jar = urllib.request.HTTPCookieProcessor()
    opener = urllib.request.build_opener(jar)
    with opener.open(address, timeout=30) as page:
        assert "first" in page.read().decode()
    with opener.open(plain + "runs/first", timeout=30) as page:
        assert page.status == 200
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        urllib.request.urlopen(plain, timeout=30)
    refused.value.close()
    serving.send_signal(signal.SIGINT)
    assert serving.wait(30) == 0
    assert serving.stderr.read() == ""
    assert list(tmp_path.iterdir()) == []
