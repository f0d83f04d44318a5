"""Whatever bytes a file holds, its reader makes sense of them or refuses them in one sentence."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def _beside(name: str) -> ModuleType:
    """A module of this folder, which the fuzzer by command uses too."""
    spec = importlib.util.spec_from_file_location(
        f"needlepoint_fuzz_{name}", Path(__file__).with_name(f"{name}.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


readers = _beside("readers")
READERS = readers.READERS
SECONDS = 10.0
"""No file of a few kilobytes takes so long, on the slowest machine."""
MORE = int(os.environ.get("NEEDLEPOINT_FUZZ", "0"))
"""Examples of each reader, other ones at each run; a few, and always the same, unless given."""
QUIET = settings(
    max_examples=MORE or 40,
    deadline=None,
    derandomize=not MORE,
    suppress_health_check=list(HealthCheck),
)
NUMBERS = st.sampled_from([0, -1, 1, 2**31, 2**63, 10**30, 1.5, 1e308, float("nan"), float("inf")])
LEAVES = (
    st.none()
    | st.booleans()
    | NUMBERS
    | st.text(max_size=8)
    | st.sampled_from(["../x", "\x00", "\ud800", "a" * 5000])
    | st.just([])
    | st.just({})
    | st.just([[["x"]]])
)


def read_in_time(reader: Any, content: bytes, folder: Path) -> str:
    start = time.perf_counter()
    said: str = readers.outcome(reader, content, folder)
    assert time.perf_counter() - start < SECONDS
    return said


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a JSON value."""
    inside = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path, *(place for key, item in inside for place in places(item, (*path, key)))]


def changed(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    """The same JSON value with another one at a place."""
    if not place:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = changed(copy[place[0]], place[1:], new)
    return copy


@pytest.mark.parametrize("name", READERS)
def test_a_seed_is_read(name: str) -> None:
    with readers.prepared(READERS[name]) as folder:
        for seed in READERS[name].seeds:
            assert read_in_time(READERS[name], seed, folder) == ""


@pytest.mark.parametrize("name", READERS)
def test_changed_bytes_are_read_or_refused(name: str) -> None:
    reader = READERS[name]

    @QUIET
    @given(st.sampled_from(reader.seeds), st.integers(0), st.binary(max_size=40), st.integers(0, 9))
    def check(seed: bytes, place: int, noise: bytes, cut: int) -> None:
        place %= len(seed) + 1
        read_in_time(reader, seed[:place] + noise + seed[place + cut :], folder)

    with readers.prepared(reader) as folder:
        check()


@pytest.mark.parametrize("name", [n for n, one in READERS.items() if one.file.endswith(".json")])
def test_changed_values_are_read_or_refused(name: str) -> None:
    reader = READERS[name]
    value = json.loads(reader.seeds[0])

    @QUIET
    @given(st.sampled_from(places(value)), LEAVES)
    def check(place: tuple[Any, ...], new: Any) -> None:
        read_in_time(reader, json.dumps(changed(value, place, new)).encode(), folder)

    with readers.prepared(reader) as folder:
        check()


def _with(name: str, *place: Any, new: Any) -> bytes:
    """A seed with another value at a place."""
    return json.dumps(changed(json.loads(READERS[name].seeds[0]), place, new)).encode()


def _flipped(name: str, place: int) -> bytes:
    seed = READERS[name].seeds[0]
    return seed[:place] + b"\x80" + seed[place + 1 :]


SCORE = ("edges", "embed->logits", "score")
TABLE, SEALED = READERS["features parquet"].seeds[0], "store header, sealed"
KEPT = {
    "a page of a table is no page": (
        "features parquet",
        b"\0" + READERS["features parquet"].seeds[0],
    ),
    "a text that is not UTF-8": ("features parquet", _flipped("features parquet", 126)),
    "a page of a run's table": ("run table", b"\0" + READERS["run table"].seeds[0]),
    "nine columns": ("treebank", b"1\ta\ta\tX\tX\t_\t0\troot\t_\n\n"),
    "a score beyond float32": (
        "circuit",
        _with("circuit", *SCORE, new=1e308),
    ),
    "a graph larger than memory": ("circuit", _with("circuit", "graph", "n_layers", new=10**9)),
    "a size of no number": ("circuit", _with("circuit", "graph", "n_layers", new="\r")),
    "a size below one": ("circuit", _with("circuit", "graph", "n_heads", new=-1)),
    "no layers at all": ("eap-ig", _with("eap-ig", "cfg", "n_layers", new=0)),
    "heads without end": ("eap-ig", _with("eap-ig", "cfg", "n_heads", new=2**31)),
    "a number that is none": ("eap-ig", _with("eap-ig", "cfg", "n_layers", new=float("inf"))),
    "a kind of two lines": ("grid run", _with("grid run", "kind", new="\x85")),
    "no version": ("grid run", _with("grid run", "inputs", "version", new=[])),
    "a header of one entry": (SEALED, b'{"schema": 1}'),
    "a request of another kind": (SEALED, _with("store header", "request", new=[])),
    "rows that are a text": (
        "store header, sealed",
        _with("store header", "request", "rows", new="9"),
    ),
    "a cell that is a list": ("record", _with("record", "cell", new=[])),
    "a table outside": ("record", _with("record", "tables", new=["../../x"])),
}
"""Inputs that once ended in something else than a sentence, or could have."""


@pytest.mark.parametrize("what", KEPT)
def test_what_once_broke_a_reader_is_refused(what: str) -> None:
    name, content = KEPT[what]
    with readers.prepared(READERS[name]) as folder:
        assert read_in_time(READERS[name], content, folder)


DEEP = b"[" * 100_000
"""More than a parser that calls itself can hold."""


@pytest.mark.parametrize("name", [n for n, one in READERS.items() if "json" in one.file])
def test_values_nested_without_end_are_refused(name: str) -> None:
    with readers.prepared(READERS[name]) as folder:
        for content in (DEEP, b'{"a":' * 50_000, b'{"text": "x", "clean": ' + DEEP):
            assert read_in_time(READERS[name], content, folder)
