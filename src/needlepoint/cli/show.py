"""What was found, in the terminal."""

from __future__ import annotations

from typing import Any, Literal

import pandas as pd
from rich.console import Console
from rich.table import Table

from needlepoint._core.records import Record, RunFolder
from needlepoint.cli.studies import named, study_of

TOP_HEADS = 10


def show_record(console: Console, run: RunFolder, record: Record) -> None:
    """Print the answer of one record and its leading rows."""
    console.print()
    console.rule(f"[bold]{record.cell}", align="left")
    if record.status != "done":
        console.print(_why_not(record), markup=False, highlight=False)
        return
    console.print(record.summary["question"], style="bold", markup=False)
    console.print(record.summary["answer"], highlight=False, markup=False)
    study = study_of(record.kind)
    if study is not None:
        named(study.show)(console, run, record)


def show_circuit(console: Console, run: RunFolder, record: Record) -> None:
    """Print the heads with the largest effects, and how the scores fared."""
    unit = (record.summary.get("ablation") or {}).get("unit", "logits")
    _show_heads(console, run.table(record.cell, "heads"), unit)
    _show_methods(console, run.table(record.cell, "methods"))


def show_probe(console: Console, run: RunFolder, record: Record) -> None:
    """Print the best neuron of each feature, and what shuffled labels gave."""
    _show_features(console, record.summary["features"])
    console.print()
    console.print(record.summary["shuffled"]["text"], highlight=False, markup=False)


def _why_not(record: Record) -> str:
    """The reason; of a traceback only its last line, as the record has the rest."""
    lines = record.reason.strip().splitlines() or ["no reason was recorded"]
    where = "; its record has the traceback" if record.status == "failed" else ""
    return f"{record.status}: {lines[-1]}{where}"


def _show_heads(console: Console, heads: pd.DataFrame, unit: str) -> None:
    table = _table("head", "effect>", "95% interval", "matters")
    order = heads["effect"].abs().sort_values(ascending=False).index[:TOP_HEADS]
    for _, row in heads.loc[order].iterrows():
        interval = f"{row['effect_low']:+.2f} to {row['effect_high']:+.2f}"
        matters = "yes" if row["matters"] else "no"
        table.add_row(row["site"], f"{row['effect']:+.2f}", interval, matters)
    _print(console, f"Heads with the largest effect when resampled ({unit})", table)


def _show_methods(console: Console, methods: pd.DataFrame) -> None:
    table = _table("score", "AUC>", "average precision>", "seconds>", "")
    for _, row in methods.iterrows():
        table.add_row(
            row["label"],
            _number(row["auc"]),
            _number(row["average_precision"]),
            f"{row['seconds']:.1f}",
            "control" if row["control"] else "",
        )
    _print(console, "Which score finds the heads that matter?", table)


def _show_features(console: Console, features: list[dict[str, Any]]) -> None:
    table = _table("feature", "neuron", "F1>", "95% interval", "q>", "tokens>", "verdict")
    for one in features:
        f1, tokens = one["f1_one"], one.get("token_f1") or {}
        table.add_row(
            one["feature"],
            f"{'+' if one['sign'] > 0 else '-'}{one['site']}",
            _number(f1.get("estimate")),
            f"{_number(f1.get('low'))}-{_number(f1.get('high'))}",
            _number(one.get("q_value"), 3),
            _number(tokens.get("estimate")),
            _short(one["verdict"]),
        )
    title = "Best single neuron for each feature, on texts not used to choose it"
    _print(console, title, table)
    note = (
        "+ or -: the neuron is higher or lower on texts with the feature. q: p over all neurons, "
        "corrected for the features. tokens: F1 from which tokens there are, without the model."
    )
    console.print(note, style="dim", highlight=False)


def _short(verdict: str) -> str:
    """A verdict in two words.

    Example:
        >>> _short("a few neurons (k = 12)"), _short("explained by token identity")
        ('12 neurons', 'token identity')
    """
    if verdict.startswith("a few neurons (k = "):
        return f"{verdict.partition(' = ')[2].rstrip(')')} neurons"
    return verdict.removeprefix("explained by ")


def _table(*names: str) -> Table:
    """A table with these columns; those whose name ends in `>` are numbers."""
    table = Table(box=None, pad_edge=False)
    for name in names:
        justify: Literal["left", "right"] = "right" if name.endswith(">") else "left"
        table.add_column(name.removesuffix(">"), justify=justify, overflow="fold")
    return table


def _print(console: Console, title: str, table: Table) -> None:
    console.print()
    console.print(title, style="italic", highlight=False)
    console.print(table, markup=False, highlight=False)


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None or pd.isna(value) else f"{value:.{digits}f}"
