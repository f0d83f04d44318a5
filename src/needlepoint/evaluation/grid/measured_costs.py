"""How long cells take, from those of a run that have ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from needlepoint._core.records import Record
from needlepoint.evaluation.grid.cells import Cell

_QUESTION = ("task", "features")
_METHODS = ("methods", "method")


@dataclass(frozen=True)
class Cost:
    """Seconds that one cell takes, and how that is known."""

    seconds: float | None
    """None where it is not known."""
    basis: str
    """How it was estimated, in words."""
    at_least: bool = False
    """Whether parts of the work are not in it."""


UNKNOWN = Cost(None, "no finished cell of its kind and settings in a run that was named with --run")


def measured_cost(cell: Cell, records: Iterable[Record]) -> Cost:
    """What finished cells like this one took: the median of those most like it.

    Cells with the same settings on the same model are most like it, seeds aside; failing these,
    cells of the same model and settings with another question or method. Others say nothing.

    Example:
        >>> from needlepoint.evaluation.grid.cells import cells_of
        >>> from needlepoint.evaluation.grid.config import GridConfig
        >>> (cell,) = cells_of(GridConfig(tasks=("ioi",)))
        >>> measured_cost(cell, []).seconds is None
        True
    """
    like = [
        record
        for record in records
        if record.status == "done"
        and record.kind == cell.kind
        and record.place.get("model") == cell.model
    ]
    config = asdict(cell.config)
    for names, words in (
        (("seed",), "of the same question and settings"),
        (("seed", *_QUESTION, *_METHODS), "of another question or method"),
    ):
        own = _without(config, names)
        seconds = [r.seconds for r in like if _without(dict(r.config), names) == own]
        if seconds:
            cells = "1 finished cell" if len(seconds) == 1 else f"{len(seconds)} finished cells"
            return Cost(median(seconds), f"median of {cells} {words}")
    return UNKNOWN


def _without(config: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """A config with lists, as a record has it, and without some settings."""
    left = {name: value for name, value in config.items() if name not in set(names)}
    return {name: list(one) if isinstance(one, tuple) else one for name, one in left.items()}
