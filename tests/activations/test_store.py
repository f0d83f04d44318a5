"""What is read is what was written; damage, foreign folders and other versions are said plainly."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import zarr
from zarr.storage import LocalStore

from needlepoint._core.errors import DataError, StorageFullError, StoreError, UnknownSiteError
from needlepoint.activations import plan
from needlepoint.activations.arrays import decode, encode
from needlepoint.activations.header import Request, default_place
from needlepoint.activations.store import Store, open_or_create
from needlepoint.activations.writer import BlockWriter, Writer

ROWS, BLOCK = 21, 8
WIDTHS = {"L0.resid": 3, "L3.mlp.neurons": 5}


def ask(**changes):
    values = {"widths": WIDTHS, "rows": ROWS, "reduce": "last", **changes}
    return Request("toy", "ab", "cd", **values)


def data(dtype="float32", rows=ROWS):
    generator = torch.Generator().manual_seed(0)
    return {
        site: torch.randn(rows, width, generator=generator).to(getattr(torch, dtype))
        for site, width in WIDTHS.items()
    }


def write(store, rows, start=0, stop=None):
    with Writer(store) as writer:
        writer.append({site: values[start:stop] for site, values in rows.items()})


@pytest.fixture
def full(tmp_path):
    store = open_or_create(ask(), tmp_path / "store", block_rows=BLOCK)
    write(store, data())
    return store


def shard(store, site, block):
    return store.path / "arrays" / site / "c" / str(block) / "0"


def files(store):
    found = (store.path / "arrays").rglob("*")
    return {str(one.relative_to(store.path)): one.read_bytes() for one in found if one.is_file()}


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_what_is_read_is_what_was_written(tmp_path, dtype):
    store = open_or_create(ask(dtype=dtype), tmp_path / "store", block_rows=BLOCK)
    rows = data(dtype)
    write(store, rows)
    for site, values in rows.items():
        read = Store(tmp_path / "store").read(site)
        assert read.dtype == getattr(torch, dtype)
        assert torch.equal(read, values)
    assert store.sites == tuple(WIDTHS)


@pytest.mark.parametrize(
    "rows",
    [slice(None), slice(3, 19), slice(7, 9), slice(0, 0), slice(20, None), slice(None, None, 3),
     slice(-4, None), slice(15, 2, -4), [20, 0, 9, 9, 8], [], torch.tensor([7, 8, 6])],
)  # fmt: skip
def test_any_rows_in_any_order(full, rows):
    for site, values in data().items():
        numbers = np.arange(ROWS)[rows] if isinstance(rows, slice) else np.asarray(rows, dtype=int)
        assert torch.equal(full.read(site, rows), values[numbers.tolist()])


@pytest.mark.parametrize("n_rows", [None, 1, 5, 8, 13, 100])
def test_blocks_go_through_all_rows_in_order(full, n_rows):
    for site, values in data().items():
        pieces = list(full.blocks(site, n_rows))
        assert torch.equal(torch.cat(pieces), values)
        assert {len(piece) for piece in pieces[:-1]} <= {n_rows or BLOCK}


def test_bits_survive_the_way_through_storage():
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        values = torch.tensor([[0.0, -0.0, 1e-7, -3.25, 65504.0]]).to(dtype)
        back = decode(encode(values, name), name)
        assert back.dtype == dtype
        assert back.view(torch.uint8).tolist() == values.view(torch.uint8).tolist()


def test_the_store_opens_in_plain_zarr_and_rows_not_yet_written_are_nan(tmp_path):
    store = open_or_create(ask(), tmp_path / "store", block_rows=BLOCK)
    write(store, data(), 0, 10)
    array = zarr.open_array(LocalStore(tmp_path / "store" / "arrays"), path="L0.resid", mode="r")
    assert array.shape == (ROWS, 3)
    assert array.shards == (BLOCK, 3)
    values = np.asarray(array[:])
    assert np.isfinite(values[:BLOCK]).all()
    assert np.isnan(values[BLOCK:]).all()


def test_files_have_the_size_that_was_estimated(full):
    files = [p for p in (full.path / "arrays").rglob("*") if p.is_file() and p.name == "0"]
    plan_ = plan.estimate(full.request, block_rows=BLOCK)
    assert sum(path.stat().st_size for path in files) == plan_.bytes
    assert len(files) == plan_.blocks * len(WIDTHS)


def test_a_reader_sees_committed_rows_only_and_may_follow_a_writer(tmp_path):
    store = open_or_create(ask(), tmp_path / "store", block_rows=BLOCK)
    reader, rows = Store(tmp_path / "store"), data()
    with Writer(store) as writer:
        for start in range(ROWS):
            writer.append({site: values[start : start + 1] for site, values in rows.items()})
            done = reader.rows_done
            assert done == (ROWS if start + 1 == ROWS else (start + 1) // BLOCK * BLOCK)
            assert torch.equal(reader.read("L0.resid"), rows["L0.resid"][:done])
            assert reader.complete == (start + 1 == ROWS)


def test_the_same_request_finds_its_store_and_needs_no_work(full):
    again = open_or_create(ask(widths=dict(reversed(WIDTHS.items()))), full.path)
    assert again.complete
    assert again.header == full.header


def test_a_store_without_a_path_is_found_by_its_key(tmp_path, monkeypatch):
    monkeypatch.setenv("NEEDLEPOINT_CACHE", str(tmp_path))
    store = open_or_create(ask())
    assert store.path == default_place(ask()).folder
    write(store, data())
    assert open_or_create(ask()).complete
    assert not open_or_create(ask(reduce="mean")).complete


def test_another_request_in_the_same_folder_is_refused(full):
    with pytest.raises(StoreError, match="holds another request: reduce 'last', not 'mean'"):
        open_or_create(ask(reduce="mean"), full.path)


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years")
    with pytest.raises(StoreError, match="not an activation store and is not empty"):
        open_or_create(ask(), tmp_path)
    with pytest.raises(StoreError, match="not an activation store: it has no header"):
        Store(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years"


def test_an_empty_folder_is_used(tmp_path):
    (tmp_path / "store").mkdir()
    assert open_or_create(ask(), tmp_path / "store").rows_done == 0


def test_a_store_of_another_schema_is_refused_also_on_the_way_to_computing_it(full):
    path = full.path / "header.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 0, "needlepoint": "0.0"}))
    with pytest.raises(StoreError, match=r"needlepoint 0\.0 with store schema 0; this version"):
        open_or_create(ask(), full.path)


def test_what_cannot_fit_is_refused_before_a_folder_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(plan.shutil, "disk_usage", lambda path: SimpleNamespace(free=9))
    with pytest.raises(StorageFullError, match="and 9 bytes are free"):
        open_or_create(ask(), tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (slice(0, 22), "rows up to 22 were asked for; 21 are committed"),
        ([3, 21], "rows 3 to 21 were asked for; 21 are committed"),
        ([-1], "rows -1 to -1 were asked for"),
    ],
)
def test_rows_that_are_not_there_are_refused(full, rows, message):
    with pytest.raises(DataError, match=message):
        full.read("L0.resid", rows)


def test_unknown_sites_and_empty_pieces_are_refused(full):
    with pytest.raises(UnknownSiteError, match=r"no rows of site 'L9'; it has L0\.resid, L3"):
        full.read("L9")
    with pytest.raises(DataError, match="at least one row, not -1"):
        next(full.blocks("L0.resid", -1))


def damage_by_flip(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 3] ^= 1
    path.write_bytes(raw)


def damage_by_cut(path):
    path.write_bytes(path.read_bytes()[:-9])


def damage_by_removal(path):
    path.unlink()


DAMAGES = [
    (damage_by_flip, "its checksum does not match"),
    (damage_by_cut, r"it has \d+ bytes and should have \d+"),
    (damage_by_removal, "the file is missing"),
]


@pytest.mark.parametrize(("damage", "reason"), DAMAGES)
def test_a_damaged_shard_is_named_with_its_rows_and_what_to_do(full, damage, reason):
    damage(shard(full, "L3.mlp.neurons", 1))
    assert torch.equal(full.read("L3.mlp.neurons", slice(0, 8)), data()["L3.mlp.neurons"][:8])
    message = rf"site L3\.mlp\.neurons: .*c/1/0 \(rows 8 to 15\) is damaged: {reason}.*repair\(\)"
    with pytest.raises(StoreError, match=message):
        full.read("L3.mlp.neurons")
    with pytest.raises(StoreError, match=message):
        list(full.blocks("L3.mlp.neurons", 5))
    (found,) = full.verify()
    assert (found.site, found.start, found.stop) == ("L3.mlp.neurons", 8, 16)
    assert found.file == str(shard(full, "L3.mlp.neurons", 1))


@pytest.mark.parametrize(("damage", "reason"), DAMAGES)
def test_repair_uncommits_what_is_damaged_and_only_that_is_made_again(full, damage, reason):
    good = {path: path.read_bytes() for path in (full.path / "arrays").rglob("*") if path.is_file()}
    rows, blocks = full.request.rows, full.layout.blocks
    damage(shard(full, "L3.mlp.neurons", 1))
    assert full.repair() == rows - BLOCK
    assert (full.rows_done, full.ahead) == (BLOCK, set(range(2, blocks)))
    assert full.gaps() == [(BLOCK, 2 * BLOCK)]
    assert full.verify() == ()
    assert not full.complete
    with Writer(full) as writer:
        writer.append({site: values[BLOCK : 2 * BLOCK] for site, values in data().items()})
    assert full.complete
    assert {path: path.read_bytes() for path in good} == good


def test_blocks_may_be_written_in_any_order_by_several(tmp_path, full):
    store = open_or_create(ask(), tmp_path / "another", block_rows=BLOCK)
    with Writer(store) as writer:
        for block in reversed(range(store.layout.blocks)):
            start, stop = store.layout.span(block)
            part = BlockWriter(Store(store.path), start, writer.commit)
            part.append({site: values[start:stop] for site, values in data().items()})
            assert store.complete == (block == 0)
            assert store.gaps() == ([(0, start)] if block else [])
    assert files(store) == files(full)


def test_a_killed_writer_leaves_the_blocks_ahead(tmp_path):
    store = open_or_create(ask(), tmp_path / "another", block_rows=BLOCK)
    some = {site: values[2 * BLOCK : 3 * BLOCK] for site, values in data().items()}
    with Writer(store) as writer:
        BlockWriter(store, 2 * BLOCK, writer.commit).append(some)
    with Writer(store) as again:
        assert again.row == 0
    assert shard(store, "L3.mlp.neurons", 2).is_file()
    assert store.whole == {2}


def test_a_block_writer_begins_at_a_block(full):
    with pytest.raises(StoreError, match=f"row 3 is not the first of a block; blocks have {BLOCK}"):
        BlockWriter(full, 3, lambda _: None)


@pytest.mark.parametrize("ahead", ["[99]", '["a"]', "3"])
def test_a_damaged_list_of_blocks_is_refused(full, ahead):
    (full.path / "progress.json").write_text(f'{{"rows": 0, "ahead": {ahead}}}')
    with pytest.raises(StoreError, match=r"ahead is .*Call repair\(\)"):
        full.gaps()
    assert full.repair() == full.request.rows


def test_every_single_flipped_bit_of_a_shard_is_noticed(full):
    path = shard(full, "L0.resid", 2)
    raw = path.read_bytes()
    for index in range(len(raw)):
        flipped = bytearray(raw)
        flipped[index] ^= 1 << index % 8
        path.write_bytes(flipped)
        assert full.arrays["L0.resid"].damage(2) is not None, index
    path.write_bytes(raw)
    assert full.verify() == ()


def test_a_sound_store_verifies_and_repair_loses_nothing(full):
    assert full.verify() == ()
    assert full.repair() == ROWS
    assert torch.equal(full.read("L0.resid"), data()["L0.resid"])


@pytest.mark.parametrize("content", [None, "{", '{"shape": [99, 3]}'])
def test_damaged_array_metadata_is_noticed_and_put_back_without_losing_rows(full, content):
    path = full.path / "arrays" / "L0.resid" / "zarr.json"
    path.unlink() if content is None else path.write_text(content)
    store = Store(full.path)
    with pytest.raises(StoreError, match=r"L0\.resid: .*zarr\.json .*is damaged.*repair\(\)"):
        store.read("L0.resid")
    assert [found.file for found in store.verify()] == [str(path)]
    assert store.repair() == ROWS
    assert torch.equal(Store(full.path).read("L0.resid"), data()["L0.resid"])


@pytest.mark.parametrize("content", [None, "{", "{}", '{"rows": 5}', '{"rows": 99}'])
def test_a_lost_progress_file_is_found_again_from_the_files(full, content):
    path = full.path / "progress.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(StoreError, match=r"progress\.json is .*damaged.*Call repair\(\)"):
        full.read("L0.resid")
    assert full.repair() == ROWS
    assert full.complete


def test_repair_waits_for_no_one(full):
    with (
        Writer(full),
        pytest.raises(StoreError, match="being written by another process"),
    ):
        Store(full.path).repair()
