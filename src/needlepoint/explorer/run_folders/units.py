"""The heads and neurons that the tables of a run say something about, in one form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pandas as pd

from needlepoint._core.errors import StoreError
from needlepoint._core.records import Record, RunFolder, jsonable
from needlepoint.explorer.run_folders.codes import CleanCode, clean_codes
from needlepoint.explorer.run_folders.library import Run

PREFERRED = "score.change_and_answer"
"""By this heads are put forward that nobody ablated, as in the answer of their study."""
KEPT = 64
"""Cells whose units are kept in memory."""


@dataclass(frozen=True)
class Unit:
    """What one run found of one head or neuron for one question."""

    site: str
    """`L3.H5` or `L12.N345`."""
    subject: str
    """The task, or the feature."""
    measure: str
    """What the value is: `effect`, `validation F1`, ..."""
    value: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""
    """What else was said of it, in a word or two."""
    scores: Mapping[str, float | None] = field(default_factory=dict)
    """Other numbers of the same row, by name."""
    codes: tuple[CleanCode, ...] | None = None
    """What a head says on clean prompts alone; None if that was not recorded."""


def units_of(run: Run, record: Record) -> tuple[Unit, ...]:
    """The units of one cell, read again only when its record has been written anew.

    Raises:
        StoreError: If a table is damaged.
    """
    stamp = run.folder.record_path(record.cell).stat().st_mtime_ns
    return _kept(run, record.cell, stamp)


@lru_cache(maxsize=KEPT)
def _kept(run: Run, cell: str, stamp: int) -> tuple[Unit, ...]:
    del stamp  # makes an entry of its own for each time the record was written
    record = run.record(cell)
    read = {"circuit": _heads, "probe": _neurons, "neuron": _dossiers}.get(record.kind)
    if read is None or record.status != "done":
        return ()
    return tuple(read(run.folder, record))


def _heads(folder: RunFolder, record: Record) -> Iterator[Unit]:
    task = str((record.summary.get("task") or {}).get("name") or record.cell.partition(".")[2])
    said, table = clean_codes(folder, record), _table(folder, record, "heads")
    measure = _measured(table)
    for row in table.to_dict("records"):
        site = str(row["site"]).removesuffix(".z")
        scores = {
            str(name).removeprefix("score."): _number(value)
            for name, value in row.items()
            if str(name).startswith("score.")
        }
        yield Unit(
            site,
            task,
            measure.removeprefix("score.").replace("_", " "),
            _number(row.get(measure)),
            _number(row.get("effect_low")),
            _number(row.get("effect_high")),
            "matters" if row.get("matters") is True else "",
            scores,
            said.get(site),
        )


def _measured(heads: pd.DataFrame) -> str:
    """The column that ranks heads: their effects, or a score where none was ablated."""
    scores = [str(name) for name in heads.columns if str(name).startswith("score.")]
    if "effect" not in heads or heads["effect"].notna().any() or not scores:
        return "effect"
    return PREFERRED if PREFERRED in scores else scores[0]


_NEURON_SCORES = {
    "mean_difference_std": "standardised mean difference",
    "f1_train": "training F1",
    "logistic_weight": "logistic weight",
}


def _neurons(folder: RunFolder, record: Record) -> Iterator[Unit]:
    """Leading neurons of each feature; the chosen one with its verdict and its test F1."""
    found = {str(one.get("feature")): one for one in record.summary.get("features") or ()}
    for row in _table(folder, record, "neurons").to_dict("records"):
        feature, site = str(row["feature"]), str(row["site"])
        scores = {words: _number(row.get(name)) for name, words in _NEURON_SCORES.items()}
        chosen = found.get(feature, {})
        note = "higher with the feature" if row.get("sign", 1) > 0 else "lower with the feature"
        if chosen.get("site") == site:
            note = f"chosen: {chosen.get('verdict')}; {note}"
            f1 = chosen.get("f1_one") or {}
            scores = {"test F1": _number(f1.get("estimate")), **scores}
        value = _number(row.get("f1_validation"))
        yield Unit(site, feature, "validation F1", value, note=note, scores=scores)


def _dossiers(folder: RunFolder, record: Record) -> Iterator[Unit]:
    del folder
    for one in record.summary.get("neurons") or ():
        firing, feature = one.get("firing") or {}, one.get("feature") or {}
        yield Unit(
            str(one.get("site")),
            str(feature.get("name") or "plain text"),
            "share of tokens it fires on",
            _number(firing.get("share")),
            note="described",
            scores={"token AUC": _number(feature.get("token_auc"))},
        )


def _table(folder: RunFolder, record: Record, name: str) -> pd.DataFrame:
    """A table that the record names, with a site in each row; else one without rows."""
    if name not in record.tables:
        return pd.DataFrame()
    table = folder.table(record.cell, name)
    if "site" not in table.columns:
        raise StoreError(f"the table {name} of {record.cell} has no column 'site'; run it again.")
    return table


def _number(value: Any) -> float | None:
    found = jsonable(value)
    return float(found) if isinstance(found, (int, float)) else None
