"""How far two sets of results agree: to the bit, to how many digits, or not at all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from needlepoint._core.records import jsonable

NOT_RESULTS = ("seconds", "peak_bytes")
"""What is measured of the machine and differs from run to run: times and memory."""
ALL_DIGITS = 16
"""Digits of numbers that are the same to the bit."""


@dataclass(frozen=True)
class Agreement:
    """How far one table, one set of arrays or the summary of two cells agree."""

    part: str
    """`summary`, `arrays`, or the name of a table."""
    values: int
    """How many numbers and texts were compared."""
    digits: int
    """Significant digits that every number has in common, 16 if they are the same to the bit.

    Differences are taken against the largest number of the same column, as what is near zero
    there is only noise."""
    where: str = ""
    """The column in which numbers differ most; empty if none does."""
    differ: tuple[str, ...] = ()
    """What differs and is no number, or is there only once: a sentence each."""

    @property
    def same(self) -> bool:
        """Whether everything is the same to the bit."""
        return self.digits == ALL_DIGITS and not self.differ


def agreement(part: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Agreement:
    """Compare two sets of columns, each a list of numbers, texts or lists of them.

    Example:
        >>> found = agreement("heads", {"effect": [1.0, 0.5]}, {"effect": [1.0, 0.5001]})
        >>> found.digits, found.where, found.same
        (4, 'effect', False)
    """
    differ = [
        f"{name} is only in the {which}"
        for one, other, which in ((first, second, "first"), (second, first, "second"))
        for name in one
        if name not in other
    ]
    digits, where, values = ALL_DIGITS, "", 0
    for name in first:
        if name not in second:
            continue
        one, two = list(_flat(first[name])), list(_flat(second[name]))
        values += len(one)
        if len(one) != len(two):
            differ.append(f"{name} has {len(one)} values in the first, {len(two)} in the second")
            continue
        unlike = sum(not _same(a, b) for a, b in zip(one, two, strict=True) if not _numbers(a, b))
        if unlike:
            differ.append(f"{name} differs in {unlike} of {len(one)} places")
        found = _digits([(a, b) for a, b in zip(one, two, strict=True) if _numbers(a, b)])
        if found < digits:
            digits, where = found, name
    return Agreement(part, values, digits, where, tuple(differ))


def columns_of_table(frame: pd.DataFrame) -> dict[str, Any]:
    """The columns of a table that are results."""
    return {str(name): frame[name].tolist() for name in frame if name not in NOT_RESULTS}


def columns_of_summary(summary: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The values of a summary, those that stand in one place of a list's items together.

    Example:
        >>> columns_of_summary({"features": [{"f1": 0.5}, {"f1": 1.0}], "seconds": {"all": 3}})
        {'features.f1': [0.5, 1.0]}
    """
    found: dict[str, list[Any]] = {}
    for name, value in _leaves("", jsonable(summary)):
        found.setdefault(name, []).append(value)
    return found


def columns_of_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The numbers of each array, one after another."""
    return {name: array.ravel().tolist() for name, array in arrays.items()}


def _leaves(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name not in NOT_RESULTS:
                yield from _leaves(f"{place}.{name}" if place else name, item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(place, item)
    else:
        yield place, value


def _flat(value: Any) -> Iterator[Any]:
    """The values of lists in lists, in order."""
    if isinstance(value, (list, tuple, np.ndarray)):
        for item in value:
            yield from _flat(item)
    else:
        yield value


def _numbers(first: Any, second: Any) -> bool:
    """Whether both are numbers that can be subtracted."""
    return all(
        isinstance(one, (int, float)) and not isinstance(one, bool) and math.isfinite(one)
        for one in (first, second)
    )


def _same(first: Any, second: Any) -> bool:
    """Whether two values are alike; what is missing is like what is missing only."""
    if pd.isna(first) or pd.isna(second):
        return bool(pd.isna(first) and pd.isna(second))
    return bool(first == second)


def _digits(pairs: Sequence[tuple[Any, Any]]) -> int:
    """Significant digits in common, against the largest number."""
    gap = max((abs(one - two) for one, two in pairs), default=0.0)
    if gap == 0:
        return ALL_DIGITS
    largest = max(max(abs(one), abs(two)) for one, two in pairs)
    return min(ALL_DIGITS - 1, max(0, math.floor(-math.log10(gap / largest) + 1e-9)))
