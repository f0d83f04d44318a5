"""A kill, an error or a full disk at any moment loses at most one block and spoils nothing."""

import errno
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from zarr.storage import _local

from needlepoint._core.errors import DataError, StorageFullError, StoreError
from needlepoint.activations import plan
from needlepoint.activations.arrays import SiteArray
from needlepoint.activations.header import Request
from needlepoint.activations.store import Store, open_or_create
from needlepoint.activations.writer import Writer

ROWS, BLOCK = 40, 8
WIDTHS = {"L0.resid": 3, "L1.resid": 3}


def ask(rows=ROWS, **changes):
    return Request("toy", "ab", "cd", WIDTHS, rows, "last", **changes)


def data(rows=ROWS):
    generator = torch.Generator().manual_seed(0)
    return {site: torch.randn(rows, 3, generator=generator) for site in WIDTHS}


def extract(store, step=3, until=None):
    """Append from where the store stands, `step` rows at a time."""
    rows = data(store.request.rows)
    with Writer(store) as writer:
        for start in range(writer.row, until or store.request.rows, step):
            writer.append({site: values[start : start + step] for site, values in rows.items()})


def contents(store):
    folder = store.path / "arrays"
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def smooth(tmp_path):
    """The files of an extraction that nothing interrupted."""
    store = open_or_create(ask(), tmp_path / "smooth", block_rows=BLOCK)
    extract(store)
    return contents(store)


@pytest.fixture
def store(tmp_path):
    return open_or_create(ask(), tmp_path / "store", block_rows=BLOCK)


@pytest.mark.parametrize("step", [1, 7, 8, 13, 40])
def test_where_appends_are_cut_makes_no_difference(store, smooth, step):
    extract(store, step)
    assert contents(store) == smooth


def test_rows_of_a_block_that_was_not_filled_are_computed_again(store, smooth):
    extract(store, until=21)
    assert store.rows_done == 16
    with Writer(store) as writer:
        assert writer.row == 16
    extract(store, 5)
    assert contents(store) == smooth


@pytest.mark.parametrize("call", range(10))
def test_an_error_while_a_shard_is_written_loses_one_block_at_most(
    store, smooth, monkeypatch, call
):
    calls = iter(range(100))
    write = SiteArray.write

    def fail(self, block, rows):
        if next(calls) == call:
            raise RuntimeError("pulled the plug")
        write(self, block, rows)

    monkeypatch.setattr(SiteArray, "write", fail)
    with pytest.raises(RuntimeError, match="pulled the plug"):
        extract(store)
    monkeypatch.undo()
    reader = Store(store.path)
    assert reader.rows_done == call // 2 * BLOCK
    assert reader.verify() == ()
    assert torch.equal(reader.read("L1.resid"), data()["L1.resid"][: reader.rows_done])
    extract(store, 4)
    assert contents(store) == smooth


def test_an_error_while_committing_leaves_the_block_uncommitted(store, smooth, monkeypatch):
    def fail(self, rows):
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "commit", fail)
    with pytest.raises(KeyboardInterrupt):
        extract(store)
    monkeypatch.undo()
    assert store.rows_done == 0
    extract(store)
    assert contents(store) == smooth


def test_files_left_by_a_killed_writer_are_not_read_and_are_cleared(store, smooth):
    extract(store, until=16)
    torn = store.path / "arrays" / "L0.resid" / "c" / "2"
    torn.mkdir()
    (torn / "0").write_bytes(b"half of a sh")
    (torn.parent / "0" / "0.ab12.partial").write_bytes(b"x")
    (store.path / ".progress.json.ab12").mkdir()
    assert Store(store.path).read("L0.resid").shape == (16, 3)
    extract(store)
    assert contents(store) == smooth
    assert sorted(path.name for path in store.path.iterdir()) == [
        "arrays",
        "header.json",
        "progress.json",
    ]


ENDLESS = """
import sys, time, torch, pathlib
from needlepoint.activations.header import Request
from needlepoint.activations.store import open_or_create
from needlepoint.activations.writer import Writer
assert "transformers" not in sys.modules
request = Request("toy", "ab", "cd", {"L0.resid": 3, "L1.resid": 3}, 40, "last")
generator = torch.Generator().manual_seed(0)
rows = {site: torch.randn(40, 3, generator=generator) for site in request.widths}
store = open_or_create(request, pathlib.Path(sys.argv[1]), block_rows=8)
with Writer(store) as writer:
    for start in range(writer.row, 40):
        writer.append({site: values[start : start + 1] for site, values in rows.items()})
        print(writer.row, flush=True)
        if start >= 30: time.sleep(60)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_process_is_taken_up_where_it_was(tmp_path, smooth):
    path = tmp_path / "killed"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        while process.stdout.readline() != "18\n":
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    store = open_or_create(ask(), path)
    assert store.rows_done in (16, 24)
    assert store.verify() == ()
    extract(store)
    assert contents(store) == smooth


def test_the_disk_filling_up_spoils_nothing_and_the_rest_follows_later(store, smooth, monkeypatch):
    extract(store, until=16)
    put = _local._put
    room = iter([True, False])

    def full(path, value, exclusive=False):
        if next(room, False):
            return put(path, value, exclusive)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_local, "_put", full)
    with (
        Writer(store) as writer,
        pytest.raises(StorageFullError, match="no space left while writing"),
    ):
        writer.append({site: rows[16:24] for site, rows in data().items()})
    monkeypatch.undo()
    assert store.rows_done == 16
    assert store.verify() == ()
    assert not (store.path / "arrays" / "L0.resid" / "c" / "2").exists()
    extract(store)
    assert contents(store) == smooth


def test_a_disk_that_is_really_full(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"cannot mount a small disk here: {error}")
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk here: {mounted.stderr.strip()}")
    try:
        fill_and_free(disk)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def fill_and_free(disk):
    request = Request("toy", "ab", "cd", {"a": 512, "b": 512}, 32, "last")
    rows = {site: torch.randn(32, 512) for site in request.widths}
    store = open_or_create(request, disk / "store", block_rows=8)
    with Writer(store) as writer:
        writer.append({site: values[:20] for site, values in rows.items()})
        (disk / "other").write_bytes(bytes(os.statvfs(disk).f_bavail * 4096 - 20_480))
        with pytest.raises(StorageFullError, match="nothing half-written was kept"):
            writer.append({site: values[20:] for site, values in rows.items()})
    assert Store(store.path).verify() == ()
    assert torch.equal(Store(store.path).read("b"), rows["b"][:16])
    with pytest.raises(StorageFullError, match="are free at"):
        Writer(store).__enter__()
    (disk / "other").unlink()
    with Writer(store) as writer:
        writer.append({site: values[16:] for site, values in rows.items()})
    assert torch.equal(store.read("b"), rows["b"])


def test_two_writers_at_once_are_one_too_many(store):
    with (
        Writer(store),
        pytest.raises(StoreError, match="being written by another process"),
        Writer(Store(store.path)),
    ):
        pass
    extract(store)
    assert store.complete


def test_two_processes_cannot_write_at_once(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(tmp_path / "store")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        try:
            assert process.stdout.readline() == "1\n"
            store = open_or_create(ask(), tmp_path / "store")
            with pytest.raises(StoreError, match="being written by another process"):
                extract(store)
        finally:
            process.kill()
    extract(store)
    assert store.complete


def test_a_writer_broken_off_or_closed_takes_no_more_rows(store, monkeypatch):
    rows = {site: values[:8] for site, values in data().items()}

    def fail(self, block, rows):
        raise RuntimeError("pulled the plug")

    with Writer(store) as writer:
        monkeypatch.setattr(SiteArray, "write", fail)
        with pytest.raises(RuntimeError, match="pulled the plug"):
            writer.append(rows)
        monkeypatch.undo()
        with pytest.raises(StoreError, match=r"this writer is closed; open a new one.* at row 0"):
            writer.append(rows)
    with pytest.raises(StoreError, match="this writer is closed"):
        writer.append(rows)


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        ({"L0.resid": torch.zeros(1, 3)}, r"rows of each site of the request; check L1\.resid"),
        ({"L0.resid": torch.zeros(1, 3), "L1.resid": torch.zeros(2, 3)}, r"not \[1, 2\]"),
        ({"L0.resid": torch.zeros(1, 4), "L1.resid": torch.zeros(1, 3)}, r"\[rows, 3\], not \(1,"),
        (dict.fromkeys(WIDTHS, torch.zeros(41, 3)), "exceeds the 40 rows of the request"),
    ],
)  # fmt: skip
def test_chunks_that_do_not_fit_are_refused_whole(store, smooth, chunk, message):
    with Writer(store) as writer:
        with pytest.raises(DataError, match=message):
            writer.append(chunk)
        assert writer.row == 0
        writer.append(data())
    assert contents(store) == smooth


def test_values_that_the_dtype_cannot_hold_are_refused(tmp_path):
    store = open_or_create(ask(dtype="float16"), tmp_path / "half")
    rows = dict.fromkeys(WIDTHS, torch.zeros(4, 3))
    rows["L1.resid"] = rows["L1.resid"].clone()
    rows["L1.resid"][2, 1] = 1e6
    with Writer(store) as writer:
        with pytest.raises(
            DataError, match=r"site L1\.resid, row 2, column 1 is 1000000\.0, .* in float16"
        ):
            writer.append(rows)
        rows["L1.resid"][2, 1] = torch.nan
        with pytest.raises(DataError, match="is nan, which is not finite"):
            writer.append(rows)


def test_a_resumed_run_that_cannot_fit_is_refused(store, monkeypatch):
    extract(store, until=16)
    monkeypatch.setattr(plan.shutil, "disk_usage", lambda path: SimpleNamespace(free=9))
    with pytest.raises(StorageFullError, match="and 9 bytes are free"):
        extract(store)
    monkeypatch.undo()
    extract(store)
    assert store.complete


def test_memory_is_bounded_by_the_block_and_not_by_the_rows(tmp_path):
    store = open_or_create(ask(rows=10**6), tmp_path / "long", block_rows=BLOCK)
    with Writer(store) as writer:
        held = sum(buffer.nbytes for buffer in writer._open._buffer.values())
        assert held == plan.estimate(store.request, block_rows=BLOCK).block_bytes == BLOCK * 2 * 12


def test_a_zarr_that_lays_shards_out_otherwise_is_noticed(store, monkeypatch):
    monkeypatch.setattr(plan.Layout, "shard_bytes", lambda self, site, block: 1)
    with pytest.raises(StoreError, match="lays shards out in another way"):
        extract(store)
    monkeypatch.undo()
    assert store.rows_done == 0
