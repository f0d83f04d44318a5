"""An extraction is what a stream gives, kept, found again, and gone on with after a stop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from needlepoint._core.errors import DataError, StorageFullError, StoreError
from needlepoint.activations import extract as module
from needlepoint.activations.batches import Batches
from needlepoint.activations.extract import Extraction, Reading, extract
from needlepoint.activations.reduce import Rows
from needlepoint.activations.store import open_or_create
from needlepoint.activations.stream import collect, gather
from needlepoint.activations.writer import BlockWriter, Writer
from needlepoint.models.model import Model
from needlepoint.models.sites import Site
from needlepoint.testing.tiny import tiny_model

SITES = ("L0.attn.z", "L1.N7", "L2.resid")
MORE = ("L1.H2.z", "L1.H2.out", "L2.attn.out", "L2.mlp.neurons", "L0.mlp.out", "L1.resid.in")
BATCH_TOKENS = 24


@cache
def made() -> Model:
    return tiny_model("llama")


def texts() -> list[list[int]]:
    rng = torch.Generator().manual_seed(1)
    return [torch.randint(256, (n,), generator=rng).tolist() for n in (6, 2, 9, 4, 9, 1, 5, 3, 8)]


def rows() -> Rows:
    spans = [[4, 2, 8], [0, 0, 6], [8, 1, 2], [4, 0, 9], [5, 0, 1], [1, 0, 2], [7, 1, 3], [2, 5, 9]]
    return Rows.of(np.array(spans), "mean")


def run(path: Path, **changed) -> Extraction:
    asked = {"model": made(), "ids": texts(), "sites": SITES, "rows": rows(), **changed}
    return extract(**asked, path=path, batch_tokens=BATCH_TOKENS)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows are committed at a time."""
    monkeypatch.setattr(
        module, "open_or_create", lambda request, path: open_or_create(request, path, block_rows=2)
    )


@dataclass
class Fuse:
    """Lets the model run as often as `left` says, without end by default, and then breaks it."""

    left: int = 1_000_000

    def __call__(self, *_: object) -> None:
        if self.left == 0:
            raise RuntimeError("the model was run")
        self.left -= 1


@pytest.fixture
def fuse() -> Iterator[Fuse]:
    found = Fuse()
    handle = made().blocks[0].register_forward_pre_hook(found)
    yield found
    handle.remove()


def test_it_holds_what_a_stream_gives(tmp_path: Path, own_cache: Path) -> None:
    found = run(tmp_path / "store", sites=SITES + MORE)
    assert len(found) == 8
    streamed = gather(made(), texts(), SITES + MORE, rows(), batch_tokens=BATCH_TOKENS)
    for address in SITES + MORE:
        assert torch.equal(found.read(address), streamed[Site.parse(address)]), address
    assert not own_cache.exists()


def test_rows_are_read_in_the_order_asked(tmp_path: Path) -> None:
    found = run(tmp_path / "store")
    for address in ("L0.attn.z", "L1.N7"):
        whole = found.read(address)
        for wanted in ([7, 0, 3, 3], [2], list(range(8))[::-1]):
            assert torch.equal(found.read(address, torch.tensor(wanted)), whole[wanted])


def test_a_request_is_never_computed_twice(own_cache: Path, fuse: Fuse) -> None:
    first = run(None)
    assert first.store.path.is_relative_to(own_cache)
    fuse.left = 0
    again = run(None)
    assert again.store.path == first.store.path
    for address in SITES:
        assert torch.equal(again.read(address), first.read(address))
    with pytest.raises(RuntimeError, match="the model was run"):
        run(None, dtype="float16")


def other_ids() -> list[list[int]]:
    ids = texts()
    ids[0][0] ^= 1
    return ids


def edited_weights() -> Model:
    model = tiny_model("llama")
    with torch.no_grad():
        model.mlp_output(2).weight[0, 0] += 0.5
    return model


def without_first_token() -> Model:
    return replace(tiny_model("llama"), first_token=None)


CHANGES = {
    "precision of the store": lambda: {"dtype": "float16"},
    "token ids": lambda: {"ids": other_ids()},
    "sites": lambda: {"sites": SITES[:2]},
    "reduction": lambda: {"rows": Rows.of(np.stack(columns(), 1), "max")},
    "order of rows": lambda: {"rows": Rows.of(np.stack(columns(), 1)[::-1].copy(), "mean")},
    "weights": lambda: {"model": edited_weights()},
    "first token": lambda: {"model": without_first_token()},
    "a setting beside the weights": lambda: {"model": tiny_model("llama", rms_norm_eps=1e-3)},
}


def columns() -> list[np.ndarray]:
    asked = rows()
    return [asked.text.numpy(), asked.start.numpy(), asked.end.numpy()]


@pytest.mark.parametrize("what", CHANGES)
def test_another_request_has_another_store(what: str, own_cache: Path) -> None:
    one, two = run(None), run(None, **CHANGES[what]())
    assert one.store.path != two.store.path
    with pytest.raises(StoreError, match="holds another request"):
        run(one.store.path, **CHANGES[what]())


def test_the_same_model_made_again_is_the_same(own_cache: Path) -> None:
    assert run(None).store.path == run(None, model=tiny_model("llama")).store.path


def files(found: Extraction) -> dict[str, bytes]:
    folder = found.store.path / "arrays"
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("runs", range(2, 5))
def test_a_stopped_run_goes_on_to_the_same_bytes(runs, tmp_path, fuse, monkeypatch) -> None:
    whole = run(tmp_path / "whole")
    monkeypatch.setattr(module, "heard", lambda: True)
    fuse.left = runs  # the first one measures the speed
    with pytest.raises(RuntimeError, match="the model was run"):
        run(tmp_path / "stopped")
    fuse.left = 1_000_000
    progress = json.loads((tmp_path / "stopped" / "progress.json").read_text())["rows"]
    sizes = {2: 3, 3: 5, 4: 7}  # rows that were streamed before the stop
    assert progress == sizes[runs] // 2 * 2
    seen: list[int] = []

    def watched(*args, **kwargs):
        for chunk in collect(*args, **kwargs):
            seen.extend(chunk.rows.tolist())
            yield chunk

    monkeypatch.setattr(module, "collect", watched)
    resumed = run(tmp_path / "stopped")
    order = Batches.of(texts(), rows(), BATCH_TOKENS).order.tolist()
    assert seen == order[max(n for n in (0, *sizes.values()) if n <= progress) :]
    assert files(resumed) == files(whole)
    for address in SITES:
        assert torch.equal(resumed.read(address), whole.read(address))


def test_a_reading_cut_anywhere_gives_the_same_rows(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole").store
    found = tuple(Site.parse(address) for address in SITES)
    reading = Reading(texts(), found, rows(), BATCH_TOKENS)
    store = open_or_create(reading.request(made()), tmp_path / "cut", block_rows=2)
    with Writer(store) as writer:
        for start, stop in ((6, 8), (2, 6), (0, 2)):
            part = BlockWriter(store, start, writer.commit)
            reading.into(part, made(), start, stop)
            assert part.row == stop
    for address in SITES:
        assert torch.equal(store.read(address), whole.read(address))


def test_the_order_is_that_of_the_stream() -> None:
    chunks = collect(made(), texts(), ["L0.resid"], rows(), batch_tokens=BATCH_TOKENS)
    streamed = torch.cat([chunk.rows for chunk in chunks])
    assert torch.equal(streamed, Batches.of(texts(), rows(), BATCH_TOKENS).order)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_rounds_and_no_more(dtype: str, tmp_path: Path) -> None:
    exact, rounded = run(tmp_path / "a"), run(tmp_path / "b", dtype=dtype)
    for address in SITES:
        found: Tensor = rounded.read(address)
        assert torch.equal(found, exact.read(address).to(getattr(torch, dtype)))


@pytest.mark.usefixtures("small_blocks")
def test_damage_is_an_error_with_a_fix_that_works(tmp_path: Path) -> None:
    whole = run(tmp_path / "store")
    before = {address: whole.read(address) for address in SITES}
    shard = tmp_path / "store" / "arrays" / "L2.resid" / "c" / "1" / "0"
    content = bytearray(shard.read_bytes())
    content[40] ^= 1
    shard.write_bytes(content)
    found = run(tmp_path / "store")
    with pytest.raises(StoreError, match=r"site L2.resid: .*rows 2 to 3.* is damaged.*repair\(\)"):
        found.read("L2.resid")
    assert torch.equal(found.read("L1.N7"), before["L1.N7"]), "the others can still be read"
    assert found.store.repair() == 6, "all but the damaged block"
    mended = run(tmp_path / "store")
    for address in SITES:
        assert torch.equal(mended.read(address), before[address])


def test_guards(tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(DataError, match="there are no rows to read"):
        run(tmp_path / "store", rows=Rows.of(np.zeros((0, 3), dtype=int), "mean"))
    assert not (tmp_path / "store").exists()
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("needlepoint.activations.plan.shutil.disk_usage", lambda _: usage)
    with pytest.raises(StorageFullError, match="10 bytes are free"):
        run(tmp_path / "store")
    assert not (tmp_path / "store").exists()
