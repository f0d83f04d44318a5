"""What studies rely on in a collection of labelled text: each breach said in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

import numpy as np

from needlepoint._core.errors import NeedlepointError
from needlepoint._core.text import Encoder
from needlepoint.features.collection import Card, Collection
from needlepoint.features.duplicates import merge_documents
from needlepoint.features.spec import N_PER_FEATURE, CollectionSpec
from needlepoint.features.split import PARTS, split_collection

MIN_DOCUMENTS = 20
"""A feature in fewer documents than this must be named among the card's shortfalls."""
FEW = 24
"""Positive rows asked for where a collection is made again to compare."""


def collection_faults(
    given: Collection | CollectionSpec,
    encoder: Encoder,
    *,
    n_per_feature: int = N_PER_FEATURE,
    source: str | None = None,
) -> list[str]:
    """What is wrong with a collection, one sentence each; empty if nothing was found.

    It cannot see whether labels are true or sit on the right tokens: look at samples for that
    (`needlepoint features show`). A specification is loaded four times, to see that the same
    seed gives the same rows and another seed others.

    Args:
        given: Labelled text, or the specification of a collection that can be loaded.
        encoder: The tokenizer of a model that is to be probed.
        n_per_feature: Positive rows of each feature to ask a specification for.
        source: Its source; the first unless given.
    """
    if isinstance(given, Collection):
        return [*_card_faults(given.card, size=False), *_row_faults(given, encoder)]
    try:
        found = given(encoder, n_per_feature=n_per_feature, source=source)
        return [
            *_card_faults(found.card, size=True),
            *_row_faults(found, encoder),
            *_announced_faults(given, found, first=source in (None, given.sources[0])),
            *_shortfall_faults(found, n_per_feature),
            *_seed_faults(given, found, encoder, n_per_feature, source),
        ]
    except NeedlepointError as error:
        return [f"it cannot be loaded: {error}"]


def _card_faults(card: Card, *, size: bool) -> Iterator[str]:
    optional = {"shortfalls", *(() if size else ("size",))}
    for field in fields(card):
        value = getattr(card, field.name)
        if field.name not in optional and not value:
            yield f"the card's {field.name} is empty; fill it."
    for confound in card.confounds:
        if not confound.strip():
            yield "one of the card's confounds is empty; write it out or leave it out."


def _row_faults(found: Collection, encoder: Encoder) -> Iterator[str]:
    _, first, count = np.unique(found.rows, axis=0, return_index=True, return_counts=True)
    if (count > 1).any():
        row = int(first[count > 1][0])
        yield f"{int((count > 1).sum())} rows occur twice, row {row} first; keep each once."
    unasked = np.flatnonzero(~found.asked.any(1))
    if len(unasked):
        yield f"{len(unasked)} rows are asked for no feature, row {unasked[0]} first; drop them."
    unused = np.setdiff1d(np.arange(len(found.ids)), found.rows[:, 0])
    if len(unused):
        yield f"{len(unused)} texts have no row, text {unused[0]} first; drop them."
    if not all(name.strip() for name in found.documents):
        text = next(i for i, name in enumerate(found.documents) if not name.strip())
        yield f"text {text} has a document without a name; name where it comes from."
    yield from _text_faults(found, encoder)
    yield from _document_faults(found)


def _text_faults(found: Collection, encoder: Encoder) -> Iterator[str]:
    """Whether the texts that are kept are those that the tokens spell."""
    if not found.texts:
        yield "no texts are kept, so near-duplicates cannot be found; give texts."
    for index, (text, ids) in enumerate(zip(found.texts, found.ids, strict=False)):
        pieces = [piece.strip("\ufffd").strip() for piece in encoder.pieces(list(ids))]
        bare = "".join(text.split())
        missing = next((piece for piece in pieces if "".join(piece.split()) not in bare), None)
        if missing is not None:
            yield (
                f"text {index} does not hold its token {missing!r}; keep the text that the tokens "
                "were cut from, and cut with the tokenizer that is given."
            )
            return


def _document_faults(found: Collection) -> Iterator[str]:
    """Features in fewer than 3 documents, near-duplicates counted once, or without any split."""
    documents = found.documents
    if found.texts:
        documents = merge_documents(documents, found.texts)
    of_rows = np.array([documents[text] for text in found.rows[:, 0]], dtype=object)
    few = False
    for name, labels, asked in zip(found.features, found.labels.T, found.asked.T, strict=True):
        for what, rows in (("with", labels & asked), ("without", ~labels & asked)):
            n = len(set(of_rows[rows]))
            if n < len(PARTS):
                few = True
                yield (
                    f"feature {name!r} has {n} document{'' if n == 1 else 's'} with rows {what} "
                    "it, near-duplicates counted once; give it 3 or more, or leave it out."
                )
    if few:
        return
    try:
        split_collection(found, seed=0)
    except NeedlepointError as error:
        yield str(error)


def _announced_faults(spec: CollectionSpec, found: Collection, *, first: bool) -> Iterator[str]:
    """Where what is loaded is not what the specification says."""
    if found.card.name != spec.card.name:
        yield (
            f"the card of what is loaded bears the name {found.card.name!r}, that of the "
            f"specification {spec.card.name!r}; use one."
        )
    if first and found.features != spec.features:
        missing = [name for name in spec.features if name not in found.features]
        more = [name for name in found.features if name not in spec.features]
        what = f"lacks {missing}" if missing else f"also has {more}" if more else "orders otherwise"
        yield f"the specification announces features that loading {what}; announce what is there."
    longest = max(map(len, found.ids))
    if longest > spec.n_tokens:
        yield (
            f"the longest text has {longest} tokens, more than n_tokens = {spec.n_tokens}; cut "
            "texts at n_tokens."
        )


def _shortfall_faults(found: Collection, n: int) -> Iterator[str]:
    """Features that the card should name as falling short and does not, or the other way.

    The card may also name what is no feature here: that there are no rows of it at all.
    """
    counts = found.counts().set_index("feature")
    short = found.card.shortfalls
    for name, row in counts.iterrows():
        positives, documents = int(row["positives"]), int(row["positive_documents"])
        few = positives < n or documents < MIN_DOCUMENTS
        figures = f"{positives} positive rows from {documents} documents"
        if few and not short.get(str(name), "").strip():
            yield f"feature {name!r} has {figures}; say why among the card's shortfalls."
        if not few and name in short:
            yield f"the card names {name!r} as falling short, which has {figures}; drop that."


def _seed_faults(
    spec: CollectionSpec, found: Collection, encoder: Encoder, n: int, source: str | None
) -> Iterator[str]:
    """Whether the same seed gives the same, and another seed other rows."""
    again = spec(encoder, n_per_feature=n, source=source)
    if again.sha256 != found.sha256 or again.documents != found.documents:
        yield "loading twice with one seed gives different rows; draw all chance from the seed."
        return
    few = min(n, FEW)
    one, other = (
        spec(encoder, n_per_feature=few, source=source, seed=seed).sha256 for seed in (0, 1)
    )
    if one == other:
        yield "another seed gives the same rows; draw the rows from the seed."
