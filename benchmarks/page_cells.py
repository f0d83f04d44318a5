"""Cells and tables of the pages on circuits: what a missing value says, and how figures look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from needlepoint.evaluation.metrics import average_precision_interval

Row = dict[str, Any]
LEVELS = {"heads": "activations", "nodes": "nodes", "edges": "edges"}
NOT_RUN = "not run"
NO_EDGES = "no edges"
NOT_DEFINED = "not defined"
NOT_MEASURED = "not measured"
EXTREMES = {0.0: "0.00 (no width)", 1.0: "exact"}
TINY_MB = 0.05
MEASURES = """\
- **AUC** with the 95 % interval of Hanley and McNeil, over the units of the one model, which were
  not drawn at random: read it as how much the area could move with others of their kind. *Exact*:
  every true one is ranked above every other. The formula gives the interval no width there, nor
  where it is the other way round.
- **AP**, average precision, with the 95 % score interval (Wilson) of a share of the true units,
  over units as well. It has a width where the order is exact, and leaves out that other prompts
  would call other units true.
- **F1, precision at k**: of the first k, where k is how many are true. Both are then one number.
- **Paper's F1**: what the authors of the discrete autoencoder compute under the name of F1. It is
  not F1.
"""
MEASURED = """\
- **Passes** are prompts through the whole network. Those of scores that read activations are the
  passes that read them; the time and memory of these are shared by all such scores and are in none
  of their figures.
- **Codes** that several scores are made of are trained once: what that takes is in the figures of
  the first of these scores alone.
- **Seconds** are of a machine with other work beside it: processor seconds compare better than
  wall time.
- **Peak MB** is memory above what was held when the method began.
"""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> str:
    """A table, its first columns words and the others figures."""
    lines = ["| " + " | ".join(head) + " |"]
    lines.append("|" + "---|" * words + "---:|" * (len(head) - words))
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def titled(row: Row) -> str:
    """The name of a method, a control in italics."""
    return f"*{row['label']}*" if row["control"] else str(row["label"])


def interval_cell(value: float, low: float, high: float) -> str:
    """A value with its interval."""
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def area_cell(value: float | None, low: float | None, high: float | None) -> str:
    """An area under the ROC curve with its interval, which has no width where it is 0 or 1."""
    if value is None or low is None or high is None:
        return NOT_DEFINED
    return EXTREMES.get(value) or interval_cell(value, low, high)


def precision_cell(value: float | None, n_true: int) -> str:
    """An average precision with its interval."""
    if value is None:
        return NOT_DEFINED
    value = min(value, 1.0)  # in older records rounding can have added to it
    return interval_cell(value, *average_precision_interval(value, n_true=n_true)[::2])


def share_cell(value: float | None) -> str:
    """A share, or another number of that size."""
    return NOT_DEFINED if value is None else f"{value:.2f}"


def chance_cell(value: float | None) -> str:
    """A probability to two digits."""
    return NOT_DEFINED if value is None else f"{value:.2g}"


def number_cell(value: float) -> str:
    """A figure to about three digits, whole from 100 on."""
    if value >= 100 or value == round(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def seconds_cell(value: float) -> str:
    """Seconds, of which less than a hundredth says nothing."""
    return "< 0.01" if value < 0.01 else number_cell(value)


def memory_cell(row: Row) -> str:
    """Peak memory in MB, of rows that were measured after what was free had been given back."""
    if not row.get("given_back"):
        return NOT_MEASURED
    megabytes = row["peak_bytes"] / 1e6
    return f"< {TINY_MB:g}" if megabytes < TINY_MB else number_cell(megabytes)


SECONDS, PASSES = ("seconds", "cpu_seconds"), ("forward_passes", "backward_passes")
COSTS = ("wall s", "processor s", "forward", "backward", "peak MB")


def cost_cells(row: Row) -> list[str]:
    """What a method cost, in the order of `COSTS`."""
    seconds = (seconds_cell(row[name]) for name in SECONDS)
    return [*seconds, *(number_cell(row[name]) for name in PASSES), memory_cell(row)]
