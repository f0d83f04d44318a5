"""The command `needlepoint superposition`: what is checked before, what is printed after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.console import Console

from needlepoint._core.errors import unknown_name
from needlepoint._core.records import Record, RunFolder
from needlepoint.cli.printed import number, print_table, table
from needlepoint.evaluation.case_studies.configs import (
    ALL,
    CompoundsConfig,
    SuperpositionConfig,
)


def check_superposition(config: SuperpositionConfig) -> None:
    """Refuse words and sources that the collection does not have.

    Raises:
        UnknownNameError: If the word is no compound of the collection.
        DataError: If the collection has no such source.
    """
    from needlepoint.features import COLLECTIONS

    spec = COLLECTIONS["compound_words"]
    spec.check_source(config.source or None)
    if config.word and config.word not in spec.features:
        raise unknown_name("compound", config.word, spec.features)


def check_compounds(config: CompoundsConfig) -> None:
    """Refuse compounds and sources that the collection does not have.

    Raises:
        UnknownNameError: If one of them is no compound of the collection.
        DataError: If the collection has no such source.
    """
    for word in config.compounds:
        named = "" if word == ALL else word
        check_superposition(SuperpositionConfig(word=named, source=config.source))


def show_superposition(console: Console, run: RunFolder, record: Record) -> None:
    """Print the sum, its neurons alone, its rivals, and what else they fire on."""
    sums = run.table(record.cell, "sums")
    shown = table("", "neurons", "F1>", "95% interval", "AUC>")
    for row in sums.to_dict("records"):
        shown.add_row(
            str(row["probe"]),
            str(row["sites"]),
            number(row["f1"]),
            f"{number(row['f1_low'])}-{number(row['f1_high'])}",
            number(row["auc"]),
        )
    for key, words in (("random_sums", "random sums"), ("shuffled", "shuffled")):
        f1, auc = record.summary[key]["f1"], record.summary[key]["auc"]
        span = f"{number(f1['low'])}-{number(f1['high'])}"
        shown.add_row(words, "", number(f1["estimate"]), span, number(auc["estimate"]))
    print_table(console, "On windows not used to choose them", shown)
    firing = run.table(record.cell, "firing")
    shown = table("fires", "on tokens>", "of these the compound>", "different other pairs>")
    for row in firing.to_dict("records"):
        shown.add_row(
            str(row["site"]), str(row["fires"]), number(row["precision"]), str(row["pairs"])
        )
    tokens = record.summary["firing"]["tokens"]
    print_table(console, f"What else they fire on, of {tokens:,} tokens", shown)


def show_compounds(console: Console, run: RunFolder, record: Record) -> None:
    """Print the sum of each compound beside the best single neuron, and what the gaps show."""
    shown = table(
        "compound", "neuron", "sum F1>", "less neuron's>", "q>", "sum AP>", "less neuron's>", "q>"
    )
    for row in run.table(record.cell, "compounds").to_dict("records"):
        shown.add_row(
            str(row["word"]),
            str(row["neuron"]),
            number(row["f1"]),
            _gap(row, "gap"),
            number(row["q_value"], 3),
            number(row["ap"]),
            _gap(row, "ap_gap"),
            number(row["ap_q"], 3),
        )
    print_table(console, "The sum and the best single neuron, on texts not used to choose", shown)
    note = (
        "F1: on windows that end in one of the two words. AP: average precision over every token "
        "of those and of windows of other compounds. Less neuron's: how far the sum is ahead of "
        "the best single neuron, which is named, with its 95% interval. q: Benjamini-Hochberg over "
        "the compounds."
    )
    console.print(note, style="dim", highlight=False)


def _gap(row: Mapping[Any, Any], name: str) -> str:
    """A difference with its interval, where documents are enough for one."""
    ends = [row[f"{name}_{end}"] for end in ("low", "high")]
    value = number(row[name], signed=True)
    if any(end is None or pd.isna(end) for end in ends):
        return value
    low, high = (number(end, signed=True) for end in ends)
    return f"{value} ({low} to {high})"
