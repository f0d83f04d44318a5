"""What was found, in the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from needlepoint._core.records import Record, RunFolder
from needlepoint.cli.printed import number, print_table, table
from needlepoint.cli.studies import command_of
from needlepoint.evaluation.studies import named
from needlepoint.report.certificate_table import certificate_notes
from needlepoint.report.sentences import sparse_null_sentence
from needlepoint.report.tables import CellTables


def show_record(console: Console, run: RunFolder, record: Record) -> None:
    """Print the answer of one record and its leading rows."""
    console.print()
    console.rule(f"[bold]{record.cell}", align="left")
    if record.status != "done":
        console.print(_why_not(record), markup=False, highlight=False)
        return
    console.print(record.summary["question"], style="bold", markup=False)
    console.print(record.summary["answer"], highlight=False, markup=False)
    command = command_of(record.kind)
    if command is not None:
        named(command.show)(console, run, record)


def show_probe(console: Console, run: RunFolder, record: Record) -> None:
    """Print the best neuron of each feature, and what shuffled labels gave."""
    features, settings = record.summary["features"], record.summary.get("settings") or {}
    _show_features(console, features)
    said = [record.summary["shuffled"]["text"]]
    if settings.get("sparse_null"):
        said.append(sparse_null_sentence(features, settings))
    if "certificates" in record.tables:
        proofs = CellTables(run, record).frame("certificates")
        for name, rows in proofs.groupby("feature", sort=False):
            said += [f"{name}: {note}" for note in certificate_notes(rows)]
    for text in said:
        console.print()
        console.print(text, highlight=False, markup=False)


def _why_not(record: Record) -> str:
    """The reason; of a traceback only its last line, as the record has the rest."""
    lines = record.reason.strip().splitlines() or ["no reason was recorded"]
    where = "; its record has the traceback" if record.status == "failed" else ""
    return f"{record.status}: {lines[-1]}{where}"


def _show_features(console: Console, features: list[dict[str, Any]]) -> None:
    found = table("feature", "neuron", "F1>", "95% interval", "q>", "tokens>", "verdict")
    for one in features:
        f1, tokens = one["f1_one"], one.get("token_f1") or {}
        found.add_row(
            one["feature"],
            f"{'+' if one['sign'] > 0 else '-'}{one['site']}",
            number(f1.get("estimate")),
            f"{number(f1.get('low'))}-{number(f1.get('high'))}",
            number(one.get("q_value"), 3),
            number(tokens.get("estimate")),
            _short(one["verdict"]),
        )
    title = "Best single neuron for each feature, on texts not used to choose it"
    print_table(console, title, found)
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
