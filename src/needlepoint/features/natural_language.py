"""Which natural language is a text in? Help and messages that people translated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from needlepoint._core.packages import Package
from needlepoint._core.text import Encoder
from needlepoint.features.collection import Card, Collection
from needlepoint.features.hub import HubData, hub_rows
from needlepoint.features.packaged_texts import (
    PackagedTexts,
    at_most,
    licences_in_words,
    packaged_texts,
    sources_in_words,
)
from needlepoint.features.spans import with_shortfalls
from needlepoint.features.spec import HUB, PACKAGES, CollectionSpec
from needlepoint.features.translations import help_pages, message_files
from needlepoint.features.windows import FEWEST_DOCUMENTS, ClassText, window_collection

NAME = "natural_language"
RECORDS_VERSION = 3
"""Raise it whenever other documents, or other parts of them, would be kept."""
N_TOKENS = 64
QUESTION = "Which neurons know what natural language a text is in?"
LANGUAGES = {
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "fr": "french",
    "it": "italian",
    "nl": "dutch",
    "pl": "polish",
    "pt": "portuguese",
    "sv": "swedish",
}
FEATURES = tuple(sorted(LANGUAGES.values()))
PER_LANGUAGE = 80
"""Documents of each language, the packages taking turns."""

HELP = Package(
    "gnome-user-docs",
    "43.0-2",
    "0d635a840747958ca84da778b40d341f1155603851f922c9a171f5a181d6a39f",
    kind="deb",
    licence="CC-BY-SA-3.0",
)
MESSAGES = Package(
    "scratch-l10n",
    "6.1.116",
    "15a744a8e86580af23785827785ee045e8d010dc14c87aeebd2a85877ca526d0",
    kind="npm",
    licence="AGPL-3.0-only",
)
PACKAGE_LIST = (HELP, MESSAGES)

EUROPARL = "Helsinki-NLP/europarl"
EUROPARL_LICENCE = "free; see the notice of the European Parliament on reuse"
SENTENCES = 40
"""Consecutive sentences that stand for one document, where the corpus marks none."""


def load(
    encoder: Encoder, *, n_per_feature: int, n_tokens: int, seed: int, source: str
) -> Collection:
    """Windows of text, labelled by the language that its file was written in.

    All windows are equally long and each is one row, the mean over its tokens. The first call
    fetches about 24 MB of packages; `hub` reads the beginning of Europarl in each language.

    Raises:
        DataError: If fewer than two languages have enough documents for such windows.
        SourceError: If neither package, or not the data set, can be had.
    """
    texts, missing = records(source)
    found = window_collection(
        texts,
        encoder,
        card=lambda features, _: _card(features, n_tokens, source=source, missing=missing),
        question=QUESTION,
        n_per_feature=n_per_feature,
        n_tokens=n_tokens,
        seed=seed,
    )
    reasons = "the packages in use have no more translated pages; the other source may have more."
    return with_shortfalls(found, reasons, n=n_per_feature, documents=FEWEST_DOCUMENTS)


def records(source: str = PACKAGES) -> PackagedTexts:
    """The documents in use; those of packages are kept in the cache.

    Raises:
        SourceError: If neither package, or not the data set, can be had.
    """
    if source == HUB:
        documents = [text for code in LANGUAGES for text in debates(code)]
        return PackagedTexts(documents, {})
    return packaged_texts(NAME, version=RECORDS_VERSION, packages=PACKAGE_LIST, make=_read)


def debates(code: str) -> Iterator[ClassText]:
    """Stretches of the debates of the European Parliament in one language.

    Raises:
        SourceError: If the data set cannot be had.
    """
    first, second = sorted((code, "en" if code != "en" else "de"))
    data = HubData(EUROPARL, EUROPARL_LICENCE, config=f"{first}-{second}")
    rows = hub_rows(data, at_most=PER_LANGUAGE * SENTENCES)
    sentences = (str(row["translation"][code]) for row in rows)
    number = 0
    while run := list(islice(sentences, SENTENCES)):
        name = f"europarl/{code}/{number}"
        yield ClassText("europarl", name, LANGUAGES[code], "\n".join(run))
        number += 1


def _read(archives: Mapping[Package, Path]) -> list[ClassText]:
    """Documents of the packages that were had, labelled by the name of the language."""
    found: list[ClassText] = []
    if HELP in archives:
        folders = {code: code for code in LANGUAGES if code != "en"} | {"C": "en"}
        found += help_pages(archives[HELP], folders, group=HELP.name)
    if MESSAGES in archives:
        codes = {code: code for code in LANGUAGES}
        found += message_files(archives[MESSAGES], codes, group=MESSAGES.name)
    named = (text._replace(label=LANGUAGES[text.label]) for text in found)
    return at_most(named, PER_LANGUAGE)


def _card(
    features: Sequence[str],
    n_tokens: int,
    *,
    source: str = PACKAGES,
    missing: Mapping[str, str] | None = None,
) -> Card:
    own = source == PACKAGES
    return Card(
        name=NAME,
        title="Natural language",
        description=f"Windows of text in {', '.join(features)}, each language against all others.",
        source=sources_in_words(PACKAGE_LIST, missing or {}) if own else EUROPARL,
        licence=licences_in_words(PACKAGE_LIST) if own else EUROPARL_LICENCE,
        how_labelled="By the folder or name of the file, that is by those who translated it; no "
        "language detector was asked. Paragraphs equal to the English ones are left out."
        if own
        else "By the side of the corpus that a sentence stands on; no language detector was asked.",
        confounds=_OF_PACKAGES if own else _OF_EUROPARL,
        aggregation=f"mean over the {n_tokens} tokens of a window",
        size="about 24 MB of packages" if own else "the beginning of nine parts of Europarl",
    )


_OF_PACKAGES = (
    "All is help for computer users and for learners of programming, so the languages share "
    "their subjects; names of programs, commands and keys stay English.",
    "Pages are translations of one another. A page in one language is one document, so that "
    "another translation of it can stand on the other side of a split; as it has another "
    "label, that does not help a probe.",
    "Where only a word or two of a paragraph were left untranslated it is kept.",
    "A tokenizer made for English cuts other languages into shorter pieces, Greek most of all, "
    "so a window holds less text of them.",
)
_OF_EUROPARL = (
    "All is parliamentary debate, translated for the most part.",
    f"The corpus marks no documents: runs of {SENTENCES} sentences stand for them, and "
    "neighbouring runs can be of one debate.",
    "A tokenizer made for English cuts other languages into shorter pieces, Greek most of all, "
    "so a window holds less text of them.",
)
SPEC = CollectionSpec(
    _card(FEATURES, N_TOKENS), FEATURES, load, n_tokens=N_TOKENS, sources=(PACKAGES, HUB)
)
