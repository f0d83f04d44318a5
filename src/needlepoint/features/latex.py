"""What part of a scientific paper is a token in? Real LaTeX: mathematics, title, citations."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool

from needlepoint._core.archives import members
from needlepoint._core.errors import DataError
from needlepoint._core.packages import Package, fetch
from needlepoint._core.progress import Bar
from needlepoint._core.text import Encoder
from needlepoint.features.collection import Card, Collection
from needlepoint.features.kept import kept_records
from needlepoint.features.latex_packages import VIGNETTES
from needlepoint.features.latex_regions import SKIPPED, Region, latex_regions
from needlepoint.features.pile import PILE, pile_documents
from needlepoint.features.spans import SpanText, span_collection, with_shortfalls
from needlepoint.features.spec import HUB, PACKAGES, CollectionSpec

NAME = "latex"
RECORDS_VERSION = 2
"""Raise it whenever other documents, or other parts of them, would be kept."""
N_TOKENS = 256
SKIP = 5
SHARE = 0.25
CHARACTERS = 3
"""Characters of a stretch for each token that is read of it."""
MOST = 12
"""Stretches of one document."""
MIN_CHARACTERS = 2_000
MIN_DOCUMENTS = 20
QUESTION = "Which neurons know what part of a scientific paper a token is in?"
KINDS = {
    "is_superscript": ("superscript",),
    "is_subscript": ("subscript",),
    "is_inline_math": ("inline",),
    "is_display_math": ("display",),
    "is_math": ("inline", "display"),
    "is_title": ("title",),
    "is_abstract": ("abstract",),
    "is_author": ("author",),
    "is_reference": ("reference",),
    "is_numerator": ("numerator",),
    "is_denominator": ("denominator",),
    "is_frac": ("frac",),
    "start_math": ("start",),
    "end_math": ("end",),
}
"""The features, and the kinds of regions that have each."""
FEATURES = tuple(KINDS)
PAIRS = (
    ("is_superscript", "is_subscript"),
    ("is_inline_math", "is_display_math"),
    ("is_numerator", "is_denominator"),
    ("start_math", "end_math"),
)
HEAD = [FEATURES.index(name) for name in ("is_title", "is_abstract", "is_author")]
IN_DOCUMENTS = re.compile(r"/doc/.*\.(?:tex|ltx|[RrS]nw)(?:\.gz)?$")
"""LaTeX files in the folder of documents of an R package."""


def load(
    encoder: Encoder, *, n_per_feature: int, n_tokens: int, seed: int, source: str
) -> Collection:
    """Single tokens of LaTeX documents, labelled by the region they stand in.

    Documents whose braces or mathematics do not balance are left out. The first call fetches
    about 35 MB of packages; `hub` reads the ArXiv part of a public copy of the Pile, any other
    source is the path of a folder of .tex files.

    Raises:
        DataError: If the folder has no whole document, or no feature is found.
        SourceError: If a package or the data set cannot be had.
    """
    texts = [text for document in records(source) for text in stretches(document, n_tokens)]
    collection = span_collection(
        texts,
        encoder,
        card=_card(source, n_tokens),
        question=QUESTION,
        features=FEATURES,
        n_per_feature=n_per_feature,
        n_tokens=n_tokens,
        seed=seed,
        skip=SKIP,
        positive_share=SHARE,
        pairs=PAIRS,
        merge="any",
    )
    reasons = "the documents have no more of it; give a folder of papers as the source for more."
    return with_shortfalls(collection, reasons, n=n_per_feature, documents=MIN_DOCUMENTS)


class Document(NamedTuple):
    """A whole document and what stands where in it."""

    name: str
    text: str
    regions: list[Region]


def records(source: str = PACKAGES) -> list[Document]:
    """The documents in use; those of packages are kept in the cache.

    Raises:
        DataError: If the source is a folder without whole documents.
        SourceError: If a package or the data set cannot be had.
    """
    if source == PACKAGES:
        frame = kept_records(NAME, version=RECORDS_VERSION, packages=VIGNETTES, make=_vignettes)
        columns = zip(frame["kind"], frame["start"], frame["end"], strict=True)
        regions = [list(map(Region, *column)) for column in columns]
        return list(map(Document, frame["document"], frame["text"], regions))
    if source == HUB:
        found = list(_whole(pile_documents(subset="ArXiv", n=500)))
    else:
        found = list(_whole(_of_folder(Path(source))))
    if not found:
        raise DataError(
            f"{source} has no whole LaTeX document of {MIN_CHARACTERS} characters; give a folder "
            "of .tex files with balanced braces and mathematics."
        )
    return found


def _vignettes() -> pd.DataFrame:
    """The documents of all packages, in the order of these."""
    found: list[Document] = []
    with (
        ThreadPoolExecutor(4) as pool,
        Bar("fetching LaTeX documents", total=len(VIGNETTES)) as bar,
    ):
        archives = pool.map(fetch, VIGNETTES)
        for package, archive in zip(VIGNETTES, archives, strict=True):
            found += _whole(_of_package(package, archive))
            bar.advance()
    columns: dict[str, list[Any]] = {
        "document": [document.name for document in found],
        "text": [document.text for document in found],
    }
    for column in Region._fields:
        columns[column] = [[getattr(one, column) for one in each.regions] for each in found]
    return pd.DataFrame(columns)


def _of_package(package: Package, archive: Path) -> Iterator[tuple[str, str]]:
    """LaTeX files in the folder of documents of an R package."""
    for path, content in members(archive, lambda name: bool(IN_DOCUMENTS.search(name))):
        content = gzip.decompress(content) if path.endswith(".gz") else content
        yield f"{package.name}/{PurePosixPath(path).name}", content.decode("utf-8", "replace")


def _of_folder(folder: Path) -> Iterator[tuple[str, str]]:
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; give one of .tex files, or leave the source out.")
    for path in sorted(folder.rglob("*.tex")):
        yield path.relative_to(folder).as_posix(), path.read_text("utf-8", "replace")


def _whole(documents: Iterable[tuple[str, str]]) -> Iterator[Document]:
    """The documents that are long enough and whose braces and mathematics balance."""
    for name, text in documents:
        text = text.replace("\r\n", "\n")
        if len(text) >= MIN_CHARACTERS:
            try:
                yield Document(name, text, latex_regions(text))
            except DataError:
                continue


def stretches(document: Document, n_tokens: int) -> Iterator[SpanText]:
    """A document cut at ends of lines into stretches to read, with what each character is.

    About 12 are taken, spread over the document, besides all that have a title, authors or
    abstract in them. A stretch starts at a line of which something is asked: nothing is of
    comments, programs, verbatim text and the preamble, but for these three.
    """
    marks, asked = _marks(document)
    parts = list(_parts(document.text, asked, CHARACTERS * n_tokens))
    spread = set(np.linspace(0, len(parts) - 1, min(MOST, len(parts))).round().astype(int).tolist())
    for i, part in enumerate(parts):
        if i in spread or marks[HEAD, part].any():
            yield _labelled(document.name, document.text[part], marks[:, part], asked[part])


def _parts(text: str, asked: Bool[np.ndarray, " value"], length: int) -> Iterator[slice]:
    """Where a document is cut; what lies between two parts is not asked about."""
    position = 0
    while position < len(text):
        ahead = asked[position:]
        if not ahead.any():
            return
        first = position + int(ahead.argmax())
        start = max(text.rfind("\n", 0, first) + 1, position)
        position = text.find("\n", min(start + length, len(text))) + 1 or len(text)
        yield slice(start, position)


def _marks(
    document: Document,
) -> tuple[Bool[np.ndarray, "feature value"], Bool[np.ndarray, " value"]]:
    """For each feature which characters have it, and which characters anything is asked of."""
    found = np.zeros((len(FEATURES), len(document.text)), dtype=bool)
    skipped = np.zeros(len(document.text), dtype=bool)
    for kind, start, end in document.regions:
        if kind == SKIPPED:
            skipped[start:end] = True
        for row, kinds in enumerate(KINDS.values()):
            if kind in kinds:
                found[row, start:end] = True
    return found, ~skipped | found[HEAD].any(0)


def _labelled(
    document: str,
    text: str,
    marks: Bool[np.ndarray, "feature value"],
    asked: Bool[np.ndarray, " value"],
) -> SpanText:
    """One text with a stretch for each run of characters that are labelled alike."""
    both = np.vstack([marks, asked])
    edges = np.flatnonzero((both[:, 1:] != both[:, :-1]).any(0)) + 1
    bounds = np.concatenate([[0], edges, [len(text)]])
    spans = np.column_stack([bounds[:-1], bounds[1:]])
    kept = asked[spans[:, 0]] & [bool(text[a:b].strip()) for a, b in spans]
    spans = spans[kept]
    return SpanText(text, document, spans, marks[:, spans[:, 0]].T.astype(np.int8))


def _card(source: str, n_tokens: int) -> Card:
    packaged = source == PACKAGES
    sizes = {
        PACKAGES: f"35 MB in {len(VIGNETTES)} Debian packages, which apt has on Debian 12",
        HUB: "part of the Pile's test split, a few hundred MB at most",
    }
    if packaged:
        described = "Papers and manuals of R packages, with the programs in them"
    else:
        described = "Documents of a folder" if source != HUB else f"The ArXiv part of {PILE.repo}"
    return Card(
        name=NAME,
        title="LaTeX",
        description=f"Tokens of LaTeX documents, each labelled by where it stands. {described}.",
        source="Debian packages: "
        + ", ".join(f"{package.name} {package.version}" for package in VIGNETTES)
        if packaged
        else source
        if source != HUB
        else PILE.repo,
        licence="; ".join(f"{package.name}: {package.licence}" for package in VIGNETTES)
        if packaged
        else "that of each document",
        size=sizes.get(source, "nothing"),
        how_labelled="By a scanner that follows braces, comments, verbatim text and the marks of "
        "mathematics; macros are not expanded. A token has a feature if any of its characters "
        "has. Comments, programs and the preamble are not asked about.",
        confounds=(
            *(_OF_PACKAGES if packaged else ()),
            "A numerator is mostly followed by a brace that opens the denominator, and a "
            "superscript preceded by ^: the sign itself tells.",
            "Titles, abstracts and authors stand at the start of a text, where little has been "
            "read; the first 5 tokens are in no row.",
            "Numerators and denominators are also fractions and mathematics, and scripts are "
            "mostly mathematics in one of them: the features overlap.",
        ),
        aggregation=f"one token of a text of at most {n_tokens}",
    )


_OF_PACKAGES = (
    "The documents are statistics, by few authors, so words of the trade go with them.",
)
SPEC = CollectionSpec(
    _card(PACKAGES, N_TOKENS), FEATURES, load, N_TOKENS, sources=(PACKAGES, HUB, "path")
)
