"""Labelled text: token ids, the stretches that are probed, and what each of them is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from needlepoint._core.errors import DataError, OneClassError

Reduce = Literal["mean", "max", "last", "first"]


@dataclass(frozen=True)
class Card:
    """What a reader must know about labelled text before believing a result on it."""

    name: str
    title: str
    description: str
    source: str
    licence: str
    how_labelled: str
    """Who or what said which text has the feature."""
    confounds: tuple[str, ...]
    """What else differs between the classes, one sentence each."""
    aggregation: str
    """How many tokens become one row, in words."""
    size: str = ""
    """What is downloaded the first time, in words with megabytes."""
    shortfalls: Mapping[str, str] = field(default_factory=dict)
    """Features with fewer than 200 positive rows or 20 documents, and why there are no more."""


@dataclass(frozen=True, eq=False)
class Collection:
    """Texts as tokens, with rows to probe and a yes or no for each row and feature.

    A row is a stretch of tokens of one text whose activations are reduced to one vector. Rows
    of one document belong together: no split may part them.
    """

    card: Card
    question: str
    ids: tuple[tuple[int, ...], ...]
    """Token ids of each text, without the first token that some models want in front."""
    documents: tuple[str, ...]
    """The document that each text is from."""
    rows: Int[np.ndarray, "example 3"]
    """For each row the index of its text, its first token, and one past its last."""
    reduce: Reduce
    features: tuple[str, ...]
    labels: Bool[np.ndarray, "example feature"]
    texts: tuple[str, ...] = ()
    """The texts to read, where they are kept: one for each entry of `ids`."""
    members: Bool[np.ndarray, "example feature"] | None = None
    """Which rows each feature is asked on; every row if None. Labels elsewhere mean nothing."""

    def __post_init__(self) -> None:
        self._check_texts()
        self._check_rows()
        self._check_labels()

    @property
    def row_documents(self) -> tuple[str, ...]:
        """The document of each row."""
        return tuple(self.documents[text] for text in self.rows[:, 0])

    @property
    def row_texts(self) -> tuple[str, ...]:
        """The whole text that each row is part of; empty where no texts were kept."""
        return tuple(self.texts[text] for text in self.rows[:, 0]) if self.texts else ()

    @property
    def asked(self) -> Bool[np.ndarray, "example feature"]:
        """Which rows each feature is asked on."""
        return np.ones_like(self.labels) if self.members is None else self.members

    def rows_of(self, feature: str) -> Int[np.ndarray, " example"]:
        """Numbers of the rows that a feature is asked on, in increasing order."""
        return np.flatnonzero(self.asked[:, self.features.index(feature)])

    @property
    def sha256(self) -> str:
        """Hash of everything a probe can depend on: ids, documents, rows, features, labels.

        The card, the question and the texts to read do not count.
        """
        content = [self.ids, self.documents, self.reduce, self.features]
        found = hashlib.sha256(json.dumps(content).encode())
        found.update(np.ascontiguousarray(self.rows, dtype="<i8").tobytes())
        found.update(np.packbits(self.labels & self.asked).tobytes())
        if self.members is not None:
            found.update(np.packbits(self.members).tobytes())
        return found.hexdigest()

    def counts(self) -> pd.DataFrame:
        """How much there is of each feature: positives, negatives, positive documents."""
        documents = np.asarray(self.row_documents, dtype=object)
        positive, negative = self.labels & self.asked, ~self.labels & self.asked
        return pd.DataFrame(
            {
                "feature": list(self.features),
                "positives": positive.sum(0),
                "negatives": negative.sum(0),
                "positive_documents": [len(set(documents[column])) for column in positive.T],
            }
        )

    def _check_texts(self) -> None:
        name = self.card.name
        for what, found in (("documents", len(self.documents)), ("texts", len(self.texts))):
            if found != len(self.ids) and not (what == "texts" and found == 0):
                raise DataError(
                    f"{name}: {found} {what} for {len(self.ids)} lists of token ids; "
                    "give one for each."
                )
        for index, ids in enumerate(self.ids):
            if not ids:
                raise DataError(f"{name}: text {index} has no tokens; leave it out.")
        if self.reduce not in get_args(Reduce):
            known = ", ".join(get_args(Reduce))
            raise DataError(f"{name}: reduce is {self.reduce!r}; it may be one of {known}.")

    def _check_rows(self) -> None:
        name = self.card.name
        if self.rows.ndim != 2 or self.rows.shape[1] != 3:
            raise DataError(f"{name}: rows have shape {self.rows.shape}, expected (rows, 3).")
        if not len(self.rows):
            raise DataError(f"{name}: there are no rows to probe; give at least one.")
        text, start, end = self.rows.T
        outside = np.flatnonzero((text < 0) | (text >= len(self.ids)))
        if len(outside):
            raise DataError(
                f"{name}: row {outside[0]} is of text {text[outside[0]]}; "
                f"there are texts 0 to {len(self.ids) - 1}."
            )
        length = np.array([len(ids) for ids in self.ids])[text]
        bad = np.flatnonzero((start < 0) | (end > length) | (start >= end))
        if len(bad):
            i = bad[0]
            raise DataError(
                f"{name}: row {i} spans tokens {start[i]} to {end[i]} of a text of {length[i]}; "
                f"a span must hold at least one token and lie within 0 to {length[i]}."
            )

    def _check_labels(self) -> None:
        name = self.card.name
        expected = (len(self.rows), len(self.features))
        if self.labels.shape != expected:
            raise DataError(
                f"{name}: labels have shape {self.labels.shape}, expected {expected} "
                "(rows, features)."
            )
        if self.asked.shape != expected:
            raise DataError(
                f"{name}: members have shape {self.asked.shape}, expected {expected} "
                "(rows, features)."
            )
        if not self.features or len(set(self.features)) != len(self.features):
            raise DataError(f"{name}: feature names must be distinct and at least one.")
        for feature, column, asked in zip(self.features, self.labels.T, self.asked.T, strict=True):
            if not asked.any():
                raise DataError(f"{name}: feature {feature!r} is asked on no row; leave it out.")
            column = column[asked]
            if column.all() or not column.any():
                raise OneClassError(
                    f"{name}: all {len(column)} rows are {'with' if column.all() else 'without'} "
                    f"feature {feature!r}; add rows of the other class or leave the feature out."
                )
