"""Samples of a collection as plain text, with the labelled tokens marked where they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from needlepoint._core.seeds import seed_for
from needlepoint._core.text import Encoder
from needlepoint.features.align import SHOWN
from needlepoint.features.collection import Collection

AROUND = 60
"""Characters shown before the mark, and after it."""
MARKED = 160
"""Characters shown of what is marked."""
OPEN, CLOSE = "»", "«"
PART = "\ufffd"
"""Stands for a token that is only a later part of a character."""


@dataclass(frozen=True)
class Sample:
    """One row of a feature in the text it is part of."""

    document: str
    positive: bool
    before: str
    marked: str
    """The tokens that the row is made from, as text."""
    after: str


def samples(
    collection: Collection, feature: str, encoder: Encoder, *, n: int, seed: int = 0
) -> list[Sample]:
    """Up to `n` rows with a feature and up to `n` without it, from as many documents as can be.

    Only rows that the feature is asked on. Text is shown as the tokenizer holds it: it is cut
    between tokens, so that a label on the wrong token is seen.

    Raises:
        ValueError: If the collection has no such feature.
    """
    draw = np.random.default_rng(seed_for(seed, use="samples", features=feature))
    rows = collection.rows_of(feature)
    labels = collection.labels[rows, collection.features.index(feature)]
    return [
        _sample(collection, int(row), positive, encoder)
        for positive in (True, False)
        for row in _of_many_documents(collection, draw.permutation(rows[labels == positive]), n)
    ]


def sample_text(sample: Sample, *, around: int = AROUND, most: int = MARKED) -> str:
    """The text of a sample on one line, cut around the mark; line ends and tabs are signs.

    Example:
        >>> sample_text(Sample("d", True, "the black ", "cat", " down."), around=8)
        '… black »cat« down.'
    """
    before, marked, after = sample_parts(sample, around=around, most=most)
    return f"{before}{OPEN}{marked}{CLOSE}{after}"


def sample_parts(
    sample: Sample, *, around: int = AROUND, most: int = MARKED
) -> tuple[str, str, str]:
    """What stands before the mark, under it and after it, cut as `sample_text` is."""
    before, marked, after = (
        text.translate(SHOWN) for text in (sample.before, sample.marked, sample.after)
    )
    if len(before) > around:
        before = f"…{before[1 - around :]}"
    if len(after) > around:
        after = f"{after[: around - 1]}…"
    if len(marked) > most:
        marked = f"{marked[: most // 2]} … {marked[-(most // 2) :]}"
    return before, marked or PART, after


def _of_many_documents(collection: Collection, rows: np.ndarray, n: int) -> list[int]:
    """The first `n` of these rows, those of a document already seen put last."""
    names = np.array([collection.documents[collection.rows[row, 0]] for row in rows])
    _, first = np.unique(names, return_index=True)
    again = ~np.isin(np.arange(len(rows)), first)
    return [int(row) for row in rows[np.argsort(again, kind="stable")[:n]]]


def _sample(collection: Collection, row: int, positive: bool, encoder: Encoder) -> Sample:
    text, start, end = collection.rows[row].tolist()
    cuts = _cuts(collection, text, encoder)
    before, marked, after = (
        "".join(cuts[some]) for some in (slice(start), slice(start, end), slice(end, None))
    )
    return Sample(collection.documents[text], positive, before, marked, after)


def _cuts(collection: Collection, text: int, encoder: Encoder) -> Sequence[str]:
    """The text of each token; of the text that was kept where this is cut the same way.

    Tokens that hold a part of a character only are empty but for the first of them.
    """
    ids = list(collection.ids[text])
    if not collection.texts:
        return encoder.pieces(ids)
    whole = collection.texts[text]
    found, offsets = encoder.encode_with_offsets(whole)
    if list(found[: len(ids)]) != ids:
        return encoder.pieces(ids)
    cuts, done = [], 0
    for _, end in offsets[: len(ids)]:
        cuts.append(whole[done:end])
        done = max(done, end)
    return cuts
