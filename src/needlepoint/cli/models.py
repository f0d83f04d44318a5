"""What `needlepoint models` shows."""

from __future__ import annotations

import torch
from rich.console import Console
from rich.table import Table

from needlepoint._core.cores import free_cores
from needlepoint._core.progress import progress_bars
from needlepoint.models.check import check_model
from needlepoint.models.families import FAMILIES
from needlepoint.models.load import load_model
from needlepoint.models.packaged import PACKAGED, is_cached


def list_models() -> None:
    """Print the packaged models and the families that any other model may belong to."""
    console = Console()
    table = Table("name", "model", "licence", "cached", title="Models in packages", box=None)
    for name, model in PACKAGED.items():
        cached = "yes" if is_cached(name) else "no: fetched once"
        table.add_row(name, model.title, model.package.licence, cached)
    console.print(table)
    families = Table("family", "model types", title="\nFamilies that can be read", box=None)
    for family in FAMILIES:
        if family.name != "plain":
            families.add_row(family.name, ", ".join(family.model_types))
    console.print(families)
    console.print(
        "\nAny model of these families can be named: a hub name, a local folder of safetensors, "
        "or a .gguf file;\nattn_only: a local folder as TransformerLens published it."
        "\n'needlepoint models --check NAME' loads one and checks it."
    )


def check_one(source: str) -> None:
    """Load a model and print what was checked."""
    console = Console()
    torch.set_num_threads(free_cores())
    with progress_bars():
        model = load_model(source)
        checks = check_model(model)
    card = model.card()
    console.print(
        f"{model.name}: {model.family.name}, {card['n_layers']} layers of {card['n_heads']} heads "
        f"({card['n_kv_heads']} key/value) and {card['d_mlp']:,} neurons, {card['dtype']} on "
        f"{card['device']}, first token {card['first_token']}.",
        highlight=False,
    )
    for check in checks:
        mark = "holds" if check.passed else "FAILS"
        console.print(f"  {mark}  {check.name} (off by {check.error:.0e})", highlight=False)
    if "precision" in card:
        console.print(f"  {card['precision']}", highlight=False)
