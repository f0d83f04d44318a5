"""The command `needlepoint context`: what is checked before, what is printed after."""

from __future__ import annotations

from rich.console import Console

from needlepoint._core.records import Record, RunFolder
from needlepoint.cli.printed import number, print_table, table
from needlepoint.evaluation.case_studies.configs import ContextConfig
from needlepoint.evaluation.checks import check_neurons
from needlepoint.evaluation.configs import NeuronsConfig


def check_context(config: ContextConfig) -> None:
    """Refuse what is no collection.

    Raises:
        UnknownNameError: If the collection is not known.
        DataError: If a file or the source cannot be used.
    """
    check_neurons(NeuronsConfig(features=config.features, source=config.source))


def show_context(console: Console, run: RunFolder, record: Record) -> None:
    """Print the neuron of each class: by text, by token, and switched off."""
    shown = table(
        "class", "neuron", "text F1>", "token F1>", "token AUC>", "F1 = 1>", "own>", "random>"
    )
    for one in record.summary["classes"]:
        own, random = one["own"] or {}, one["random"] or {}
        shown.add_row(
            one["feature"],
            f"{'+' if one['sign'] > 0 else '-'}{one['site']}",
            number(one["f1"]["estimate"]),
            number(one["token_f1"]["estimate"]),
            number(one["token_auc"]["estimate"]),
            str(one["n_perfect"]),
            number(own.get("estimate"), 4, signed=True),
            number(random.get("estimate"), 4, signed=True),
        )
    print_table(console, "The neuron of each class, on texts not used to choose it", shown)
    note = (
        "F1 = 1: neurons that are perfect on validation texts. own, random: rise of the loss on "
        "its own texts, in nats per token, when it or a random neuron is set to its mean."
    )
    console.print(note, style="dim", highlight=False)
