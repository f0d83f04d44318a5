"""The page docs/known_circuits.md, and what docs/circuits.md says of circuits that are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import mean, median
from typing import Any

from page_cells import (
    COSTS,
    LEVELS,
    MEASURED,
    MEASURES,
    NO_EDGES,
    PASSES,
    SECONDS,
    Row,
    area_cell,
    chance_cell,
    cost_cells,
    memory_cell,
    number_cell,
    precision_cell,
    seconds_cell,
    share_cell,
    table,
    titled,
)

Judged = dict[str, Any] | None
HEADS = ("method", "reads", "AUC", "AP", "F1, precision at k", "paper's F1", "p")
EDGES = ("method", "AUC", "AP", "F1, precision at k", "paper's F1", "p")
EDGES += ("nodes: AUC", "AP", "F1, precision at k")
REFUSED = "refused"
REFUSED_WORDS = f"*{REFUSED.capitalize()}*: the method cannot be asked of this model."
WORDS = f"""\
# Known circuits: every figure

Written by `python benchmarks/circuit_comparison.py --page`; do not edit it by hand. The
[page on circuits](circuits.md) sums it up and says what it means.

True are the edges that resampling can see on the pairs, one at a time; nodes and heads are true if
such an edge leaves them. Those of which a method says nothing come last. Controls are in italics.

{MEASURES}\
- **p**: probability of as many true ones among the first k, or more, in a random choice. Where ties
  are cut, of the fewest there can be.
{MEASURED}\
  What was free had been given back to the system before.
"""


def known_page(record: dict[str, Any]) -> str:
    """The page, from the record of the known circuits."""
    machine = record["machine"]
    words = (
        f"{len(record['models'])} models, {record['settings']['pairs']} pairs each, methods with "
        f"chance in them once each. {machine['processor']}, {machine['cores']} cores."
    )
    return "\n".join([WORDS, words + "\n", *(_model(one) for one in record["models"])])


def _model(one: dict[str, Any]) -> str:
    rows = sorted(one["methods"], key=lambda row: -_precision(row["heads"]))
    parts = [f"## {one['model']}", _truth(one)]
    parts += ["Edges, and the nodes they leave:", table(EDGES, _edge_rows(rows))]
    parts += ["Heads:", table(HEADS, map(_head_row, rows), words=2)] if _heads(one) else []
    parts += ["Cost:", table(("method", *COSTS), map(_cost_row, rows))]
    parts += [f"Refused: `{name}`. {why}" for name, why in one["skipped"].items()]
    return "\n\n".join(parts) + "\n"


def _truth(one: dict[str, Any]) -> str:
    rows = [row for row in one["methods"] if row["nodes"]]
    nodes, heads = rows[0]["nodes"], one["methods"][0]["heads"]
    words = (
        f"True are {one['seen']} of {one['edges']} edges, {nodes['n_true']} of {nodes['n_units']} "
        f"nodes and {heads['n_true']} of {heads['n_units']} heads."
    )
    for units, judged in (("Nodes", nodes), ("Heads", heads)):
        words += f" {units} cannot be judged, since {judged['reason']}." if judged["reason"] else ""
    return words


def _edge_rows(rows: Sequence[Row]) -> Iterator[list[str]]:
    """Methods that score edges or nodes, those for edges first, by average precision."""

    def order(row: Row) -> tuple[float, float]:
        return -_precision(row["edges"]), -_precision(row["nodes"])

    for row in sorted((row for row in rows if row["nodes"]), key=order):
        edges = _judged(row["edges"]) if row["edges"] else [NO_EDGES] * 5
        yield [titled(row), *edges, *_judged(row["nodes"])[:3]]


def _heads(one: dict[str, Any]) -> bool:
    """Whether heads can be judged, some of them being true and some not."""
    return not one["methods"][0]["heads"]["reason"]


def _head_row(row: Row) -> list[str]:
    return [titled(row), LEVELS[row["level"]], *_judged(row["heads"])]


def _cost_row(row: Row) -> list[str]:
    return [titled(row), *cost_cells(row["cost"])]


def _judged(found: dict[str, Any]) -> list[str]:
    precision = precision_cell(found["average_precision"], found["n_true"])
    shares = [share_cell(found[name]) for name in ("f1", "repo_f1")]
    return [judged_area(found), precision, *shares, chance_cell(found["overlap_p"])]


def judged_area(found: dict[str, Any]) -> str:
    """The AUC of a ranking with its interval, as a cell."""
    area = found["auc"] or {"estimate": None, "low": None, "high": None}
    return area_cell(area["estimate"], area["low"], area["high"])


def _precision(found: Judged) -> float:
    """Average precision to sort by, the least where there is none."""
    return -1.0 if not found or found["average_precision"] is None else found["average_precision"]


def known_section(record: dict[str, Any]) -> str:
    """What the page on circuits says of those that are known: in all, model by model, and cost."""
    parts = ["## Circuits that are known exactly", _words(record), _summary(record)]
    parts += ["### Edges, model by model", _edges_words(record), _edges_by_model(record)]
    parts += ["### Cost on known circuits", _cost_words(record), _costs(record)]
    return "\n\n".join(parts)


def _words(record: dict[str, Any]) -> str:
    models = record["models"]
    heads = sum(map(_heads, models))
    return (
        f"{len(models)} models, planted by hand or compiled by Tracr, "
        f"{record['settings']['pairs']} pairs each. True are the edges that resampling can see on "
        f"these pairs, one at a time. Heads can be judged on {heads} of them, where some matter "
        "and some do not. Exact: every true one ranked above every other. Nodes, heads and "
        "all other figures, model by model, are in [a table for each](known_circuits.md)."
    )


def by_method(record: dict[str, Any]) -> dict[str, list[Row]]:
    """The rows of each method, one for each model it was run on."""
    found: dict[str, list[Row]] = {}
    for one in record["models"]:
        for row in one["methods"]:
            found.setdefault(row["method"], []).append(row)
    return found


def _summary(record: dict[str, Any]) -> str:
    """Average precision in the mean over models, and on how many the order is exact."""
    rows = []
    for runs in by_method(record).values():
        edges, heads = ([row[units] for row in runs] for units in ("edges", "heads"))
        cells = [*(_pooled(edges) if edges[0] else [NO_EDGES] * 2), *_pooled(heads)]
        rows.append((-_mean_precision(edges), -_mean_precision(heads), [titled(runs[0]), *cells]))
    head = ("method", "edges: mean AP", "exact on", "heads: mean AP", "exact on")
    return table(head, (cells for *_, cells in sorted(rows)))


def _pooled(found: Sequence[Judged]) -> list[str]:
    judged = [one for one in found if one and not one["reason"]]
    exact = sum(one["auc_pessimistic"] == 1 for one in judged)
    return [f"{_mean_precision(found):.2f}", f"{exact} of {len(judged)}"]


def _mean_precision(found: Sequence[Judged]) -> float:
    known = [one["average_precision"] for one in found if one and not one["reason"]]
    return mean(known) if known else -1.0


def _edges_words(record: dict[str, Any]) -> str:
    words = (
        "AUC with its interval over edges; *exact*: every true edge ranked above every other, "
        "where there is no width to the interval. Few edges are true and most of the others are "
        "easy, so an AUC of .9 is not much. Edges of which a method says nothing come last."
    )
    refused = any(one["skipped"] for one in record["models"])
    return f"{words} {REFUSED_WORDS}" if refused else words


def _edges_by_model(record: dict[str, Any]) -> str:
    asked = {name: runs for name, runs in by_method(record).items() if runs[0]["edges"]}
    order = sorted(asked, key=lambda name: -_mean_precision([row["edges"] for row in asked[name]]))
    head = ["model", "true edges", *(titled(asked[name][0]) for name in order)]
    rows = []
    for one in record["models"]:
        found = {row["method"]: row["edges"] for row in one["methods"]}
        cells = (judged_area(found[name]) if name in found else REFUSED for name in order)
        rows.append([one["model"], f"{one['seen']} of {one['edges']}", *cells])
    return table(head, rows)


def _cost_words(record: dict[str, Any]) -> str:
    machine = record["machine"]
    return (
        f"Medians over the {len(record['models'])} models, with the largest in brackets, on one "
        f"thread of {machine['cores']} cores ({machine['processor']}), other work beside it; each "
        "method was run once on a small model before. Passes and memory are counted as above."
    )


def _costs(record: dict[str, Any]) -> str:
    rows = []
    for runs in by_method(record).values():
        costs = [row["cost"] for row in runs]
        cells = [_spread([cost[name] for cost in costs], seconds_cell) for name in SECONDS]
        cells += [_spread([cost[name] for cost in costs], number_cell) for name in PASSES]
        order = median(cost["cpu_seconds"] for cost in costs)
        rows.append((order, [titled(runs[0]), *cells, _memory(costs)]))
    return table(("method", *COSTS), (cells for _, cells in sorted(rows)))


def _spread(values: Sequence[float], cell: Callable[[float], str]) -> str:
    return f"{cell(median(values))} ({cell(max(values))})"


def _memory(costs: Sequence[Row]) -> str:
    order = sorted(costs, key=lambda cost: int(cost["peak_bytes"]))
    return f"{memory_cell(order[len(order) // 2])} ({memory_cell(order[-1])})"
