"""What was found, in the terminal."""

from __future__ import annotations

from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from needlepoint._core.records import Record, RunFolder

TOP_HEADS = 10


def show_record(console: Console, run: RunFolder, record: Record) -> None:
    """Print the answer of one record and its leading rows."""
    console.rule(f"[bold]{record.cell}")
    if record.status != "done":
        console.print(f"{record.status}: {record.reason}", markup=False)
        return
    console.print(record.summary["question"], style="bold", markup=False)
    console.print(record.summary["answer"], highlight=False, markup=False)
    if record.kind == "circuit":
        _show_heads(console, run.table(record.cell, "heads"))
        _show_methods(console, run.table(record.cell, "methods"))
    else:
        _show_features(console, record.summary["features"])
        shuffled = record.summary["shuffled"]
        console.print(shuffled["text"], highlight=False, markup=False)


def _show_heads(console: Console, heads: pd.DataFrame) -> None:
    table = Table("head", "effect", "95% interval", title="Effect of resampling, logits", box=None)
    order = heads["effect"].abs().sort_values(ascending=False).index[:TOP_HEADS]
    for _, row in heads.loc[order].iterrows():
        interval = f"{row['effect_low']:+.2f} to {row['effect_high']:+.2f}"
        table.add_row(row["site"], f"{row['effect']:+.2f}", interval)
    console.print(table)


def _show_methods(console: Console, methods: pd.DataFrame) -> None:
    table = Table(title="Which score finds the heads that matter?", box=None)
    for column in ("score", "AUC", "average precision", "seconds", ""):
        table.add_column(column, justify="left" if column in ("score", "") else "right")
    for _, row in methods.iterrows():
        table.add_row(
            row["label"],
            _number(row["auc"]),
            _number(row["average_precision"]),
            f"{row['seconds']:.1f}",
            "control" if row["control"] else "",
        )
    console.print(table)


def _show_features(console: Console, features: list[dict[str, Any]]) -> None:
    table = Table(title="Best single neuron, on texts not used to choose it", box=None)
    for column in ("feature", "neuron", "test F1", "95% interval", "p", "best k", "verdict"):
        table.add_column(column)
    for one in features:
        f1 = one["f1_one"]
        table.add_row(
            one["feature"],
            f"{'+' if one['sign'] > 0 else '-'}{one['site']}",
            _number(f1.get("estimate")),
            f"{_number(f1.get('low'))} to {_number(f1.get('high'))}",
            _number(one["p_value"], 3),
            str(one["k_best"]),
            one["verdict"],
        )
    console.print(table)


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None or pd.isna(value) else f"{value:.{digits}f}"
