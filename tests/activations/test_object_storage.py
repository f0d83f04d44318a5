"""Stores in object storage are those of a folder, byte by byte, whatever happens on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import torch

from needlepoint._core.errors import NeedlepointError, SourceError, StoreBusyError, StoreError
from needlepoint.activations import lease, object_folder, place
from needlepoint.activations.extract import extract
from needlepoint.activations.header import Request, default_place
from needlepoint.activations.lease import Lease
from needlepoint.activations.object_folder import ObjectFolder
from needlepoint.activations.place import LocalFolder, place_of
from needlepoint.activations.reduce import Rows
from needlepoint.activations.store import Store, open_or_create
from needlepoint.activations.writer import Writer
from needlepoint.testing.tiny import tiny_model

ROWS, BLOCK = 40, 8
WIDTHS = {"L0.resid": 3, "L1.resid": 3}
REQUEST = Request("toy", "ab", "cd", WIDTHS, ROWS, "last")
SECRETS = ("key-of-the-test", "secret-of-the-test", "hunter2")


def data() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {site: torch.randn(ROWS, 3, generator=generator) for site in WIDTHS}


def write(store: Store, until: int = ROWS) -> None:
    """Append from where the store stands, three rows at a time."""
    rows = data()
    with Writer(store) as writer:
        for first, last in [(start, min(stop, until)) for start, stop in store.gaps()]:
            if first < last:
                writer.go_to(first)
            for start in range(first, last, 3):
                stop = min(start + 3, last)
                writer.append({site: values[start:stop] for site, values in rows.items()})


def filled(where: Path | str) -> Store:
    store = open_or_create(REQUEST, where, block_rows=BLOCK)
    write(store)
    return store


def arrays(store: Store, key: str = "arrays") -> dict[str, bytes]:
    """Every file below a key, with its content."""
    names = store.place.names(key)
    if not names:
        return {key: store.place.read(key)}
    return {k: v for name in names for k, v in arrays(store, f"{key}/{name}").items()}


@pytest.fixture(params=["s3", "memory"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "s3":
        return f"{request.getfixturevalue('s3')}/runs/store"
    pytest.importorskip("obstore")
    return f"memory://{uuid4().hex}/store"


@pytest.fixture
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "SECONDS", 2.0)


def refusal(action: Callable[[], object], kind: type[NeedlepointError] = StoreError) -> str:
    """The one sentence with which it ends, without anything secret in it or behind it."""
    with pytest.raises(kind) as caught:
        action()
    text, error = str(caught.value), caught.value
    assert "\n" not in text
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    assert not any(secret in text for secret in SECRETS)
    return text


def test_it_holds_the_same_bytes_as_a_folder(url: str, tmp_path: Path) -> None:
    local, remote = filled(tmp_path / "store"), filled(url)
    assert remote.complete
    assert arrays(remote) == arrays(local)
    assert remote.place.read("progress.json") == local.place.read("progress.json")
    assert set(remote.place.names("")) - set(local.place.names("")) == {"lease.json"}
    for site, values in data().items():
        assert torch.equal(Store(url).read(site), values)
        assert torch.equal(Store(url).read(site, [39, 0, 8]), values[[39, 0, 8]])
        assert torch.equal(torch.cat(list(remote.blocks(site, 7))), values)
    assert remote.verify() == ()


def test_a_shard_sent_in_parts_is_the_same_bytes(s3: str, tmp_path: Path) -> None:
    request = Request("toy", "ab", "cd", {"L0.resid": 2048}, 1000, "last")
    rows = {"L0.resid": torch.randn(1000, 2048, generator=torch.Generator().manual_seed(0))}
    found = []
    for where in (tmp_path / "store", f"{s3}/large"):
        store = open_or_create(request, where)
        with Writer(store) as writer:
            writer.append(rows)
        found.append(store)
    assert found[1].layout.shard_bytes("L0.resid", 0) > 5 * 2**20, "the size of one part"
    assert arrays(found[0]) == arrays(found[1])


def test_extract_gives_what_a_folder_gives_and_never_twice(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model("llama")
    asked = {
        "ids": [[5, 6, 7], [8, 9]],
        "sites": ["L0.mlp.neurons", "L1.H0.z"],
        "rows": Rows.of(np.array([[0, 0, 3], [1, 1, 2]]), "mean"),
    }
    local = extract(model, **asked, path=tmp_path / "store")
    remote = extract(model, **asked, path=f"{s3}/extracted")
    for site in asked["sites"]:
        assert torch.equal(remote.read(site), local.read(site))
    monkeypatch.setenv("NEEDLEPOINT_STORE", f"{s3}/all/")
    first = extract(model, **asked)
    assert str(first.store.place) == f"{s3}/all/{first.store.request.key}"
    monkeypatch.setattr(Writer, "__enter__", lambda self: pytest.fail("computed twice"))
    assert torch.equal(extract(model, **asked).read("L1.H0.z"), local.read("L1.H0.z"))


def test_the_environment_can_name_a_folder_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEEDLEPOINT_STORE", str(tmp_path))
    assert default_place(REQUEST).folder == tmp_path / REQUEST.key
    monkeypatch.setenv("NEEDLEPOINT_STORE", f"file://{tmp_path}")
    assert default_place(REQUEST).folder == tmp_path / REQUEST.key


def flip(content: bytes) -> bytes:
    return content[:40] + bytes([content[40] ^ 1]) + content[41:]


DAMAGES = {
    "flipped": (flip, "its checksum does not match"),
    "cut": (lambda content: content[:-9], r"it has \d+ bytes and should have \d+"),
    "deleted": (None, "the file is missing"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_object_is_named_and_it_alone_is_made_again(url: str, kind: str) -> None:
    store, (change, reason) = filled(url), DAMAGES[kind]
    before, key = arrays(store), "arrays/L1.resid/c/2/0"
    if change is None:
        store.place.remove(key)
    else:
        store.place.write(key, change(before[key]))
    (found,) = store.verify()
    assert (found.site, found.start, found.stop, found.file) == ("L1.resid", 16, 24, f"{url}/{key}")
    with pytest.raises(StoreError, match=rf"{url}/{key} \(rows 16 to 23\) is damaged: {reason}"):
        Store(url).read("L1.resid")
    assert store.repair() == ROWS - BLOCK
    assert store.gaps() == [(16, 24)]
    write(store)
    assert arrays(store) == before


def test_damaged_metadata_and_progress_are_put_back(url: str) -> None:
    store = filled(url)
    store.place.write("arrays/L0.resid/zarr.json", b"{")
    store.place.remove("progress.json")
    assert [found.site for found in [store.arrays["L0.resid"].metadata_damage()]] == ["L0.resid"]
    with pytest.raises(StoreError, match=r"progress\.json is missing .* Call repair\(\)"):
        Store(url).read("L0.resid")
    assert store.repair() == ROWS
    assert torch.equal(Store(url).read("L0.resid"), data()["L0.resid"])


def test_the_second_of_two_writers_is_told_who_the_first_is(url: str) -> None:
    store = open_or_create(REQUEST, url, block_rows=BLOCK)
    with Writer(store):
        for refused in (Writer(Store(url)).__enter__, Store(url).repair):
            with pytest.raises(StoreBusyError) as caught:
                refused()
            text = str(caught.value)
            assert f"is being written by process {os.getpid()} on " in text
            assert "if it was killed, 6" in text or "if it was killed, 5" in text, "seconds"
    write(store)
    assert store.complete


def test_of_several_that_take_a_lease_at_once_one_has_it(s3: str) -> None:
    where = ObjectFolder(f"{s3}/store")
    several = [Lease(where) for _ in range(4)]
    versions = [one.place.version("lease.json") for one in several]
    assert versions == [None] * 4
    taken = [one.place.replace("lease.json", b"{}", None) for one in several]
    assert sum(version is not None for version in taken) == 1


PART = """
import sys, time, torch
from needlepoint.activations import lease
from needlepoint.activations.header import Request
from needlepoint.activations.store import open_or_create
from needlepoint.activations.writer import Writer
lease.SECONDS = 2.0
request = Request("toy", "ab", "cd", {"L0.resid": 3, "L1.resid": 3}, 40, "last")
generator = torch.Generator().manual_seed(0)
rows = {site: torch.randn(40, 3, generator=generator) for site in request.widths}
store = open_or_create(request, sys.argv[1], block_rows=8)
with Writer(store) as writer:
    for start in range(40):
        writer.append({site: values[start : start + 1] for site, values in rows.items()})
        print(writer.row, flush=True)
        if start >= 18: time.sleep(60)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_what_a_killed_writer_began_another_ends_when_the_lease_has_run_out(
    s3: str, tmp_path: Path
) -> None:
    url, environment = f"{s3}/killed", {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", PART, url], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        while process.stdout.readline() != "19\n":
            assert process.poll() is None
        time.sleep(2.5)
        with pytest.raises(StoreBusyError, match="is being written by process"):
            write(Store(url))  # alive, it has renewed its lease
        process.send_signal(signal.SIGKILL)
    store = open_or_create(REQUEST, url)
    assert store.rows_done == 16
    with pytest.raises(StoreBusyError, match=rf"by process {process.pid} on .* if it was killed"):
        write(store)
    deadline = time.monotonic() + 20
    while not store.complete:
        assert time.monotonic() < deadline
        try:
            write(store)
        except StoreBusyError:
            time.sleep(0.3)
    assert arrays(store) == arrays(filled(tmp_path / "whole"))


@pytest.mark.usefixtures("short_lease")
def test_a_writer_that_slept_too_long_commits_nothing_more(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, rows = f"{s3}/slept", data()
    store = open_or_create(REQUEST, url, block_rows=BLOCK)
    monkeypatch.setattr(Lease, "_keep", lambda self: None)  # a process that is stopped
    with Writer(store) as sleeper:
        time.sleep(4)
        write(Store(url), until=16)
        with pytest.raises(StoreBusyError, match=r"another writer has taken over .*/slept, as"):
            sleeper.append({site: values[:8] for site, values in rows.items()})
    assert Store(url).rows_done == 16
    write(store)
    assert store.verify() == ()
    assert torch.equal(store.read("L1.resid"), rows["L1.resid"])


def test_a_write_whose_answer_was_lost_is_not_taken_for_another_writer(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = ObjectFolder(f"{s3}/store")
    held, replace = Lease(where), ObjectFolder.replace
    held.take()
    answers = []

    def twice(self, key, content, version):
        replace(self, key, content, version)
        answers.append(replace(self, key, content, version))
        return answers[-1]

    monkeypatch.setattr(ObjectFolder, "replace", twice)
    held.renew()
    monkeypatch.undo()
    assert answers == [None]  # the second of the two was refused, as if another had written
    held.renew()
    held.give_back()


def test_a_store_half_made_is_made_again(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url, put = f"{s3}/half", ObjectFolder.write

    def killed(self, key, content):
        if key == "header.json":
            raise KeyboardInterrupt
        put(self, key, content)

    with monkeypatch.context() as patched:
        patched.setattr(ObjectFolder, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            open_or_create(REQUEST, url)
    with pytest.raises(StoreError, match="is not an activation store"):
        Store(url)
    assert filled(url).verify() == ()


def test_a_prefix_with_other_things_in_it_is_left_alone(s3: str) -> None:
    where = ObjectFolder(f"{s3}/mine")
    where.write("thesis.txt", b"years")
    with pytest.raises(StoreError, match=r"is not empty \(thesis\.txt\); choose another prefix"):
        open_or_create(REQUEST, f"{s3}/mine")
    assert where.read("thesis.txt") == b"years"
    assert filled(f"{s3}/mine2").complete, "a name that begins the same is another place"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(object_folder._RETRIES, "max_retries", 1)


@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_not_there(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(f"{s3}/store")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://someone:hunter2@127.0.0.1:9")
    for action in (
        lambda: Store(f"{s3}/store"),
        lambda: open_or_create(REQUEST, f"{s3}/other"),
    ):
        text = refusal(action)
        assert f"no object storage answers at http://127.0.0.1:9 for {s3}/" in text
        assert "check the network and AWS_ENDPOINT_URL." in text
    monkeypatch.undo()
    assert store.complete


def test_a_server_that_goes_away_in_the_middle(
    s3: str, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    away.start()
    host, port = away.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    store = open_or_create(REQUEST, f"{s3}/store", block_rows=BLOCK)
    writer = Writer(store).__enter__()
    away.stop()
    with pytest.raises(StoreError, match="no object storage answers at"):
        writer.append({site: values[:8] for site, values in data().items()})
    writer.__exit__(None, None, None)


def test_a_bucket_that_is_not_there(s3: str) -> None:
    for action in (
        lambda: Store("s3://no-such-bucket/store"),
        lambda: open_or_create(REQUEST, "s3://no-such-bucket/store"),
    ):
        text = refusal(action)
        assert text.startswith("there is no bucket 'no-such-bucket' at http://127.0.0.1:")
        assert text.endswith("make it, or check the name.")


def test_credentials_that_are_wrong(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(f"{s3}/store")
    settings = pytest.importorskip("moto.settings")
    monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
    for action in (
        lambda: Store(f"{s3}/store"),
        lambda: open_or_create(REQUEST, f"{s3}/other"),
    ):
        text = refusal(action)
        assert "refuses" in text
        assert "check the credentials in the environment (AWS_ACCESS_KEY_ID, ...)" in text


def test_nothing_that_is_kept_has_credentials_in_it(s3: str) -> None:
    store = filled(f"{s3}/store")
    for name in ("header.json", "progress.json", "lease.json"):
        content = store.place.read(name).decode()
        assert not any(secret in content for secret in SECRETS)
        assert "127.0.0.1" not in content
    assert json.loads(store.place.read("lease.json")) == {"free": True}
    assert "secret" not in f"{store.place}{store.place!r}"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://someone:hunter2@bucket/store", "has no place for credentials"),
        ("s3://hunter2@bucket/store", "has no place for credentials"),
        ("s3://bucket/store?token=hunter2", "has no place for credentials"),
        ("s3://bucket/store#hunter2", "has no place for credentials"),
        ("ftp://bucket/hunter2", "is named by s3://, gs://, az://, memory:// and bucket/prefix"),
        ("s3:///hunter2", "is named by s3://"),
        ("s3://[hunter2/store", "cannot be read; write s3://bucket/prefix"),
        ("s3://bucket/../hunter2", "is names with '/' between"),
        ("s3://bucket/a//hunter2", "is names with '/' between"),
        ("s3://bucket/%2e%2e/hunter2", "is names with '/' between"),
        ("s3://bucket/hunter2\x00", "is names with '/' between"),
        ("file://machine/hunter2", "has three slashes"),
    ],
)
def test_urls_that_name_no_store_are_refused_without_being_told(url: str, words: str) -> None:
    pytest.importorskip("obstore")
    assert words in refusal(lambda: place_of(url))


def test_a_url_that_was_made_a_path_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="a URL is given as text, not as a path: s3://"):
        place_of(Path("s3://bucket/store"))
    assert place_of(f"file://{tmp_path}/a%20b").folder == tmp_path / "a b"
    with pytest.raises(StoreError, match="is not a folder of this machine"):
        _ = filled("memory://path/store").path


def test_without_obstore_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(SourceError, match=r"pip install 'needlepoint\[s3\]'"):
        place_of("s3://bucket/store")
    assert isinstance(place_of("folder"), LocalFolder)


def test_a_place_is_only_asked_for_what_it_has(url: str) -> None:
    where = place.place_of(url)
    assert where.names("nothing") == []
    assert where.size("nothing") is None
    with pytest.raises(FileNotFoundError):
        where.read("nothing")
    where.remove("nothing")
    where.write("a/b", b"x")
    where.write("a/bc", b"yy")
    where.remove("a/b")
    assert where.names("a") == ["bc"]
    assert where.size("a/bc") == 2
