"""Texts with labelled stretches of characters, made into rows of tokens to probe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Int, Int8

from needlepoint._core.errors import DataError
from needlepoint._core.text import Encoder, Span
from needlepoint.features.collection import Card, Collection, Reduce
from needlepoint.features.rows import N_DOCUMENTS, POSITIVE_SHARE, TextRows, row_collection

__all__ = ["POSITIVE_SHARE", "SpanText", "span_collection", "with_shortfalls"]

Unit = Literal["token", "span"]
Keep = Literal["first", "last"]
Merge = Literal["first", "any"]
SPACES = np.array([code for code in range(0x3001) if chr(code).isspace()], dtype="<u4")
"""White space as `str.strip` takes it."""


@dataclass(frozen=True, eq=False)
class SpanText:
    """One text and what is known of stretches of it."""

    text: str
    document: str
    spans: Int[np.ndarray, "span 2"]
    """Characters `[start, end)` of each stretch, in order of their starts."""
    labels: Int8[np.ndarray, "span feature"]
    """1 where the stretch has the feature, 0 where it has not, -1 where that is not asked."""

    def __post_init__(self) -> None:
        spans = self.spans.reshape(-1, 2)
        bad = (spans[:, 0] < 0) | (spans[:, 0] >= spans[:, 1]) | (spans[:, 1] > len(self.text))
        if bad.any():
            start, end = spans[bad][0]
            raise DataError(
                f"{self.document}: stretch {start} to {end} does not fit a text of "
                f"{len(self.text)} characters; it needs 0 <= start < end <= {len(self.text)}."
            )


def span_collection(
    texts: Sequence[SpanText],
    encoder: Encoder,
    *,
    card: Card,
    question: str,
    features: Sequence[str],
    n_per_feature: int,
    n_tokens: int,
    seed: int,
    unit: Unit = "token",
    reduce: Reduce = "last",
    skip: int = 0,
    keep: Keep = "first",
    positive_share: float = POSITIVE_SHARE,
    most_positive: float | None = None,
    pairs: Sequence[tuple[str, str]] = (),
    merge: Merge = "first",
    n_documents: int = N_DOCUMENTS,
) -> Collection:
    """Rows for labelled stretches: each feature is asked on rows of its own, chosen to overlap.

    How rows are chosen, and what `positive_share`, `most_positive`, `pairs` and `n_documents`
    do, is said in `row_collection`.

    Args:
        texts: The texts; of each at most `n_tokens` tokens are read.
        encoder: The tokenizer of the model to be probed.
        card: What a reader must know.
        question: What a study of the collection asks.
        features: Names of the columns of the labels. One without positives or without
            negatives is left out.
        n_per_feature: Positive rows of each feature, where there are so many.
        n_tokens: Most tokens of a text.
        seed: The seed of the whole run.
        unit: `token` makes each token of a stretch a row; `span` makes each stretch one row, if
            all of it was read. White space around tokens and stretches does not count.
        reduce: How the tokens of a `span` row become one vector.
        skip: First tokens of what is read of a text that are in no row.
        keep: Which tokens of a longer text are read, the `first` or the `last` ones.
        positive_share: Share of positives among a feature's rows.
        most_positive: Up to which share a common feature may keep its own.
        pairs: Features that are each other's opposite.
        merge: Labels of a token that overlaps several stretches: those of the `first`, or a yes
            where `any` of them says yes (then stretches must not overlap one another).
        n_documents: Texts are read until positives of each feature are in so many documents.

    Raises:
        DataError: If no feature has rows of both kinds.
    """

    def read(index: int) -> TextRows:
        return _rows_of(texts[index], encoder, n_tokens, unit, skip, keep, merge)

    return row_collection(
        len(texts),
        read,
        card=card,
        question=question,
        features=features,
        n_per_feature=n_per_feature,
        seed=seed,
        reduce=reduce,
        positive_share=positive_share,
        most_positive=most_positive,
        pairs=pairs,
        n_documents=n_documents,
    )


def _rows_of(
    text: SpanText,
    encoder: Encoder,
    n_tokens: int,
    unit: Unit,
    skip: int,
    keep: Keep,
    merge: Merge,
) -> TextRows:
    """The tokens that are read of one text, and its rows."""
    ids, offsets = encoder.encode_with_offsets(text.text)
    low = max(len(ids) - n_tokens, 0) if keep == "last" else 0
    ids = ids[low : low + n_tokens]
    if unit == "span":
        starts, ends, labels = _whole_spans(offsets, text)
    else:
        starts, ends, labels = _single_tokens(offsets, text, merge)
    inside = (starts >= low + skip) & (ends <= low + len(ids))
    offsets = offsets[low : low + n_tokens]
    first = offsets[0][0] if low else 0
    return TextRows(
        text=text.text[first:],
        document=text.document,
        ids=ids,
        offsets=[(a - first, b - first) for a, b in offsets],
        rows=(np.column_stack([starts, ends]) - low)[inside],
        labels=labels[inside],
    )


Found = tuple[Int[np.ndarray, " row"], Int[np.ndarray, " row"], Int8[np.ndarray, "row feature"]]
"""First token, one past the last, and labels of each row of one text."""


def _whole_spans(offsets: Sequence[Span], text: SpanText) -> Found:
    """One row for each stretch; of stretches that come to lie on the same tokens, the first."""
    edges = _Edges(text.text)
    spans = edges.inside(text.spans)
    low, high = edges.inside(offsets).T
    first = np.searchsorted(high, spans[:, 0], side="right")
    last = np.searchsorted(low, spans[:, 1], side="left")
    kept = np.arange(len(first))
    if len(first) > 1:
        _, kept = np.unique(np.column_stack([first, last]), axis=0, return_index=True)
    kept = np.sort(kept[first[kept] < last[kept]])
    return first[kept], last[kept], text.labels[kept]


def _single_tokens(offsets: Sequence[Span], text: SpanText, merge: Merge) -> Found:
    """One row for each token that overlaps a stretch."""
    edges = _Edges(text.text)
    spans = edges.inside(text.spans)
    order = np.argsort(spans[:, 0], kind="stable")
    spans, of_span = spans[order], text.labels[order]
    low, high = edges.inside(offsets).T
    place = np.searchsorted(np.maximum.accumulate(spans[:, 1]), low, side="right")
    stop = np.searchsorted(spans[:, 0], high, side="left")
    tokens = np.flatnonzero(place < stop)
    labels = of_span[place[tokens]]
    if merge == "any":
        for i, token in enumerate(tokens):
            if stop[token] - place[token] > 1:
                labels[i] = of_span[place[token] : stop[token]].max(axis=0)
    return tokens, tokens + 1, labels


class _Edges:
    """Where the words of a text begin and end, to leave out the white space around stretches."""

    def __init__(self, text: str) -> None:
        n = len(text)
        place = np.arange(n + 1)
        filled = ~np.isin(np.frombuffer(text.encode("utf-32-le"), dtype="<u4"), SPACES)
        later, earlier = np.full(n + 1, n), np.zeros(n + 1, dtype=np.int64)
        later[:-1][filled] = place[:-1][filled]
        earlier[1:][filled] = place[1:][filled]
        self.later = np.minimum.accumulate(later[::-1])[::-1]
        """For each place the first after it where something stands."""
        self.earlier = np.maximum.accumulate(earlier)
        """For each place the end of what stands before it."""

    def inside(
        self, spans: Sequence[Span] | Int[np.ndarray, "span 2"]
    ) -> Int[np.ndarray, "span 2"]:
        """Each stretch without the white space around it, unless it is nothing else."""
        start, end = np.array(spans, dtype=np.int64).reshape(-1, 2).T
        inner = self.later[start] < self.earlier[end]
        return np.column_stack(
            [np.where(inner, self.later[start], start), np.where(inner, self.earlier[end], end)]
        )


def with_shortfalls(collection: Collection, reasons: str, *, n: int, documents: int) -> Collection:
    """The collection, its card naming features with fewer positives or documents than this."""
    counts = collection.counts()
    few = counts[(counts["positives"] < n) | (counts["positive_documents"] < documents)]
    short = {
        str(row.feature): f"{row.positives} positive rows from {row.positive_documents} documents: "
        f"{reasons}"
        for row in few.itertuples()
    }
    return replace(collection, card=replace(collection.card, shortfalls=short))
