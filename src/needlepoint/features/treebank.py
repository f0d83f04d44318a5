"""Real text with the tags of its words, as treebanks in the CoNLL-U format give them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import conllu
import numpy as np
import pandas as pd
from jaxtyping import Int

from needlepoint._core.errors import DataError

UNKNOWN = "_"
"""A tag that is not given; also a value of a feature that is not known."""


@dataclass(frozen=True, eq=False)
class TaggedText:
    """One document, or whole sentences of it, and what each of its words is."""

    document: str
    text: str
    spans: Int[np.ndarray, "span 2"]
    """Characters `[start, end)` of each word, in order. Both parts of "don't" are words."""
    sentences: Int[np.ndarray, " span"]
    """Number of the sentence that each word is in; it never falls."""
    upos: tuple[str, ...]
    """Part of speech of each word, in the universal tag set."""
    deprel: tuple[str, ...]
    """Relation of each word to the word it depends on."""
    feats: tuple[str, ...]
    """Morphology of each word, `Number=Plur|Person=3` for instance."""

    def last_words(self) -> Int[np.ndarray, " row"]:
        """Number of the last word of each sentence, in order."""
        return np.flatnonzero(np.diff(self.sentences, append=-1) != 0)


def read_treebank(path: Path) -> list[TaggedText]:
    """The documents of a CoNLL-U file, or of all files of a folder that end in `.conllu`.

    The text is the real one: `SpaceAfter=No` is honoured, and a paragraph begins on a new line.
    A document begins where the file says `newdoc`; a file that never says it is one document.
    The row of a contraction is left out and its words are kept, each with its own characters;
    where the words do not spell the contraction, it is the first word's alone.

    Raises:
        DataError: If there is no such file, it is not CoNLL-U, or it has no words.
    """
    files = sorted(path.rglob("*.conllu")) if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise DataError(
            f"{path} holds no treebank; give a CoNLL-U file, or a folder of files that end in "
            ".conllu."
        )
    found = [text for file in files for text in _documents(file)]
    if not found:
        raise DataError(f"{path} has no words; give a CoNLL-U file with annotated sentences.")
    return found


_NEEDED = frozenset(("id", "form", "upos", "feats", "deprel", "misc"))
"""Columns that are read."""


class _Sentence(NamedTuple):
    """Comments and rows of one sentence."""

    metadata: dict[str, Any]
    rows: list[dict[str, Any]]


def _documents(path: Path) -> Iterator[TaggedText]:
    """The documents of one file."""
    name, n_unnamed = path.stem, 0
    growing = _Growing(name)
    with path.open(encoding="utf-8") as handle:
        for sentence in _sentences(handle, path):
            new = "newdoc id" in sentence.metadata or "newdoc" in sentence.metadata
            if new and growing.spans:
                yield growing.finished()
            if new:
                n_unnamed += 1
                growing = _Growing(sentence.metadata.get("newdoc id") or f"{name} {n_unnamed}")
            growing.add(sentence)
    if growing.spans:
        yield growing.finished()


def _sentences(lines: Iterable[str], path: Path) -> Iterator[_Sentence]:
    try:
        for found in conllu.parse_incr(lines):
            rows = list(found)
            if not all(token.keys() >= _NEEDED for token in rows):
                raise DataError(
                    f"{path} is not CoNLL-U (a row has fewer than ten columns); "
                    "give an annotated treebank."
                )
            if any(token["id"] is None for token in rows):
                raise DataError(
                    f"{path} is not CoNLL-U (a word has no number); give an annotated treebank."
                )
            yield _Sentence(dict(found.metadata), rows)
    except (conllu.exceptions.ParseException, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} is not CoNLL-U ({reason}); give an annotated treebank.") from error


@dataclass
class _Growing:
    """A document that sentences are being added to."""

    document: str
    text: str = ""
    spans: list[tuple[int, int]] = field(default_factory=list)
    tags: list[tuple[int, str, str, str]] = field(default_factory=list)
    n_sentences: int = 0
    space: str = ""
    """What stands between the last word and the next."""

    def add(self, sentence: _Sentence) -> None:
        """Put a sentence at the end of the text."""
        if self.text and ("newpar" in sentence.metadata or "newpar id" in sentence.metadata):
            self.space = "\n"
        pieces: list[str] = [self.text]
        length = len(self.text)
        for surface, words, spaced in _surfaces(sentence.rows):
            pieces += [self.space, surface]
            start, length = length + len(self.space), length + len(self.space) + len(surface)
            if "".join(word["form"] for word in words) != surface:
                words = words[:1]
            self.spans += _places(surface, words, start)
            self.tags += [
                (self.n_sentences, word["upos"] or UNKNOWN, word["deprel"] or UNKNOWN, _feats(word))
                for word in words
            ]
            self.space = " " if spaced else ""
        self.text = "".join(pieces)
        self.n_sentences += 1

    def finished(self) -> TaggedText:
        """The document as it stands."""
        sentences, upos, deprel, feats = zip(*self.tags, strict=True)
        return TaggedText(
            document=self.document,
            text=self.text,
            spans=np.array(self.spans, dtype=np.int64),
            sentences=np.array(sentences, dtype=np.int64),
            upos=upos,
            deprel=deprel,
            feats=feats,
        )


def _surfaces(rows: Iterable[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]], bool]]:
    """What stands in the text, the words it is made of, and whether a space follows."""
    words: list[dict[str, Any]] = []
    last, surface, spaced = 0, "", True
    for token in rows:
        number = token["id"]
        if isinstance(number, tuple):
            if number[1] == "-":  # a contraction: its words follow
                last, surface, spaced = number[2], token["form"], _spaced(token)
            continue  # or a word that is not in the text
        words.append(token)
        if number > last:
            yield token["form"], words, _spaced(token)
            words = []
        elif number == last:
            yield surface, words, spaced
            words = []


def _spaced(token: dict[str, Any]) -> bool:
    return (token["misc"] or {}).get("SpaceAfter") != "No"


def _places(surface: str, words: Sequence[dict[str, Any]], start: int) -> list[tuple[int, int]]:
    """Characters of each word; a single word has the whole surface."""
    lengths = [len(word["form"]) for word in words] if len(words) > 1 else [len(surface)]
    ends = start + np.cumsum(lengths)
    return [(int(end) - length, int(end)) for end, length in zip(ends, lengths, strict=True)]


def _feats(word: dict[str, Any]) -> str:
    return "|".join(f"{key}={value}" for key, value in (word["feats"] or {}).items()) or UNKNOWN


def to_frame(texts: Iterable[TaggedText]) -> pd.DataFrame:
    """One row for each text: numbers as lists, tags parted by spaces."""
    return pd.DataFrame(
        {
            "document": text.document,
            "text": text.text,
            "start": text.spans[:, 0].tolist(),
            "end": text.spans[:, 1].tolist(),
            "sentence": text.sentences.tolist(),
            "upos": " ".join(text.upos),
            "deprel": " ".join(text.deprel),
            "feats": " ".join(text.feats),
        }
        for text in texts
    )


def of_frame(frame: pd.DataFrame) -> list[TaggedText]:
    """The texts that `to_frame` was given."""
    return [
        TaggedText(
            document=row["document"],
            text=row["text"],
            spans=np.column_stack([row["start"], row["end"]]).astype(np.int64),
            sentences=np.asarray(row["sentence"], dtype=np.int64),
            upos=tuple(row["upos"].split(" ")),
            deprel=tuple(row["deprel"].split(" ")),
            feats=tuple(row["feats"].split(" ")),
        )
        for row in frame.to_dict("records")
    ]
