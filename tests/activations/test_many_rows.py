"""A store of a hundred million rows: planned to the byte, its first and last blocks written."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch

from needlepoint._core.errors import StorageFullError
from needlepoint.activations.header import Request
from needlepoint.activations.plan import estimate
from needlepoint.activations.store import Store, open_or_create
from needlepoint.activations.writer import Writer

ROWS = 100_000_000
Usage = namedtuple("Usage", "total used free")


def request(n_layers: int = 1, width: int = 576) -> Request:
    widths = {f"L{layer}.mlp.neurons": width for layer in range(n_layers)}
    return Request("made", "ab", "cd", widths, ROWS, "last", dtype="float16")


def disk(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free, 0, free))


def test_it_is_planned_at_once() -> None:
    plan = estimate(request(30, 1536))
    assert 0 < plan.bytes - ROWS * 30 * 1536 * 2 < 0.001 * plan.bytes
    assert plan.block_bytes <= 2**27
    assert plan.sentence(10_000.0) == "100,000,000 rows x 30 sites x 1536 = 9.2 TB, about 2.8 hours"


def test_a_disk_that_is_too_small_is_refused_before_anything_is_made(tmp_path, monkeypatch) -> None:
    disk(monkeypatch, 10**12)
    with pytest.raises(StorageFullError, match=r"need 9.2 TB and 1.0 TB are free"):
        open_or_create(request(30, 1536), tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


def rows_of(store: Store, block: int) -> torch.Tensor:
    start, stop = store.layout.span(block)
    draws = torch.Generator().manual_seed(block)
    return torch.randn(stop - start, 576, generator=draws).half()


def test_its_first_and_last_blocks_are_written_and_read(tmp_path: Path, monkeypatch) -> None:
    disk(monkeypatch, 10**12)
    store = open_or_create(request(), tmp_path / "store")
    last = store.layout.blocks - 1
    assert last > 1000
    with Writer(store) as writer:
        for block in (last, 0):
            writer.go_to(store.layout.span(block)[0])
            writer.append({"L0.mlp.neurons": rows_of(store, block)})
    again = Store(tmp_path / "store")
    assert again.whole == {0, last}
    assert again.gaps() == [(again.layout.span(0)[1], again.layout.span(last)[0])]
    assert again.verify() == ()
    assert again.repair() == sum(len(rows_of(store, block)) for block in (0, last))
    found = again.read("L0.mlp.neurons", [5, 3])
    assert torch.equal(found, rows_of(store, 0)[[5, 3]])
    start = again.layout.span(last)[0]
    found = again.arrays["L0.mlp.neurons"].read(last, slice(start, start + 9))
    assert torch.equal(found, rows_of(store, last)[:9])
    kept = sum(path.stat().st_size for path in (tmp_path / "store").rglob("*") if path.is_file())
    told = sum(again.layout.bytes_of(block) for block in (0, last))
    assert told <= kept < told + 10_000
