"""The readers of files that others may have written, each with files that it can read."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from needlepoint._core.errors import NeedlepointError
from needlepoint._core.records import Record, RunFolder
from needlepoint.activations.header import Request
from needlepoint.activations.store import Store, open_or_create
from needlepoint.activations.writer import Writer
from needlepoint.circuits.exchange.circuit import Circuit
from needlepoint.circuits.exchange.eap_ig import open_eap_ig, to_eap_ig
from needlepoint.circuits.exchange.json_file import open_circuit, to_json
from needlepoint.circuits.graph.graph import Graph
from needlepoint.evaluation.grid.read_config import read_config
from needlepoint.evaluation.grid.state import GridState
from needlepoint.features.from_file import from_file as features_from_file
from needlepoint.features.treebank import read_treebank
from needlepoint.models.encoder import TokenizerEncoder
from needlepoint.tasks.from_file import from_file as task_from_file
from needlepoint.testing.tiny import byte_tokenizer


@dataclass(frozen=True)
class Reader:
    """One reader, the file that it reads, and contents that it can make sense of."""

    file: str
    """Name of the file in its folder."""
    seeds: tuple[bytes, ...]
    read: Callable[[Path], object]
    """Reads the file, or the folder that it lies in."""
    around: Callable[[Path], None] = lambda folder: None
    """Writes what else belongs into the folder, once."""
    seal: Callable[[bytes], bytes] = lambda content: content
    """Makes the content pass for whole, where it has a checksum of itself."""


def outcome(reader: Reader, content: bytes, folder: Path) -> str:
    """The sentence with which a content is refused; empty if it was read.

    Whatever else is raised is a fault of the reader, as is a sentence of several lines.
    """
    path = folder / reader.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(reader.seal(content))
    try:
        reader.read(path)
    except NeedlepointError as error:
        text = str(error)
        assert text, "a refusal says why"
        assert text.isprintable(), f"a refusal is one line of text, not {text!r}"
        return text
    return ""


@contextlib.contextmanager
def prepared(reader: Reader) -> Iterator[Path]:
    """A folder in which the reader finds all that belongs to its file."""
    with tempfile.TemporaryDirectory(prefix="needlepoint-fuzz-") as folder:
        reader.around(Path(folder))
        yield Path(folder)


@cache
def encoder() -> TokenizerEncoder:
    return TokenizerEncoder(byte_tokenizer())


LABELS = [(f"text {number}", number % 2, f"document {number}") for number in range(24)]
PAIRS = [
    {"clean": "ab c", "corrupt": "ab d", "answer": "x", "wrong": "y"},
    {"clean": "de f", "corrupt": "de g", "answer": ["x", "z"], "wrong": ["y"]},
]
TREEBANK = """# newdoc id = one
# text = It don't.
1\tIt\tit\tPRON\tPRP\tCase=Nom|Number=Sing\t2\tnsubj\t_\t_
2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
2\tdo\tdo\tAUX\tVBP\t_\t0\troot\t_\t_
3\tn't\tnot\tPART\tRB\t_\t2\tadvmod\t_\t_
4\t.\t.\tPUNCT\t.\t_\t2\tpunct\t_\t_

"""


def _csv() -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([("text", "label", "document"), *LABELS])
    return text.getvalue().encode()


def _jsonl(rows: list[dict[str, Any]]) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def _spans() -> bytes:
    rows = [{"text": text, "spans": [[0, 2, "a"], [3, 4, "b"]]} for text, *_ in LABELS]
    return _jsonl(rows)


def _labels() -> bytes:
    return _jsonl([dict(zip(("text", "label", "document"), row, strict=True)) for row in LABELS])


def _parquet() -> bytes:
    kept = io.BytesIO()
    pd.DataFrame(LABELS, columns=["text", "label", "document"]).to_parquet(kept)
    return kept.getvalue()


def _circuit() -> Circuit:
    graph = Graph(n_layers=1, n_heads=2, n_kv_heads=1)
    edges = torch.zeros(graph.n_writers, graph.n_readers, dtype=torch.bool)
    edges[0, graph.n_readers - 1] = True
    nodes = edges.any(1)
    return Circuit(graph, 4, "edges", nodes, edges, None, edges.float())


def _run(folder: Path) -> None:
    run = RunFolder.create(folder / "run", kind="circuit", config={"seed": 0})
    frame = pd.DataFrame({"site": ["L0.H0"], "effect": [0.5]})
    run.add(Record("circuit.ioi", "circuit", "done"), {"heads": frame}, {"edges": np.ones(3)})


@cache
def _written(key: str) -> bytes:
    """A file of a run folder, as it is written."""
    with tempfile.TemporaryDirectory() as folder:
        _run(Path(folder))
        return (Path(folder) / "run" / key).read_bytes()


def _run_of(path: Path) -> Path:
    return next(folder for folder in path.parents if folder.name == "run")


def _grid_header() -> bytes:
    header = json.loads(_written("run.json"))
    config = {"tasks": ["ioi"], "models": ["smollm2"]}
    inputs = {"models": {}, "data": {}, "version": "0.1.0"}
    return json.dumps({**header, "kind": "grid", "config": config, "inputs": inputs}).encode()


REQUEST = Request("toy", "ab", "cd", {"L0.resid": 3}, 10, "last")


def _store(folder: Path) -> None:
    store = open_or_create(REQUEST, folder / "store", block_rows=4)
    with Writer(store) as writer:
        writer.append({"L0.resid": torch.zeros(10, 3)})


@cache
def _of_store(key: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        _store(Path(folder))
        return (Path(folder) / "store" / key).read_bytes()


def _read_store(path: Path) -> object:
    folder = next(one for one in path.parents if one.name == "store")
    store = Store(folder)
    if store.request.rows > 100 or sum(store.request.widths.values()) > 100:
        return None  # a sound description of a store that is not there
    return store.gaps(), store.verify(), store.read(store.sites[0])


def _sealed(content: bytes) -> bytes:
    """A header with a right checksum, whatever it says."""
    try:
        values = json.loads(content)
        values.pop("sha256", None)
        text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (ValueError, AttributeError, TypeError, RecursionError):
        return content
    return json.dumps({**values, "sha256": hashlib.sha256(text.encode()).hexdigest()}).encode()


READERS: dict[str, Reader] = {
    "grid toml": Reader("g.toml", (b'tasks = ["ioi"]\n[heads]\nedges = 4\n',), read_config),
    "grid yaml": Reader("g.yaml", (b"tasks: [ioi]\nheads:\n  edges: 4\n",), read_config),
    "grid json": Reader("g.json", (b'{"tasks": ["ioi"], "heads": {"edges": 4}}',), read_config),
    "features csv": Reader("f.csv", (_csv(),), lambda path: features_from_file(path, encoder())),
    "features jsonl": Reader(
        "f.jsonl", (_labels(), _spans()), lambda path: features_from_file(path, encoder())
    ),
    "features parquet": Reader(
        "f.parquet", (_parquet(),), lambda path: features_from_file(path, encoder())
    ),
    "task": Reader("t.jsonl", (_jsonl(PAIRS),), lambda path: task_from_file(path, encoder())),
    "treebank": Reader("t.conllu", (TREEBANK.encode(),), read_treebank),
    "circuit": Reader("c.json", (json.dumps(to_json(_circuit())).encode(),), open_circuit),
    "eap-ig": Reader("e.json", (json.dumps(to_eap_ig(_circuit())).encode(),), open_eap_ig),
    "run": Reader(
        "run/run.json",
        (_written("run.json"),),
        lambda path: (RunFolder.open(_run_of(path)).header, RunFolder(_run_of(path)).records()),
        _run,
    ),
    "grid run": Reader(
        "run/run.json", (_grid_header(),), lambda path: GridState.of(_run_of(path)), _run
    ),
    "record": Reader(
        "run/records/circuit.ioi.json",
        (_written("records/circuit.ioi.json"),),
        lambda path: RunFolder.open(_run_of(path)).records(),
        _run,
    ),
    "run table": Reader(
        "run/tables/circuit.ioi.heads.parquet",
        (_written("tables/circuit.ioi.heads.parquet"),),
        lambda path: RunFolder(_run_of(path)).table("circuit.ioi", "heads"),
        _run,
    ),
    "run arrays": Reader(
        "run/arrays/circuit.ioi.safetensors",
        (_written("arrays/circuit.ioi.safetensors"),),
        lambda path: RunFolder(_run_of(path)).arrays("circuit.ioi"),
        _run,
    ),
    "store header": Reader("store/header.json", (_of_store("header.json"),), _read_store, _store),
    "store header, sealed": Reader(
        "store/header.json", (_of_store("header.json"),), _read_store, _store, _sealed
    ),
    "store progress": Reader(
        "store/progress.json",
        (_of_store("progress.json"), b'{"rows": 4, "ahead": [2]}'),
        _read_store,
        _store,
    ),
    "store array": Reader(
        "store/arrays/L0.resid/zarr.json",
        (_of_store("arrays/L0.resid/zarr.json"),),
        _read_store,
        _store,
    ),
    "store shard": Reader(
        "store/arrays/L0.resid/c/1/0",
        (_of_store("arrays/L0.resid/c/1/0"),),
        _read_store,
        _store,
    ),
}
