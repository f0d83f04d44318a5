"""What `needlepoint features list` and `show` print."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten

from rich.console import Console
from rich.table import Table
from rich.text import Text

from needlepoint._core.errors import DataError, unknown_name
from needlepoint._core.progress import progress_bars
from needlepoint._core.text import Encoder
from needlepoint.features import COLLECTIONS, Card, Collection, collection_spec, load_collection
from needlepoint.features.show import CLOSE, OPEN, sample_parts, samples

NAME = 40
"""Characters shown of the name of a document."""
LICENCE = 200
"""Characters shown of the licences of a collection in the list of all."""
MANY, SOME = 40, 4
"""Of a collection with more features than this, samples of so many are shown unless named."""


def list_features() -> None:
    """Print every built-in collection; nothing is downloaded."""
    console = Console()
    for name in COLLECTIONS:
        spec = COLLECTIONS[name]
        card, number = spec.card, len(spec.features)
        console.print(Text(f"\n{name}: {card.title}", style="bold"))
        for what, value in (
            ("features", f"{number} ({_some(spec.features)})"),
            ("sources", ", ".join(spec.sources)),
            ("download", card.size or "not stated"),
            ("licence", shorten(card.licence, LICENCE, placeholder=" ...")),
        ):
            console.print(_field(what, value))
    total = sum(len(COLLECTIONS[name].features) for name in COLLECTIONS)
    console.print(
        f"\n{total} features in {len(COLLECTIONS)} collections. "
        "'needlepoint features show NAME' prints\na card and samples.",
        highlight=False,
    )


def show_features(
    name: str, wanted: Sequence[str], *, model: str, source: str, examples: int, n: int
) -> None:
    """Print the card of a collection, the counts of its features, and samples of each.

    Only the tokenizer of the model is loaded.

    Raises:
        UnknownNameError: If there is no such collection or feature.
        DataError: If the collection cannot be made.
        SourceError: If its source cannot be had.
    """
    from needlepoint.models.load import load_encoder

    if n < 0:
        raise DataError(f"n is {n}; it must be at least 0.")
    spec = collection_spec(name)
    if spec is None and source:
        raise DataError(f"{name} is the source itself; leave out --source.")
    if spec is not None:
        spec.check_source(source or None)
    with progress_bars():
        encoder = load_encoder(model)
        options = {} if spec is None else {"n_per_feature": examples, "source": source or None}
        collection = load_collection(name, encoder, **options)
    for feature in wanted:
        if feature not in collection.features:
            raise unknown_name(f"feature of {name}", feature, collection.features)
    console = Console()
    _print_card(console, collection.card, collection)
    shown = tuple(wanted) or collection.features
    _print_counts(console, collection, shown)
    sampled = shown if wanted or len(shown) <= MANY else shown[:SOME]
    for feature in sampled:
        _print_samples(console, collection, feature, encoder, n)
    if len(sampled) < len(shown):
        console.print(
            f"\nSamples of {len(sampled)} of {len(shown)} features. Name others to see theirs: "
            f"'needlepoint features show {name} {shown[len(sampled)]}'.",
            highlight=False,
        )


def _print_card(console: Console, card: Card, collection: Collection) -> None:
    console.print(Text(f"{card.name}: {card.title}", style="bold"))
    fields = (
        ("what", card.description),
        ("source", card.source),
        ("licence", card.licence),
        ("download", card.size),
        ("labels", card.how_labelled),
        ("rows", f"{len(collection.rows):,}, {card.aggregation}"),
        *(("confound", confound) for confound in card.confounds),
    )
    for what, value in fields:
        if value:
            console.print(_field(what, value))


def _print_counts(console: Console, collection: Collection, shown: Sequence[str]) -> None:
    table = Table("feature", box=None, header_style="bold")
    for heading in ("positives", "negatives", "documents with it"):
        table.add_column(heading, justify="right")
    for row in collection.counts().to_dict("records"):
        if row["feature"] in shown:
            numbers = (row[name] for name in ("positives", "negatives", "positive_documents"))
            table.add_row(Text(row["feature"]), *(f"{number:,}" for number in numbers))
    console.print()
    console.print(table)
    for feature in shown:
        if feature in collection.card.shortfalls:
            console.print(_field("few", f"{feature}: {collection.card.shortfalls[feature]}"))


def _print_samples(
    console: Console, collection: Collection, feature: str, encoder: Encoder, n: int
) -> None:
    found = samples(collection, feature, encoder, n=n)
    if not found:
        return
    console.print()
    console.print(Text(f"{feature}, marked {OPEN}like this{CLOSE}", style="bold"))
    lines = Table.grid(padding=(0, 1))
    lines.add_column(width=3)
    lines.add_column(overflow="fold")
    for sample in found:
        before, marked, after = sample_parts(sample)
        line = Text(before).append(f"{OPEN}{marked}{CLOSE}", style="bold").append(after)
        name = sample.document
        name = name if len(name) <= NAME else f"…{name[1 - NAME :]}"
        sign = "  +" if sample.positive else "  -"
        lines.add_row(Text(sign), line.append(f"  [{name}]", style="dim"))
    console.print(lines)


def _field(what: str, value: str) -> Table:
    """A name and a text that is wrapped beside it."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=10)
    grid.add_column(overflow="fold")
    grid.add_row(Text(f"  {what}", style="dim"), Text(value))
    return grid


def _some(names: Sequence[str], n: int = 6) -> str:
    return ", ".join(names) if len(names) <= n else f"{', '.join(names[:n])} ..."
