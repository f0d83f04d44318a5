"""The dossier of neurons on the command line: what can be refused early, and what was found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from needlepoint._core.errors import unknown_name
from needlepoint._core.records import Record, RunFolder
from needlepoint.cli.printed import number, print_table, table
from needlepoint.evaluation.checks import Words
from needlepoint.evaluation.dossier.config import DossierConfig

EXCERPTS = 4
GRAMS = 8
SHOWN = 12
"""Tokens of an excerpt before the strongest one."""


def check_dossier(config: DossierConfig) -> None:
    """Refuse files that cannot be read, and labels that are not there.

    Raises:
        UnknownNameError: If the collection or its feature is not known.
        DataError: If a file cannot be used.
    """
    from needlepoint.evaluation.dossier.corpus import read_documents
    from needlepoint.features import collection_spec, load_collection

    if config.text:
        read_documents(Path(config.text))
    if not config.features:
        return
    spec = collection_spec(config.collection)
    found = spec.features if spec else load_collection(config.collection, Words()).features
    if config.feature and config.feature not in found:
        raise unknown_name(f"feature of {config.collection}", config.feature, found)


def show_dossier(console: Console, run: RunFolder, record: Record) -> None:
    """Print for each neuron its strongest contexts, its n-grams, ablation and likes."""
    names = ("excerpts", "ngrams", "ablation", "logits", "similar", "strata")
    tables = {name: run.table(record.cell, name) for name in names}
    for neuron in record.summary["neurons"]:
        site = neuron["site"]
        own = {
            name: frame[frame["sites" if name == "ablation" else "site"] == site]
            for name, frame in tables.items()
        }
        console.print()
        console.print(site, style="bold", highlight=False)
        _show_excerpts(console, own["excerpts"])
        _show_grams(console, own["ngrams"], neuron["ngrams"])
        _show_strata(console, own["strata"])
        _show_ablation(console, own["ablation"])
        _show_words(console, own["logits"], own["similar"])
        _show_weights(console, neuron["weights"], record.summary["weights"])


def _show_excerpts(console: Console, excerpts: pd.DataFrame) -> None:
    found = table("activation>", "strongest contexts", "", "document")
    top = excerpts[excerpts["group"] == "top"].sort_values("rank")
    for row in top.head(EXCERPTS).to_dict("records"):
        tokens, place = list(row["tokens"]), row["place"]
        before = _line("".join(tokens[max(place - SHOWN, 0) : place]))
        found.add_row(number(row["activation"]), before, _line(tokens[place]), row["document"])
    print_table(console, "Where it is strongest; the token that excites it stands last", found)


def _show_grams(console: Console, grams: pd.DataFrame, summary: Mapping[str, Any]) -> None:
    driving = grams[grams["drives"]]
    if driving.empty:
        return
    order = (driving["mean"] - driving["token_mean"].median()).abs().sort_values(ascending=False)
    found = table("n-gram", "mean>", "token anywhere>", "times>", "group>")
    for row in driving.loc[order.index].head(GRAMS).to_dict("records"):
        words = f"{_line(row['before'])}|{_line(row['token'])}"
        means = (number(row["mean"]), number(row["token_mean"]))
        found.add_row(words, *means, str(row["count"]), str(row["group"] + 1))
    title = f"{len(driving)} n-grams that drive it, {summary['n_unrelated']} of them unrelated"
    print_table(console, title, found)


def _show_strata(console: Console, strata: pd.DataFrame) -> None:
    if strata["precision"].isna().all():
        return
    found = table("tokens by activation", "with the feature>", "95% interval", "tokens>")
    for row in strata.iloc[::-1].to_dict("records"):
        ends = f"{row['precision_low']:.2f}-{row['precision_high']:.2f}"
        found.add_row(row["stratum"], f"{row['precision']:.2f}", ends, str(row["tokens"]))
    print_table(console, f"How often {strata['feature'].iloc[0]} is there", found)


def _show_ablation(console: Console, ablation: pd.DataFrame) -> None:
    found = table("switched off", "texts", "loss of", "rise>", "95% interval", "others>", "p>")
    keys = ["mode", "texts", "positions"]
    random = ablation[ablation["neurons"] == "random"].set_index(keys)["loss_increase"]
    for row in ablation[ablation["neurons"] == "found"].to_dict("records"):
        other = random.get(tuple(row[key] for key in keys))
        found.add_row(
            row["mode"],
            row["texts"],
            "all tokens" if row["positions"] == "all" else "those after it fires",
            f"{row['loss_increase']:+.3f}",
            f"{row['low']:+.3f} to {row['high']:+.3f}",
            "-" if other is None else f"{other:+.3f}",
            number(row["p_value"]),
        )
    print_table(
        console, "Rise of the loss in nats per token, and for random neurons like it", found
    )


def _show_words(console: Console, logits: pd.DataFrame, similar: pd.DataFrame) -> None:
    console.print()
    for side in ("promoted", "suppressed"):
        tokens = logits[logits["side"] == side].sort_values("rank")["token"].head(8)
        console.print(f"{side}: {', '.join(map(repr, tokens))}", highlight=False, markup=False)
    for by, what in (("activation", "goes with"), ("output", "writes like")):
        rows = similar[similar["by"] == by].sort_values("rank").head(4).to_dict("records")
        words = [f"{row['other']} ({row['value']:+.2f})" for row in rows]
        console.print(f"{what}: {', '.join(words)}", highlight=False, markup=False)


def _show_weights(console: Console, weights: Mapping[str, Any], common: Mapping[str, Any]) -> None:
    shown = [
        f"{words} {number(weights[name])} ({weights[f'{name}_percentile']:.0f}th percentile)"
        for name, words in (("input_norm", "input norm"), ("output_norm", "output norm"))
    ]
    reason = common["norm_bias_reason"]
    bias = f"not defined, as {reason}" if reason else number(weights["norm_bias"])
    line = f"weights: {', '.join(shown)}; input norm x bias {bias}"
    console.print(line, highlight=False, markup=False)


def _line(text: str) -> str:
    """Text on one line."""
    return text.replace("\n", "\u21b5").replace("\t", "\u21e5")
