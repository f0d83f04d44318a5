"""The text that neurons are read on: token by token, with a collection's labels where known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Int

from needlepoint._core.errors import DataError
from needlepoint._core.seeds import seed_for
from needlepoint._core.text import Encoder
from needlepoint.features import text_features
from needlepoint.features.collection import Collection
from needlepoint.features.duplicates import duplicate_groups
from needlepoint.features.tables import SUFFIXES, read_table, require_columns

CHARACTERS = 8
"""Characters of a document, for each token of a stretch, that a stretch is cut from."""
KINDS = {"mail": "mail", "novel": "novel", "speech": "speeches", "udhr": "translations"}
"""Kinds of packaged text by the first part of their names; all others are source code."""


@dataclass(frozen=True, eq=False)
class Texts:
    """Stretches of text, with the document that each is from."""

    ids: tuple[tuple[int, ...], ...]
    documents: tuple[str, ...]
    description: str
    """What they are, in words."""


@dataclass(frozen=True, eq=False)
class TokenCorpus:
    """All texts of a dossier, their tokens one after the other.

    The plain texts come first, then those with labels: test texts of a collection. A label is 1,
    0, or -1 where the feature is not asked.
    """

    plain: Texts
    labelled: Texts
    features: tuple[str, ...]
    labels: Int[np.ndarray, "row feature"]

    @property
    def ids(self) -> tuple[tuple[int, ...], ...]:
        """Token ids of each text."""
        return self.plain.ids + self.labelled.ids

    @property
    def documents(self) -> tuple[str, ...]:
        """Document of each text."""
        return self.plain.documents + self.labelled.documents

    @cached_property
    def starts(self) -> Int[np.ndarray, " span"]:
        """First row of each text, and one past the last row of all."""
        return np.cumsum([0, *map(len, self.ids)])

    @cached_property
    def tokens(self) -> Int[np.ndarray, " row"]:
        """Token id of each row."""
        return np.concatenate([np.asarray(ids, dtype=np.int64) for ids in self.ids])

    @cached_property
    def texts(self) -> Int[np.ndarray, " row"]:
        """Number of the text of each row."""
        return np.repeat(np.arange(len(self.ids)), np.diff(self.starts))

    @cached_property
    def row_documents(self) -> Int[np.ndarray, " row"]:
        """Number of the document of each row."""
        number: np.ndarray = np.unique(np.asarray(self.documents), return_inverse=True)[1]
        found: np.ndarray = number.reshape(-1)[self.texts]
        return found

    def asked(self, feature: str) -> Int[np.ndarray, " row"]:
        """Label of each row for one feature."""
        return self.labels[:, self.features.index(feature)]


def joined(plain: Texts, collection: Collection | None, chosen: Sequence[int]) -> TokenCorpus:
    """Plain texts, and the chosen texts of a collection with the labels of their rows."""
    n_plain = sum(map(len, plain.ids))
    if collection is None:
        return TokenCorpus(plain, Texts((), (), ""), (), np.zeros((n_plain, 0), dtype=np.int8))
    texts = Texts(
        tuple(collection.ids[text] for text in chosen),
        tuple(collection.documents[text] for text in chosen),
        f"test documents of {collection.card.name}",
    )
    starts = n_plain + np.cumsum([0, *map(len, texts.ids)])
    labels = np.full((starts[-1], len(collection.features)), -1, dtype=np.int8)
    place = {text: number for number, text in enumerate(chosen)}
    for row, (text, start, end) in enumerate(collection.rows.tolist()):
        if text in place:
            first = starts[place[text]]
            known = np.where(collection.asked[row], collection.labels[row].astype(np.int8), -1)
            part = labels[first + start : first + end]
            np.copyto(part, np.maximum(part, known))
    return TokenCorpus(plain, texts, collection.features, labels)


def packaged_corpus(encoder: Encoder, *, n_texts: int, n_tokens: int, seed: int) -> Texts:
    """Stretches of mail, speeches, a novel, translations and source code, about as many of each.

    One stretch of a document, cut at random.

    Raises:
        SourceError: If a package that carries them cannot be had.
    """
    draw = np.random.default_rng(seed_for(seed, use="dossier corpus"))
    of_kind: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, text in text_features.records():
        of_kind[KINDS.get(name.partition("/")[0], "source code")].append((name, text))
    found: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    share = -(-n_texts // len(of_kind))
    for kind, documents in of_kind.items():
        found[kind] = []
        for place in draw.permutation(len(documents)).tolist():
            if len(found[kind]) == share:
                break
            name, text = documents[place]
            ids = _stretch(encoder, text, n_tokens, draw)
            if len(ids) == n_tokens:
                found[kind].append((name, ids))
    pairs = [pair for kind in found.values() for pair in kind]
    words = f"packaged text, {share} stretches each of {', '.join(sorted(found))}"
    return Texts(tuple(ids for _, ids in pairs), tuple(name for name, _ in pairs), words)


def corpus_of_file(
    path: Path, encoder: Encoder, *, n_texts: int, n_tokens: int, seed: int
) -> Texts:
    """Stretches of a user's own text: a plain file, or the column `text` of a table.

    A plain file is one document; in a table each row is one, unless a column `document` says
    otherwise. Stretches are consecutive; if there are more than asked for, they are drawn.

    Raises:
        DataError: If there is no such file, it is not UTF-8, or holds too little text.
    """
    documents = read_documents(path)
    pieces = []
    for name, text in documents:
        ids = encoder.encode(text)
        cut = [tuple(ids[i : i + n_tokens]) for i in range(0, len(ids), n_tokens)]
        pieces += [(name, piece) for piece in cut if len(piece) > 1]
    if not pieces:
        raise DataError(f"{path} holds no text of two tokens; give more text.")
    draw = np.random.default_rng(seed_for(seed, use="dossier corpus"))
    kept = sorted(draw.permutation(len(pieces))[:n_texts].tolist())
    chosen = [pieces[place] for place in kept]
    words = f"{path.name}, {len(chosen)} of {len(pieces)} stretches"
    return Texts(tuple(ids for _, ids in chosen), tuple(name for name, _ in chosen), words)


def read_documents(path: Path) -> list[tuple[str, str]]:
    """Name and text of the documents of a user's file.

    Raises:
        DataError: If there is no such file, it is not UTF-8, or holds no text.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}; give the path of a file of text.")
    if path.suffix.lower() in SUFFIXES:
        frame = read_table(path)
        require_columns(frame, ["text"], path)
        names = frame["document"] if "document" in frame.columns else map(str, range(len(frame)))
        found = [
            (f"{path.name} {name}", text)
            for name, text in zip(names, frame["text"], strict=True)
            if isinstance(text, str) and text.strip()
        ]
    else:
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is not UTF-8 text; save it as UTF-8.") from error
        found = [(path.name, text)] if text.strip() else []
    if not found:
        raise DataError(f"{path} holds no text; give a file with some.")
    return found


def without_duplicates(plain: Texts, others: Texts, encoder: Encoder) -> Texts:
    """The texts that are not nearly the same as one of some others, by their words."""
    own, known = (
        ["".join(encoder.pieces(list(ids))) for ids in texts.ids] for texts in (plain, others)
    )
    groups = duplicate_groups([*own, *known])
    taken = {*groups[len(own) :]}
    kept = [place for place in range(len(own)) if groups[place] not in taken]
    return Texts(
        tuple(plain.ids[place] for place in kept),
        tuple(plain.documents[place] for place in kept),
        plain.description,
    )


def _stretch(
    encoder: Encoder, text: str, n_tokens: int, draw: np.random.Generator
) -> tuple[int, ...]:
    """Some consecutive tokens from a random place that follows white space."""
    room = max(len(text) - CHARACTERS * n_tokens, 0)
    start = int(draw.integers(room + 1))
    if start:
        start = max(text.find(" ", start), 0)
    return tuple(encoder.encode(text[start : start + CHARACTERS * n_tokens])[:n_tokens])
