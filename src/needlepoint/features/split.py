"""Training, validation and test rows, with every document on one side only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from needlepoint._core.errors import DataError
from needlepoint._core.seeds import seed_for
from needlepoint.features.collection import Collection
from needlepoint.features.duplicates import merge_documents

PARTS = ("train", "validation", "test")
FRACTIONS = (0.6, 0.2, 0.2)
ATTEMPTS = 32
"""Orders of dealing that are tried before a split is said not to be found."""


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of the three parts, each in increasing order.

    Documents of which no row is asked for any feature are in no part.
    """

    train: Int[np.ndarray, "_"]
    validation: Int[np.ndarray, "_"]
    test: Int[np.ndarray, "_"]

    @property
    def sizes(self) -> dict[str, int]:
        """How many rows each part has."""
        return {part: len(getattr(self, part)) for part in PARTS}


def split_collection(
    collection: Collection,
    *,
    seed: int,
    fractions: tuple[float, float, float] = FRACTIONS,
) -> Split:
    """Split the rows of a collection by document, near-duplicate documents kept together.

    Near-duplicates are looked for where the collection keeps its texts.

    Raises:
        DataError: As for `split_by_document`.
    """
    documents = collection.documents
    if collection.texts:
        documents = merge_documents(documents, collection.texts)
    of_rows = [documents[text] for text in collection.rows[:, 0]]
    return split_by_document(
        of_rows,
        collection.labels,
        seed=seed,
        fractions=fractions,
        features=collection.features,
        members=collection.members,
    )


def split_by_document(
    documents: Sequence[str],
    labels: Bool[np.ndarray, "example feature"],
    *,
    seed: int,
    fractions: tuple[float, float, float] = FRACTIONS,
    features: Sequence[str] = (),
    members: Bool[np.ndarray, "example feature"] | None = None,
) -> Split:
    """Split rows so that no document is in two parts and each part has both classes.

    Documents are dealt out one class after the other, the class with the fewest documents
    first, each to the part that lacks most of its share of that class. Shares are therefore
    met only about. The split is the same whenever seed and data are.

    Args:
        documents: The document of each row.
        labels: Which features each row has.
        seed: The seed of the whole run.
        fractions: Shares of training, validation and test; they add up to 1.
        features: Names of the features, for messages.
        members: Which rows each feature is asked on; all of them if None. Only these count for
            its classes and its documents.

    Raises:
        DataError: If a feature has fewer than 3 documents with it, or fewer than 3 without, or
            if no such split was found. The message gives the figures.

    Example:
        >>> documents = ["a", "a", "b", "c", "d", "e", "f"]
        >>> labels = np.array([[1], [1], [1], [1], [0], [0], [0]], dtype=bool)
        >>> split_by_document(documents, labels, seed=0).sizes["test"]
        2
    """
    if len(documents) != len(labels):
        raise DataError(f"{len(documents)} documents for {len(labels)} rows; give one for each.")
    if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        raise DataError(f"fractions are {fractions}; they must be positive and add up to 1.")
    names = list(features) or [str(i) for i in range(labels.shape[1])]
    require_documents(documents, labels, names, members)
    asked = np.ones_like(labels) if members is None else members
    _, group = np.unique(np.asarray(documents, dtype=object).astype(str), return_inverse=True)
    both = np.concatenate([labels & asked, ~labels & asked], axis=1).astype(np.float64)
    counts = np.zeros((group.max() + 1, both.shape[1]))
    np.add.at(counts, group, both)
    draw = np.random.default_rng(seed_for(seed, use="split"))
    for attempt in range(ATTEMPTS):
        part = _deal(counts, np.array(fractions), draw, by_size=attempt == 0)[group]
        lacking = _lacking(labels, asked, part, names)
        if not lacking:
            return Split(*(np.flatnonzero(part == i) for i in range(len(PARTS))))
    raise DataError(f"no split by document was found: {lacking}; add documents or leave it out.")


def require_documents(
    documents: Sequence[str],
    labels: Bool[np.ndarray, "example feature"],
    features: Sequence[str],
    members: Bool[np.ndarray, "example feature"] | None = None,
) -> None:
    """Make sure that each feature is in 3 documents and absent from (rows of) 3.

    Only rows that a feature is asked on count: all of them, or those of `members`.

    Raises:
        DataError: If one is not; the message has its name and the number.
    """
    names = np.asarray(documents, dtype=object)
    asked = np.ones_like(labels) if members is None else members
    for feature, column, own in zip(features, labels.T, asked.T, strict=True):
        for what, rows in (("with", column & own), ("without", ~column & own)):
            found = len(set(names[rows]))
            if found < len(PARTS):
                raise DataError(
                    f"feature {feature!r} has {found} document{'' if found == 1 else 's'} with "
                    f"rows {what} it; at least {len(PARTS)} are needed, one each for training, "
                    "validation and test."
                )


def _deal(
    counts: Float[np.ndarray, "document unit"],
    fractions: Float[np.ndarray, "3"],
    draw: np.random.Generator,
    *,
    by_size: bool,
) -> Int[np.ndarray, " document"]:
    """The part of each document, from how many rows of each class it has.

    Within a class, documents come in the order drawn, with `by_size` the largest first, which
    meets the shares more closely.
    """
    shuffled = draw.permutation(len(counts))
    part = np.full(len(counts), -1)
    have = np.zeros((len(fractions), counts.shape[1]))
    for column in np.argsort((counts > 0).sum(0), kind="stable"):
        target = fractions * counts[:, column].sum()
        sizes = counts[shuffled, column] * by_size
        order = shuffled[np.argsort(-sizes, kind="stable")]
        for document in order[(part[order] < 0) & (counts[order, column] > 0)]:
            lack = (target - have[:, column]) / target
            part[document] = int(np.lexsort((-fractions, -lack))[0])
            have[part[document]] += counts[document]
    return part


def _lacking(
    labels: Bool[np.ndarray, "example feature"],
    asked: Bool[np.ndarray, "example feature"],
    part: Int[np.ndarray, " example"],
    features: Sequence[str],
) -> str:
    """Which part lacks a class of which feature, in words; empty if none does."""
    for index, name in enumerate(PARTS):
        rows = part == index
        for feature, of_all, own in zip(features, labels.T, asked.T, strict=True):
            column = of_all[rows & own]
            if column.all() or not column.any():
                return (
                    f"{name} has one class of feature {feature!r} "
                    f"(with it are {int(column.sum())} of {len(column)} rows)"
                )
    return ""
