"""Two runs of `circuit` held against one another, from what they left on disk alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from needlepoint._core.errors import DataError
from needlepoint._core.records import Record, RunFolder
from needlepoint.evaluation.intervals import Interval
from needlepoint.evaluation.metrics import spearman


@dataclass(frozen=True, eq=False)
class CellsCompared:
    """What two runs say of the heads, and of the methods, for one task or for two.

    A value is None where it does not exist, and the reason of its name says why.
    """

    first: str
    second: str
    """The cells, `circuit.TASK`."""
    spearman: float | None
    """Rank correlation of the effects of all heads, with their signs."""
    spearman_size: float | None
    """The same of the sizes of the effects."""
    spearman_reason: str
    jaccard: float | None
    """Heads that matter in both, as a share of those that matter in either."""
    jaccard_reason: str
    n_matter: tuple[int, int]
    n_both: int
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    """Heads that matter in one of the two only. Near the line between mattering and not, a head
    can be on either side of it by chance: see whether `heads` has its difference."""
    n_heads: int
    n_differ: int | None
    """Heads whose effects differ: the 95 % interval of the difference leaves 0 out. If no effect
    differed, about 1 in 20 heads still would by chance, and fewer of those with wide intervals."""
    differ_reason: str
    heads: pd.DataFrame
    """One row for each head, largest difference first: `site, effect_first, effect_second,
    matters_first, matters_second, difference, low, high, differs`."""
    methods: pd.DataFrame
    """One row for each method in either run: `method, label`, and for `auc`, `average_precision`
    and `spearman` the values of both runs and the difference, with an interval for AUC."""

    def rows(self) -> list[tuple[str, str]]:
        """What to print, as names and values."""
        n_first, n_second = self.n_matter
        differ = (
            self.differ_reason if self.n_differ is None else f"{self.n_differ} of {self.n_heads}"
        )
        return [
            ("compared", f"{self.first} and {self.second}"),
            ("rank correlation of effects", _shown(self.spearman, self.spearman_reason)),
            ("of their sizes", _shown(self.spearman_size, self.spearman_reason)),
            ("heads that matter", f"{n_first} and {n_second}, {self.n_both} of them in both"),
            ("heads in common, of those in either", _shown(self.jaccard, self.jaccard_reason)),
            ("heads whose effects differ", differ),
        ]

    def summary(self) -> dict[str, Any]:
        """The same as plain values, tables left out."""
        found = {name: value for name, value in vars(self).items() if name not in _TABLES}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in found.items()
        }


@dataclass(frozen=True, eq=False)
class RunsCompared:
    """Two runs, cell by cell."""

    first: Path
    second: Path
    differences: tuple[str, ...]
    """What is not alike in the two runs, besides their results: model, settings. One sentence
    each; two results that differ may differ because of any of them."""
    cells: tuple[CellsCompared, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    """Cells without a counterpart."""


_TABLES = ("heads", "methods")
_MEASURES = ("auc", "average_precision", "spearman")


def compare_runs(first: Path, second: Path) -> RunsCompared:
    """Hold two run folders against one another.

    Cells of the same task are compared; if each run has one circuit and the tasks differ, those
    two are. No model is loaded.

    Raises:
        StoreError: If a folder is no run, or a table cannot be read.
        DataError: If a run has no circuit, no two cells belong together, or the models have
            different heads.
    """
    runs = RunFolder.open(first), RunFolder.open(second)
    cells = [_circuits(run) for run in runs]
    for path, found in zip((first, second), cells, strict=True):
        if not found:
            raise DataError(f"{path} has no finished circuit; make one with `needlepoint circuit`.")
    pairs = [(name, name) for name in cells[0] if name in cells[1]]
    if not pairs and len(cells[0]) == len(cells[1]) == 1:
        pairs = [(next(iter(cells[0])), next(iter(cells[1])))]
    if not pairs:
        raise DataError(
            f"the runs have no task in common: {', '.join(cells[0])} and {', '.join(cells[1])}; "
            "compare runs of one task."
        )
    tables = [
        [
            {name: run.table(cell, name) for name in _TABLES}
            for run, cell in zip(runs, pair, strict=True)
        ]
        for pair in pairs
    ]
    compared = [
        compare_cells(cells[0][one], cells[1][two], *both)
        for (one, two), both in zip(pairs, tables, strict=True)
    ]
    used = [{pair[side] for pair in pairs} for side in (0, 1)]
    return RunsCompared(
        first,
        second,
        tuple(_differences(runs[0].header, runs[1].header)),
        tuple(compared),
        tuple(name for name in cells[0] if name not in used[0]),
        tuple(name for name in cells[1] if name not in used[1]),
    )


def compare_cells(
    first: Record,
    second: Record,
    first_tables: Mapping[str, pd.DataFrame],
    second_tables: Mapping[str, pd.DataFrame],
) -> CellsCompared:
    """Hold two cells of kind `circuit` against one another, each with its tables.

    The interval of a difference takes the two estimates as independent, and adds their distances
    to the ends of their own intervals in squares. Of two runs on the same prompts the estimates
    move together, and the interval is then wider than it need be.

    Raises:
        DataError: If the two are of models with different heads.

    Source:
        Newcombe, "Interval estimation for the difference between independent proportions", 1998,
        method 10, for any two estimates with intervals.
    """
    for record, tables in ((first, first_tables), (second, second_tables)):
        if tables["heads"]["effect"].isna().all():
            raise DataError(
                f"nothing was ablated in one of the runs of {record.cell}, so there are no effects "
                "to compare: make it again with --ablate-pairs 60."
            )
    units = [_unit(record) for record in (first, second)]
    reason = "" if units[0] == units[1] else f"one is in {units[0]}, the other in {units[1]}"
    heads = _joined_heads(first_tables["heads"], second_tables["heads"], comparable=not reason)
    agreement = {
        name: _spearman(one, two)
        for name, one, two in (
            ("signed", heads["effect_first"], heads["effect_second"]),
            ("size", heads["effect_first"].abs(), heads["effect_second"].abs()),
        )
    }
    one, two = heads["matters_first"], heads["matters_second"]
    n_either = int((one | two).sum())
    return CellsCompared(
        first.cell,
        second.cell,
        agreement["signed"][0],
        agreement["size"][0],
        agreement["signed"][1] or agreement["size"][1],
        int((one & two).sum()) / n_either if n_either else None,
        "" if n_either else "no head matters in either",
        (int(one.sum()), int(two.sum())),
        int((one & two).sum()),
        tuple(heads.loc[one & ~two, "site"]),
        tuple(heads.loc[two & ~one, "site"]),
        len(heads),
        None if reason else int(heads["differs"].sum()),
        reason,
        heads,
        _joined_methods(first_tables["methods"], second_tables["methods"]),
    )


def difference_interval(first: Interval, second: Interval) -> Interval:
    """First less second with an interval, from the intervals of two independent estimates.

    Example:
        >>> difference_interval(Interval(1.0, 4.0, 7.0), Interval(0.0, 4.0, 8.0))
        Interval(low=-5.0, estimate=0.0, high=5.0)
    """
    gap = first.estimate - second.estimate
    below = math.hypot(first.estimate - first.low, second.high - second.estimate)
    above = math.hypot(first.high - first.estimate, second.estimate - second.low)
    return Interval(gap - below, gap, gap + above)


def _circuits(run: RunFolder) -> dict[str, Record]:
    """The finished circuits of a run, by the name of their cell."""
    return {
        record.cell: record
        for record in run.records()
        if record.kind == "circuit" and record.status == "done"
    }


def _unit(record: Record) -> str:
    """What the effects of a cell are counted in; logits where an older record does not say."""
    return str(record.summary.get("ablation", {}).get("unit", "logits"))


def _joined_heads(first: pd.DataFrame, second: pd.DataFrame, *, comparable: bool) -> pd.DataFrame:
    if set(first["site"]) != set(second["site"]):
        raise DataError(
            f"the runs are of models with different heads ({len(first)} and {len(second)}): "
            "compare runs of one model."
        )
    names = ["effect", "effect_low", "effect_high", "matters"]
    both = first[["site", *names]].merge(
        second[["site", *names]], on="site", suffixes=("_first", "_second"), validate="1:1"
    )
    found = both[
        ["site", "effect_first", "effect_second", "matters_first", "matters_second"]
    ].copy()
    if comparable:
        differences = [
            difference_interval(
                _interval(row, "effect", "_first"), _interval(row, "effect", "_second")
            )
            for row in both.to_dict("records")
        ]
        found["difference"] = [one.estimate for one in differences]
        found["low"] = [one.low for one in differences]
        found["high"] = [one.high for one in differences]
        found["differs"] = [one.low > 0 or one.high < 0 for one in differences]
        order = found["difference"].abs().sort_values(ascending=False, kind="stable").index
        found = found.loc[order].reset_index(drop=True)
    return found


def _joined_methods(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Measures of each method in both runs; missing where a run does not have it."""
    names = ["auc_low", "auc_high", *_MEASURES]
    both = first[["method", "label", *names]].merge(
        second[["method", "label", *names]],
        on="method",
        how="outer",
        suffixes=("_first", "_second"),
    )
    labels = both["label_first"].fillna(both["label_second"])
    found = pd.DataFrame({"method": both["method"], "label": labels})
    for name in _MEASURES:
        one, two = (both[f"{name}_{side}"].astype("float64") for side in ("first", "second"))
        found[f"{name}_first"], found[f"{name}_second"] = one, two
        found[f"{name}_difference"] = one - two
    intervals = [
        difference_interval(_interval(row, "auc", "_first"), _interval(row, "auc", "_second"))
        for row in both.astype(
            {
                f"auc{end}_{side}": "float64"
                for end in ("", "_low", "_high")
                for side in ("first", "second")
            }
        ).to_dict("records")
    ]
    found["auc_difference_low"] = [one.low for one in intervals]
    found["auc_difference_high"] = [one.high for one in intervals]
    order = found["auc_difference"].abs().sort_values(ascending=False, kind="stable").index
    return found.loc[order].reset_index(drop=True)


def _interval(row: Mapping[Any, Any], name: str, side: str) -> Interval:
    return Interval(row[f"{name}_low{side}"], row[f"{name}{side}"], row[f"{name}_high{side}"])


def _spearman(one: pd.Series, two: pd.Series) -> tuple[float | None, str]:
    for which, values in (("first", one), ("second", two)):
        if values.nunique() < 2:
            return None, f"all effects of the {which} run are the same"
    found = spearman(torch.tensor(one.to_numpy()), torch.tensor(two.to_numpy()))
    return found, ""


def _differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """One sentence for each setting in which two runs are not alike."""
    found = []
    for part, skipped in (("model", ()), ("config", ("out",))):
        one, two = (dict(header.get(part) or {}) for header in (first, second))
        for name in sorted({*one, *two} - set(skipped)):
            if one.get(name) != two.get(name):
                found.append(f"{part}: {name} is {one.get(name)!r} and {two.get(name)!r}")
    return found


def _shown(value: float | None, reason: str) -> str:
    return reason if value is None else f"{value:.2f}"
