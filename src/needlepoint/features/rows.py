"""Rows of tokens with a yes or no for each feature, chosen so that features share them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Int8

from needlepoint._core.errors import DataError
from needlepoint._core.seeds import seed_for
from needlepoint._core.text import Span
from needlepoint.features.collection import Card, Collection, Reduce

POSITIVE_SHARE = 0.2
"""Share of a feature's rows that have it, where there are enough that have it not."""
N_DOCUMENTS = 40
"""Texts are read until every feature is in so many documents, where there are so many."""


@dataclass(frozen=True, eq=False)
class TextRows:
    """The tokens of one text, and the rows that can be made of them."""

    text: str
    document: str
    ids: Sequence[int]
    offsets: Sequence[Span]
    """For each token the characters `[start, end)` of the text that it came from."""
    rows: Int[np.ndarray, "row 2"]
    """First token of each row and one past its last."""
    labels: Int8[np.ndarray, "row feature"]
    """1 where the row has the feature, 0 where it has not, -1 where that is not asked."""


def row_collection(
    n_texts: int,
    read: Callable[[int], TextRows],
    *,
    card: Card,
    question: str,
    features: Sequence[str],
    n_per_feature: int,
    seed: int,
    reduce: Reduce = "last",
    positive_share: float = POSITIVE_SHARE,
    most_positive: float | None = None,
    pairs: Sequence[tuple[str, str]] = (),
    n_documents: int = N_DOCUMENTS,
) -> Collection:
    """Rows of texts: each feature is asked on rows of its own, chosen to overlap.

    Texts are read in an order drawn from the seed until every feature has rows and documents
    enough. One random priority over all rows read decides which are kept, so that features share
    rows and few activations are needed. A text is cut off after its last kept row.

    Args:
        n_texts: How many texts there are.
        read: Makes the rows of one text, given its number.
        card: What a reader must know.
        question: What a study of the collection asks.
        features: Names of the columns of the labels. One without positives or without
            negatives is left out.
        n_per_feature: Positive rows of each feature, where there are so many.
        seed: The seed of the whole run.
        reduce: How the tokens of a row become one vector.
        positive_share: Share of positives among a feature's rows, where there are negatives
            enough.
        most_positive: With it, a feature that is commoner than `positive_share` among the rows
            that were read has that share of positives, up to this.
        pairs: Features that are each other's opposite: half of the negatives of one are
            positives of the other, where there are so many.
        n_documents: Texts are read until positives of each feature are in so many documents.

    Raises:
        DataError: If no feature has rows of both kinds.
    """
    names = tuple(features)
    draw = np.random.default_rng(seed_for(seed, use="texts", features=card.name))
    found = _Rows(len(names))
    opposite = {a: b for one, two in pairs for a, b in ((one, two), (two, one))}
    negatives = round(n_per_feature / positive_share) - n_per_feature
    positives = [max(n_per_feature, negatives // 2 * (name in opposite)) for name in names]
    for index in draw.permutation(n_texts):
        found.add(read(int(index)))
        if found.enough(positives, negatives, n_documents):
            break
    rows, labels = found.arrays()
    if not len(rows):
        raise DataError(f"{card.name}: no labelled stretch lies in the tokens that were read.")
    order = draw.permutation(len(rows))
    shares = _shares(labels, positive_share, most_positive)
    members = np.column_stack(
        [
            _members(
                labels[:, column],
                labels[:, names.index(opposite[name])] if name in opposite else None,
                order,
                n_per_feature,
                share,
            )
            for column, (name, share) in enumerate(zip(names, shares, strict=True))
        ]
    )
    return _collection(found.texts, rows, labels, members, names, card, question, reduce)


class _Rows:
    """Rows of the texts read so far."""

    def __init__(self, n_features: int) -> None:
        self.texts: list[TextRows] = []
        self.counts = np.zeros((2, n_features), dtype=np.int64)
        self.documents: list[set[str]] = [set() for _ in range(n_features)]

    def add(self, text: TextRows) -> None:
        """Count the rows of one text in."""
        self.texts.append(text)
        self.counts += [(text.labels == 0).sum(0), (text.labels == 1).sum(0)]
        for column in np.flatnonzero((text.labels == 1).any(0)):
            self.documents[column].add(text.document)

    def enough(self, positives: Sequence[int], negatives: int, documents: int) -> bool:
        """Whether every feature has so many rows of each kind, in so many documents."""
        return bool(
            (self.counts[1] >= np.array(positives)).all()
            and (self.counts[0] >= negatives).all()
            and min(map(len, self.documents)) >= documents
        )

    def arrays(self) -> tuple[Int[np.ndarray, "row 3"], Int8[np.ndarray, "row feature"]]:
        """Text, first token and one past the last of each row, and its labels."""
        rows = [np.empty((0, 3), np.int64)]
        labels = [np.empty((0, self.counts.shape[1]), np.int8)]
        for index, text in enumerate(self.texts):
            rows.append(np.insert(text.rows, 0, index, axis=1))
            labels.append(text.labels)
        return np.concatenate(rows), np.concatenate(labels)


def _shares(
    labels: Int8[np.ndarray, "row feature"], least: float, most: float | None
) -> list[float]:
    """The share of positives that each feature is to have."""
    if most is None:
        return [least] * labels.shape[1]
    natural = (labels == 1).sum(0) / np.maximum((labels >= 0).sum(0), 1)
    return [min(max(float(share), least), most) for share in natural]


def _members(
    own: Int8[np.ndarray, " row"],
    opposite: Int8[np.ndarray, " row"] | None,
    order: Int[np.ndarray, " row"],
    n_positive: int,
    positive_share: float,
) -> Bool[np.ndarray, " row"]:
    """Which rows one feature is asked on: of each class those that come first in the order."""
    chosen = np.zeros(len(own), dtype=bool)
    positive = order[own[order] == 1][:n_positive]
    n_negative = round(len(positive) / positive_share) - len(positive)
    if opposite is not None:
        chosen[order[(own[order] == 0) & (opposite[order] == 1)][: n_negative // 2]] = True
    rest = order[(own[order] == 0) & ~chosen[order]]
    chosen[rest[: n_negative - int(chosen.sum())]] = True
    if not len(positive) or not chosen.any():
        return np.zeros(len(own), dtype=bool)
    chosen[positive] = True
    return chosen


def _collection(
    texts: Sequence[TextRows],
    rows: np.ndarray,
    labels: np.ndarray,
    members: np.ndarray,
    names: tuple[str, ...],
    card: Card,
    question: str,
    reduce: Reduce,
) -> Collection:
    """The chosen rows and the texts they need, cut off after the last row."""
    asked = np.asarray(members.any(axis=0))
    if not asked.any():
        raise DataError(f"{card.name}: no feature has rows with it and rows without it.")
    kept = np.flatnonzero(members.any(1))
    kept = kept[np.lexsort((rows[kept, 1], rows[kept, 0]))]
    rows, labels, members = rows[kept], labels[kept][:, asked], members[kept][:, asked]
    used, of_text = np.unique(rows[:, 0], return_inverse=True)
    length = np.zeros(len(used), dtype=np.int64)
    np.maximum.at(length, of_text, rows[:, 2])
    needed = [texts[index] for index in used]
    return Collection(
        card=card,
        question=question,
        ids=tuple(tuple(text.ids[:n]) for text, n in zip(needed, length, strict=True)),
        documents=tuple(text.document for text in needed),
        rows=np.column_stack([of_text, rows[:, 1:]]),
        reduce=reduce,
        features=tuple(names[column] for column in np.flatnonzero(asked)),
        labels=labels == 1,
        texts=tuple(_shown(text, int(n)) for text, n in zip(needed, length, strict=True)),
        members=None if members.all() else members,
    )


def _shown(text: TextRows, n: int) -> str:
    """The characters that the first tokens of a text hold."""
    return text.text[: max(end for _, end in text.offsets[:n])]
