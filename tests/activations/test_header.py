"""A request has one key, a header is read as it was written or not at all."""

import json
import re

import pytest

from needlepoint._core.errors import DataError, StoreError, UnknownNameError
from needlepoint.activations.header import Header, Request, check_site, default_place


def ask(**changes):
    values = {
        "model": "toy",
        "model_sha256": "ab",
        "data_sha256": "cd",
        "widths": {"L0.resid": 3, "L1.mlp.neurons": 5},
        "rows": 10,
        "reduce": "last",
    }
    return Request(**{**values, **changes})


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"model_sha256": "ac"},
        {"data_sha256": "ce"},
        {"widths": {"L0.resid": 3}},
        {"rows": 11},
        {"reduce": "mean"},
        {"dtype": "float16"},
        {"settings": {"window": 128}},
    ],
)
def test_every_part_of_a_request_changes_its_key(change):
    assert ask(**change).key != ask().key
    assert next(iter(change)) in ask().differences(ask(**change))


def test_the_order_of_sites_and_settings_does_not_change_the_key():
    one = ask(widths={"a": 1, "b": 2}, settings={"x": 1, "y": None})
    other = ask(widths={"b": 2, "a": 1}, settings={"y": None, "x": 1})
    assert one.key == other.key
    assert re.fullmatch("[0-9a-f]{64}", one.key)


def test_the_default_place_is_in_the_cache_and_named_by_the_key(tmp_path, monkeypatch):
    monkeypatch.setenv("NEEDLEPOINT_CACHE", str(tmp_path))
    assert default_place(ask()).folder == tmp_path / "activations" / ask().key


@pytest.mark.parametrize(
    "site", ["L3.mlp.neurons", "L3.H7.z", "L3.attn.z", "L11.resid.in", "a_b-c"]
)
def test_addresses_of_sites_are_names_of_folders(site):
    check_site(site)


@pytest.mark.parametrize(
    "site",
    ["", ".", "..", "../L3", "a/b", "a\\b", "/etc", ".hidden", "a..b", "zarr.json", "a b", "a\n",
     "L3.", "__zarr", "é", "C:", "x" * 201],
)  # fmt: skip
def test_names_that_would_leave_the_folder_are_refused(site):
    with pytest.raises(StoreError, match="cannot name a site"):
        ask(widths={site: 1})


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"dtype": "float61"}, UnknownNameError, "unknown dtype 'float61'"),
        ({"widths": {}}, DataError, "at least one site"),
        ({"widths": {"a": 0}}, DataError, "site a has width 0"),
        ({"widths": {"a": 1, "A": 1}}, StoreError, "differ only in capitals"),
        ({"rows": 0}, DataError, "at least one row, not 0"),
        ({"settings": {"x": float("nan")}}, DataError, "finite numbers"),
    ],
)
def test_requests_that_mean_nothing_are_refused(change, error, message):
    with pytest.raises(error, match=message):
        ask(**change)


ARRAYS = {"L0.resid": {"shape": [10, 3]}, "L1.mlp.neurons": {"shape": [10, 5]}}


def test_a_header_comes_back_as_it_was_written(tmp_path):
    header = Header.new(ask(settings={"window": 8}), 4, ARRAYS)
    header.write(tmp_path)
    assert Header.read(tmp_path) == header


def test_any_change_to_the_header_is_noticed(tmp_path):
    Header.new(ask(), 4, {}).write(tmp_path)
    path = tmp_path / "header.json"
    path.write_text(path.read_text().replace('"rows": 10', '"rows": 11'))
    with pytest.raises(StoreError, match=r"does not match its own checksum\. Remove"):
        Header.read(tmp_path)
    path.write_text(path.read_text()[:50])
    with pytest.raises(StoreError, match=r"header\.json is missing or damaged"):
        Header.read(tmp_path)


def test_another_schema_version_says_who_wrote_it_and_what_to_do(tmp_path):
    Header.new(ask(), 4, {}).write(tmp_path)
    path = tmp_path / "header.json"
    values = {**json.loads(path.read_text()), "schema": 99, "needlepoint": "7.3.0"}
    path.write_text(json.dumps(values))
    with pytest.raises(
        StoreError, match=r"written by needlepoint 7\.3\.0 with store schema 99.*or remove"
    ):
        Header.read(tmp_path)


def test_a_folder_without_a_header_is_not_a_store(tmp_path):
    with pytest.raises(StoreError, match=r"not an activation store: it has no header\.json"):
        Header.read(tmp_path)


def test_a_header_that_is_not_an_object_is_damaged(tmp_path):
    (tmp_path / "header.json").write_text("[1]")
    with pytest.raises(StoreError, match="should hold one JSON object"):
        Header.read(tmp_path)
