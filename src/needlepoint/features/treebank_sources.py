"""Where text with tagged words is from: packages (silver), the public treebank, or files."""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from needlepoint._core.errors import SourceError
from needlepoint._core.files import atomic_path, cache_dir
from needlepoint.features import packaged_prose, tagged_text
from needlepoint.features.kept import kept_records
from needlepoint.features.spec import HUB, PACKAGES
from needlepoint.features.treebank import TaggedText, of_frame, read_treebank, to_frame

SOURCES = (PACKAGES, HUB, "path")
RECORDS_VERSION = 1
"""Raise it whenever other records would be read from the same treebank."""

RELEASE = "r2.16"
BASE = f"https://raw.githubusercontent.com/UniversalDependencies/UD_English-EWT/{RELEASE}"
"""Folder of the public treebank, at a release that is never changed."""
FILES: Mapping[str, int] = {
    "en_ewt-ud-train.conllu": 12_544,
    "en_ewt-ud-dev.conllu": 2_001,
    "en_ewt-ud-test.conllu": 2_077,
}
"""Files of the treebank, and the number of sentences the release states for each."""
PATIENCE = 60.0
"""Seconds without an answer after which a download is given up."""


@dataclass(frozen=True)
class Origin:
    """Where tagged text is from, as cards say it."""

    description: str
    source: str
    licence: str
    how_labelled: str
    confounds: tuple[str, ...]
    size: str


def origin_of(source: str) -> Origin:
    """What a card says of this source. Nothing is downloaded."""
    if source == PACKAGES:
        return SILVER
    return GOLD if source == HUB else _of_files(Path(source))


def tagged_texts(source: str) -> list[TaggedText]:
    """The documents of a source, kept in the cache after the first call.

    Args:
        source: `packages`, `hub`, or the path of a CoNLL-U file or of a folder of them.

    Raises:
        DataError: If a path holds no treebank.
        SourceError: If packages or the public treebank cannot be had.
    """
    if source == PACKAGES:
        return tagged_text.silver_texts()
    path = _downloaded() if source == HUB else Path(source)
    files = sorted(path.rglob("*.conllu")) if path.is_dir() else [path] if path.exists() else []
    if not files:
        return read_treebank(path)  # says what is wrong
    frame = kept_records(
        "treebank",
        version=RECORDS_VERSION,
        files=files,
        make=lambda: to_frame(read_treebank(path)),
    )
    return of_frame(frame)


def _downloaded() -> Path:
    """Folder of the public treebank in the cache, fetched where it is not there."""
    folder = cache_dir() / "features" / f"ud_english_ewt-{RELEASE}"
    for name, n_sentences in FILES.items():
        if not (folder / name).exists():
            _download(f"{BASE}/{name}", folder / name, n_sentences)
    return folder


def _download(address: str, target: Path, n_sentences: int) -> None:
    with atomic_path(target) as temporary:
        try:
            with (
                urllib.request.urlopen(address, timeout=PATIENCE) as answer,
                temporary.open("wb") as handle,
            ):
                shutil.copyfileobj(answer, handle)
        except (urllib.error.URLError, OSError) as error:
            raise SourceError(
                f"{address} cannot be had ({error}); check the network, leave the source out to "
                "use packages, or give the path of a treebank."
            ) from error
        with temporary.open("rb") as handle:
            found = sum(line.startswith(b"# sent_id") for line in handle)
        if found != n_sentences:
            raise SourceError(
                f"{address} has {found} sentences where the release has {n_sentences}; it was not "
                "used. Try again, or give the path of a treebank."
            )


def _of_files(path: Path) -> Origin:
    return Origin(
        description=f"The tags are those of the treebank {path.name}.",
        source=f"CoNLL-U files given by the user: {path.name}",
        licence="that of the treebank; see what it came with",
        how_labelled="By the annotators of the treebank that was given.",
        confounds=("A file that does not say where documents begin counts as one document.",),
        size="nothing",
    )


GOLD = Origin(
    description="The tags are gold: those of the treebank's annotators.",
    source="Universal Dependencies English Web Treebank (UD_English-EWT), release "
    f"{RELEASE.removeprefix('r')}: training, development and test parts, 1174 documents of "
    "weblogs, newsgroups, e-mail, reviews and answers",
    licence="CC-BY-SA-4.0",
    how_labelled="By people: dependency relations were corrected by hand, parts of speech and "
    "morphology were converted from hand-made Penn Treebank tags and then corrected.",
    confounds=(
        "Text of the web is full of slips of spelling; a word that is misspelt has the tags of the "
        "word that was meant.",
    ),
    size="18 MB",
)
_PACKAGES = (tagged_text.MODEL, *packaged_prose.PACKAGES)
SILVER = Origin(
    description="The tags are silver: those of a small tagger and parser, not of people.",
    source="English prose of published packages ("
    + ", ".join(f"{package.name} {package.version}" for package in packaged_prose.PACKAGES)
    + f"): e-mail, speeches, chapters of a novel; tagged by {tagged_text.MODEL.name} "
    f"{tagged_text.MODEL.version}, spaCy's small English model",
    licence="; ".join(f"{package.name}: {package.licence}" for package in _PACKAGES),
    how_labelled="By spaCy's small English model: its parts of speech as they are, its dependency "
    "labels (CLEAR style) and some of its morphology converted to universal ones where that "
    "follows soundly. Where it does not, a word has no relation (names of several words, most of "
    "what follows 'be' and is no noun or adjective) or no form ('-ing' words without an "
    "auxiliary), and is not asked about it.",
    confounds=(
        "Silver tags are wrong in places, and wrong in ways a network finds natural: a neuron that "
        "agrees with them may know the tagger's habits. Compared with the development and test "
        "parts of the English Web Treebank, sentences and words given, F1 on the words that are "
        "labelled is at least 0.90 for two thirds of the features that are kept and 0.70 to 0.89 "
        "for the rest; lowest are ccomp 0.70, acl and SCONJ 0.72, advcl 0.74. Where sentences end "
        "was not compared. Confirm a finding on gold tags (source 'hub').",
        "Words that the conversion leaves unlabelled are the harder ones, so that what is left "
        "is easier than a treebank.",
        "Two fifths of the text are e-mail of 2002, much of it about software, the rest is one "
        "novel of 1851 and speeches of presidents; e-mail with 'she' was preferred, so that there "
        "is enough of it.",
    ),
    size="41 MB",
)
