"""The command `needlepoint scaling`: what is checked before, what is printed after."""

from __future__ import annotations

from rich.console import Console

from needlepoint._core.errors import DataError
from needlepoint._core.records import Record, RunFolder
from needlepoint.cli.printed import number, print_table, table
from needlepoint.evaluation.case_studies.configs import UNTRAINED, ScalingConfig
from needlepoint.evaluation.checks import check_neurons
from needlepoint.evaluation.configs import NeuronsConfig


def check_scaling(config: ScalingConfig) -> None:
    """Refuse what is no collection, and an empty name of a model.

    Raises:
        UnknownNameError: If a collection is not known.
        DataError: If a file cannot be used, or a model has no name.
    """
    for name in config.models:
        if not name.removeprefix(UNTRAINED):
            raise DataError(f"{name!r} names no model; write it as in 'untrained:smollm2'.")
    for collection in config.features:
        check_neurons(NeuronsConfig(features=collection))


def show_scaling(console: Console, run: RunFolder, record: Record) -> None:
    """Print the mean scores of each model on each collection."""
    means = run.table(record.cell, "model_means")
    models = {one["model"]: one for one in record.summary["models"]}
    k = {(one["collection"], one["model"]): one for one in record.summary["sparsity"]}
    for collection, here in means.groupby("collection", sort=False):
        shown = table(
            "model", "param.>", "neurons>", "best>", "equal>", "sparse>", "equal>", "k>", "on test>"
        )
        for model in sorted(set(here["model"]), key=lambda one: (models[one]["neurons"], one)):
            rows = here[here["model"] == model].set_index("measure")["f1"]
            names = ("best", "matched", "sparse", "sparse_matched")
            shown.add_row(
                str(model),
                f"{models[model]['parameters'] / 1e6:,.0f}M",
                f"{models[model]['neurons']:,}",
                *(number(rows[name]) for name in names),
                f"{k[str(collection), str(model)]['median_k']:g}",
                number(rows["best_on_test"]),
            )
        print_table(console, f"Mean F1 on unseen documents: {collection}", shown)
    note = (
        f"equal: as many candidates as the smallest model has ({record.summary['candidates']:,}). "
        "k: median size of the sparse probe. on test: best neuron by test F1, biased, as in the "
        "published curve."
    )
    console.print(note, style="dim", highlight=False)
