"""Two runs side by side: what was asked differently, and the scores of the same units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from needlepoint._core.errors import DataError
from needlepoint._core.records import Record
from needlepoint.explorer.run_folders.library import Run
from needlepoint.explorer.run_folders.units import Unit, units_of

MAIN = "main value"
"""What a cell measures first: the effect of a head, the validation F1 of a neuron."""


@dataclass(frozen=True)
class Difference:
    """A setting or fact that is not alike in two runs."""

    name: str
    first: str
    second: str


@dataclass(frozen=True)
class Comparison:
    """Scores of the units that two cells share."""

    first: str
    second: str
    measure: str
    label: str
    """What the measure is called: of the main value, what it is."""
    measures: tuple[str, ...]
    """What can be compared."""
    rows: pd.DataFrame
    """`site, subject, first, second, difference, note_first, note_second`; the largest difference
    first, and missing where one run has no number."""
    correlation: float | None
    """Rank correlation of the two."""
    correlation_reason: str
    only_first: int
    only_second: int
    """Units that one of the two runs says nothing about."""


def differences(first: Run, second: Run) -> list[Difference]:
    """Settings, model and versions that two runs do not share, by name."""
    one, two = (_facts(run.folder.header) for run in (first, second))
    return [
        Difference(name, one.get(name, "not recorded"), two.get(name, "not recorded"))
        for name in sorted({*one, *two})
        if one.get(name) != two.get(name)
    ]


def comparable(run: Run) -> list[Record]:
    """The finished cells of a run that say something of heads or neurons."""
    return [
        record
        for record in run.folder.records()
        if record.status == "done" and record.kind in ("circuit", "probe")
    ]


def compare(
    first: tuple[Run, Record], second: tuple[Run, Record], measure: str = MAIN
) -> Comparison:
    """Hold the units of two cells of one kind against one another.

    Heads are matched by their site, neurons by site and feature.

    Raises:
        DataError: If the cells are of different kinds, or neither measures what is asked for.
    """
    if first[1].kind != second[1].kind:
        raise DataError(
            f"{first[1].cell} and {second[1].cell} are of different kinds; compare two circuits, "
            "or two probes."
        )
    units = [units_of(*side) for side in (first, second)]
    by_site = first[1].kind == "circuit"
    measures = (MAIN, *_shared(*units))
    if measure not in measures:
        raise DataError(f"{measure[:60]!r} cannot be compared; {', '.join(measures)} can.")
    main = units[0][0].measure if units[0] else ""
    one, two = (
        pd.DataFrame(
            [_row(unit, measure, main, by_site=by_site) for unit in some],
            columns=["key", "site", "subject", "value", "note"],
        ).drop_duplicates("key")
        for some in units
    )
    both = one.merge(two, on="key", suffixes=("_first", "_second"))
    rows = pd.DataFrame(
        {
            "site": both["site_first"],
            "subject": both["subject_first"],
            "first": both["value_first"].astype("float64"),
            "second": both["value_second"].astype("float64"),
        }
    )
    rows["difference"] = rows["second"] - rows["first"]
    rows["note_first"], rows["note_second"] = both["note_first"], both["note_second"]
    size = rows[["difference", "first"]].abs()
    order = size.sort_values(["difference", "first"], ascending=False, kind="stable").index
    correlation, reason = _correlation(rows)
    return Comparison(
        first[1].cell,
        second[1].cell,
        measure,
        main if main and measure == MAIN else measure.replace("_", " "),
        measures,
        rows.loc[order].reset_index(drop=True),
        correlation,
        reason,
        len(one) - len(both),
        len(two) - len(both),
    )


def _row(
    unit: Unit, measure: str, main: str, *, by_site: bool
) -> tuple[str, str, str, float | None, str]:
    """What stands in a comparison; an effect is not held against a score."""
    own = unit.value if unit.measure == main else None
    value = own if measure == MAIN else unit.scores.get(measure)
    key = unit.site if by_site else f"{unit.site} {unit.subject}"
    return key, unit.site, unit.subject, value, unit.note


def _shared(first: tuple[Unit, ...], second: tuple[Unit, ...]) -> list[str]:
    """Names of the scores that both have, in the order of the first."""
    one, two = (
        dict.fromkeys(name for unit in some for name in unit.scores) for some in (first, second)
    )
    return [name for name in one if name in two]


def _correlation(rows: pd.DataFrame) -> tuple[float | None, str]:
    both = rows[["first", "second"]].dropna()
    if len(both) < 3:
        return None, "fewer than 3 units have a number in both runs"
    if both["first"].nunique() < 2 or both["second"].nunique() < 2:
        return None, "all numbers of one run are the same"
    ranks = both.rank()
    return float(ranks["first"].corr(ranks["second"])), ""


_SKIPPED = ("started", "ended", "seconds", "command", "commands", "status", "schema")


def _facts(header: Mapping[str, Any]) -> dict[str, str]:
    """Everything that `run.json` says, one line for each leaf."""
    return dict(_leaves({key: value for key, value in header.items() if key not in _SKIPPED}, ""))


def _leaves(value: Any, name: str) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [
            leaf
            for key, item in value.items()
            for leaf in _leaves(item, f"{name}.{key}" if name else str(key))
        ]
    if isinstance(value, list):
        return [(name, ", ".join(map(str, value)))]
    return [(name, "none" if value is None else str(value))]
