"""What a study of heads found, in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.console import Console

from needlepoint._core.records import Record, RunFolder
from needlepoint.cli.printed import number, print_table, table
from needlepoint.report.completeness_words import completeness_sentences
from needlepoint.report.literature_table import literature_sentences
from needlepoint.report.sentences import stability_sentence
from needlepoint.report.stability_table import stays_of, stays_sentence

TOP_HEADS = 10
TOP_EDGES = 8
TOP_CANDIDATES = 10


def show_circuit(console: Console, run: RunFolder, record: Record) -> None:
    """Print the heads with the largest effects, how the methods fared, and the leading edges.

    Where nothing was ablated, heads are listed as candidates.
    """
    unit = (record.summary.get("ablation") or {}).get("unit", "logits")
    heads, methods = run.table(record.cell, "heads"), run.table(record.cell, "methods")
    if heads["effect"].isna().all():
        _show_candidates(console, heads, methods)
    else:
        kind = str((record.summary.get("ablation") or {}).get("kind", "resample"))
        _show_heads(console, heads, unit, kind.partition(",")[0])
        circuit = record.summary.get("circuit") or {}
        if circuit.get("judged"):
            _show_note(console, " ".join(completeness_sentences(circuit)))
        _show_note(console, stability_sentence(circuit))
    stable = run.table(record.cell, "stability") if "stability" in record.tables else None
    _show_methods(console, methods, stable)
    if record.summary.get("reading"):
        _show_note(console, f"Scores of activations read the {record.summary['reading']}.")
    for name, reason in (record.summary.get("skipped") or {}).items():
        console.print(f"left out: {name}: {reason}", highlight=False, markup=False)
    if "literature" in record.tables:
        _show_literature(console, record.summary, run.table(record.cell, "literature"))
    if "edges" in record.tables:
        _show_edges(console, run.table(record.cell, "edges"), methods, unit)


def _show_heads(console: Console, heads: pd.DataFrame, unit: str, kind: str) -> None:
    found = table("head", "effect>", "95% interval", "matters")
    order = heads["effect"].abs().sort_values(ascending=False).index[:TOP_HEADS]
    for _, row in heads.loc[order].iterrows():
        matters = "yes" if row["matters"] else "no"
        effect = number(row["effect"], signed=True)
        found.add_row(row["site"], effect, _interval(row, "effect"), matters)
    how = {"mean": "set to its mean", "zero": "set to zero"}.get(kind.split(" ")[0], "resampled")
    print_table(console, f"Heads with the largest effect when {how} ({unit})", found)


def _show_note(console: Console, text: str) -> None:
    if text:
        console.print(text, style="dim", markup=False, highlight=False)


def _show_candidates(console: Console, heads: pd.DataFrame, methods: pd.DataFrame) -> None:
    """The leading heads of the first methods that are no controls, side by side."""
    asked = methods.loc[~methods["control"].astype(bool)].head(3)
    names = [name for name in asked["method"] if f"score.{name}" in heads]
    if not names:
        return
    labels = asked.set_index("method")["label"]
    found = table("rank>", *[str(labels[name]) for name in names])
    orders = [heads.sort_values(f"score.{name}", ascending=False, kind="stable") for name in names]
    for rank in range(min(TOP_CANDIDATES, len(heads))):
        cells = [
            f"{order['site'].iloc[rank]}  {number(order[f'score.{name}'].iloc[rank])}"
            for name, order in zip(names, orders, strict=True)
        ]
        found.add_row(str(rank + 1), *cells)
    print_table(console, "Candidates: heads by score (nothing was ablated)", found)


def _show_methods(console: Console, methods: pd.DataFrame, stable: pd.DataFrame | None) -> None:
    judged = bool(methods[["auc", "average_precision"]].notna().any(axis=None))
    counted = "forward_passes" in methods
    stays = {} if stable is None else stays_of(stable)
    found = table(
        "method",
        *(["AUC>", "AP>", "95%>"] if judged else []),
        *(["stays>"] if stays else []),
        *(["forward>", "backward>"] if counted else []),
        "seconds>",
    )
    for row in methods.to_dict("records"):
        found.add_row(
            f"{'* ' if row['control'] else ''}{row['label']}",
            *([number(row["auc"]), *_with_ends(row, "average_precision")] if judged else []),
            *([number(stays.get(row["method"]))] if stays else []),
            *([_count(row["forward_passes"]), _count(row["backward_passes"])] if counted else []),
            number(row["seconds"], 1),
        )
    title = "Which method finds the heads that matter?" if judged else "Methods and their cost"
    if counted:
        title = f"{title} (forward, backward: prompts run)"
    print_table(console, title, found)
    words = ["AP: average precision. 95%: its interval over heads."] if judged else []
    words += ["*: a control, there to be beaten."] if methods["control"].any() else []
    words += [] if stable is None else [stays_sentence(stable, methods)]
    _show_note(console, " ".join(words))


def _show_literature(
    console: Console, summary: Mapping[str, Any], literature: pd.DataFrame
) -> None:
    """Each list that was published of the circuit, and how well methods find what it names."""
    for published in summary.get("literature") or []:
        own = literature[literature["variant"] == published["variant"]]
        for units, rows in own.groupby("units", sort=False):
            _show_list(console, published, str(units), rows)
    for sentence in literature_sentences(summary):
        _show_note(console, sentence)


def _show_list(
    console: Console, published: Mapping[str, Any], units: str, rows: pd.DataFrame
) -> None:
    ends = "95%>"
    found = table("method", "AUC>", ends, "AP>", ends, "F1>", "P at k>", "repo-F1>")
    for row in rows.to_dict("records"):
        areas = (*_with_ends(row, "auc"), *_with_ends(row, "average_precision"))
        measures = (number(row[name]) for name in ("f1", "precision_at_k", "repo_f1"))
        found.add_row(str(row["label"]), *areas, *measures)
    n_true, n_units = int(rows["n_true"].iloc[0]), int(rows["n_units"].iloc[0])
    title = f"Against the literature: list {published['variant']!r} for {published['model']}"
    print_table(console, f"{title}, {n_true} of {n_units:,} {units}", found)


def _show_edges(console: Console, edges: pd.DataFrame, methods: pd.DataFrame, unit: str) -> None:
    """The edges of the method that has the most exact effects: it is the one that was patched."""
    known = edges.dropna(subset=["effect"])
    if known.empty:
        return
    method = known["method"].value_counts(sort=False).idxmax()
    label = methods.set_index("method")["label"].get(method, method)
    found = table("edge", "score>", "effect>", "95% interval", "")
    for row in known[known["method"] == method].head(TOP_EDGES).to_dict("records"):
        found.add_row(
            f"{row['writer']} -> {row['reader']}",
            number(row["score"], 3, signed=True),
            number(row["effect"], signed=True),
            _interval(row, "effect"),
            "confirmed" if row["confirmed"] else "not confirmed",
        )
    print_table(console, f"Leading edges of {label}, and what cutting each does ({unit})", found)


def _with_ends(row: Mapping[Any, Any], name: str) -> tuple[str, str]:
    """A value and its interval, which earlier versions did not keep of all.

    Example:
        >>> _with_ends({"auc": 0.8, "auc_low": 0.7, "auc_high": 0.9}, "auc")
        ('0.80', '0.70-0.90')
    """
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    known = low is not None and pd.notna(low)
    return number(row[name]), f"{number(low)}-{number(high)}" if known else "-"


def _interval(row: Any, name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{number(low, signed=True)} to {number(high, signed=True)}"


def _count(value: Any) -> str:
    return "-" if value is None or pd.isna(value) else f"{float(value):,.0f}"
