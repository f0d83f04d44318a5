"""Plans are exact, stay within their bounds, and refuse what cannot fit."""

from collections import namedtuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from needlepoint._core.errors import DataError, StorageFullError
from needlepoint.activations import plan
from needlepoint.activations.header import Request
from needlepoint.activations.plan import Layout, check_space, estimate


def ask(widths, rows, dtype="float32"):
    return Request("toy", "ab", "cd", widths, rows, "mean", dtype)


@settings(max_examples=100, deadline=None)
@given(
    widths=st.lists(st.integers(1, 100_000), min_size=1, max_size=6),
    rows=st.integers(1, 10**7),
    dtype=st.sampled_from(["float32", "float16", "bfloat16"]),
)
def test_blocks_and_chunks_stay_within_their_bounds(widths, rows, dtype):
    layout = Layout.of(ask({f"s{i}": w for i, w in enumerate(widths)}, rows, dtype))
    assert layout.block_rows * layout.itemsize * sum(widths) <= plan.BLOCK_BYTES
    assert layout.span(layout.blocks - 1)[1] == rows
    for site, width in layout.widths.items():
        chunk = layout.chunk_rows(site)
        assert layout.block_rows % chunk == 0
        assert chunk <= plan.CHUNK_ROWS
        assert chunk * width * layout.itemsize <= plan.CHUNK_BYTES
        assert layout.shard_bytes(site, 0) <= 1.1 * plan.SHARD_BYTES


def test_a_row_wider_than_a_block_still_has_a_layout():
    layout = Layout.of(ask({"a": 2 * plan.BLOCK_BYTES}, 3))
    assert (layout.block_rows, layout.chunk_rows("a"), layout.blocks) == (1, 1, 3)


def test_a_long_narrow_site_is_cut_into_files_of_64_mib():
    layout = Layout.of(ask({"a": 1024}, 10**6))
    assert layout.block_rows * 4096 == plan.SHARD_BYTES
    assert layout.chunk_rows("a") == 1024


def test_bytes_left_go_down_to_nothing():
    layout = Layout.of(ask({"a": 7, "b": 3}, 21), block_rows=8)
    left = [layout.bytes_from(row) for row in (0, 8, 16, 21)]
    shard = layout.shard_bytes("a", 0) + layout.shard_bytes("b", 0)
    assert left[0] - left[1] == left[1] - left[2] == shard
    assert left[3] == 0


def test_the_sentence_says_what_it_takes():
    one = estimate(ask({f"L{i}.mlp.neurons": 1536 for i in range(30)}, 4096))
    assert one.sentence(rate=4096 / 720) == (
        "4,096 rows x 30 sites x 1536 = 755 MB, about 12 minutes"
    )
    assert one.seconds(2048.0) == 2.0
    mixed = estimate(ask({"a": 1000, "b": 24}, 1000, "float16"))
    assert str(mixed) == "1,000 rows x 1,024 numbers at 2 sites = 2.1 MB"
    assert str(estimate(ask({"a": 2}, 1))).startswith("1 rows x 1 site x 2 = ")


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_a_rate_that_is_not_positive_gives_no_time(rate):
    with pytest.raises(DataError, match="a rate must be above 0"):
        estimate(ask({"a": 1}, 1)).seconds(rate)


def test_a_block_of_no_rows_is_refused():
    with pytest.raises(DataError, match="at least one row, not 0"):
        Layout.of(ask({"a": 1}, 1), block_rows=0)


def test_space_is_checked_where_the_folder_will_be(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    asked = []

    def disk_usage(path):
        asked.append(path)
        return usage(10, 0, 2_000_000)

    monkeypatch.setattr(plan.shutil, "disk_usage", disk_usage)
    check_space(2_000_000, tmp_path / "not" / "yet")
    with pytest.raises(StorageFullError, match=r"need 755 MB and 2.0 MB are free at .*: free some"):
        check_space(755 * 10**6, tmp_path / "not" / "yet")
    assert asked == [tmp_path, tmp_path]
