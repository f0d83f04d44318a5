"""What kind of document is a text from? Manuals, licences, mail, speeches and others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from needlepoint._core.packages import Package
from needlepoint._core.text import Encoder
from needlepoint.features.collection import Card, Collection
from needlepoint.features.hub import hub_rows
from needlepoint.features.packaged_texts import (
    PackagedTexts,
    at_most,
    licences_in_words,
    packaged_texts,
    sources_in_words,
)
from needlepoint.features.pile import MOST, PILE
from needlepoint.features.register_packages import READERS
from needlepoint.features.registers import usable
from needlepoint.features.spans import with_shortfalls
from needlepoint.features.spec import HUB, PACKAGES, CollectionSpec
from needlepoint.features.windows import FEWEST_DOCUMENTS, ClassText, window_collection

NAME = "data_source"
RECORDS_VERSION = 5
"""Raise it whenever other documents, or other parts of them, would be kept."""
N_TOKENS = 64
QUESTION = "Which neurons know what kind of document a text is from?"
PER_REGISTER = 88
"""Documents of each register, the packages taking turns."""
LEAST = 300
"""Characters that a document of the Pile has at least."""
LONGEST = 8_000
"""Characters of a document that are kept."""

PACKAGE_LIST = tuple(READERS)
SUBSETS = {
    "ArXiv": "arxiv",
    "Enron Emails": "enron",
    "FreeLaw": "freelaw",
    "Github": "github",
    "HackerNews": "hackernews",
    "PubMed Abstracts": "pubmed_abstracts",
    "StackExchange": "stack_exchange",
    "USPTO Backgrounds": "uspto",
    "Wikipedia (en)": "wikipedia",
}
"""Parts of the Pile as it spells them, and the feature of each."""


def load(
    encoder: Encoder, *, n_per_feature: int, n_tokens: int, seed: int, source: str
) -> Collection:
    """Windows of text, labelled by the kind of document that they were cut from.

    All windows are equally long and each is one row, the mean over its tokens. The first call
    fetches about 67 MB of packages; `hub` reads nine parts of a public copy of the Pile.

    Raises:
        DataError: If fewer than two registers have enough documents for such windows.
        SourceError: If a package of Python, or the data set, cannot be had.
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
    reasons = "the packages in use have no more such documents; the other source may have more."
    return with_shortfalls(found, reasons, n=n_per_feature, documents=FEWEST_DOCUMENTS)


def records(source: str = PACKAGES) -> PackagedTexts:
    """The documents in use; those of packages are kept in the cache.

    Raises:
        SourceError: If a package of Python, or the data set, cannot be had.
    """
    if source == HUB:
        return PackagedTexts(list(pile_parts()), {})
    return packaged_texts(NAME, version=RECORDS_VERSION, packages=PACKAGE_LIST, make=_read)


def pile_parts() -> Iterator[ClassText]:
    """The first documents of each of nine parts of the Pile.

    Raises:
        SourceError: If the data set cannot be had.
    """
    found: Counter[str] = Counter()
    for number, row in enumerate(hub_rows(PILE, at_most=MOST)):
        label = SUBSETS.get(row["meta"]["pile_set_name"], "")
        if label and found[label] < PER_REGISTER and len(row["text"]) >= LEAST:
            found[label] += 1
            yield ClassText(label, f"pile/{number}", label, row["text"][:LONGEST])
        if min(found[each] for each in SUBSETS.values()) == PER_REGISTER:
            return


def _read(archives: Mapping[Package, Path]) -> list[ClassText]:
    texts = (
        text._replace(text=text.text[:LONGEST])
        for package, archive in archives.items()
        for text in usable(READERS[package](archive, package.name))
    )
    return at_most(texts, PER_REGISTER)


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
        title="Source of the text",
        description=f"Windows of English documents: {', '.join(features)}; each against all "
        "others.",
        source=sources_in_words(PACKAGE_LIST, missing or {}) if own else PILE.repo,
        licence=licences_in_words(PACKAGE_LIST) if own else PILE.licence,
        how_labelled="By the package and the folder that a document is in; no model was asked."
        if own
        else "By the part of the Pile that a document is in; no model was asked.",
        confounds=_OF_PACKAGES if own else _OF_PILE,
        aggregation=f"mean over the {n_tokens} tokens of a window",
        size="about 67 MB of packages" if own else "a few hundred MB of the Pile's test split",
    )


_OF_PACKAGES = (
    "Most kinds come from one or two packages, so subject and author are confounded with them: "
    "the novel is Moby-Dick, mail is of 2002 and partly from lists on programming, speeches are "
    "presidents' to Congress, release notes, documentation and code are of Django and Sphinx, "
    "the dictionary is WordNet, the encyclopaedia is one of computing.",
    "Headers, quotations and signatures of mail, markup and headings of manuals, titles and "
    "directives of documentation are left out, and paragraphs are put on one line each, so that "
    "layout tells little; in code the lines are as they are. Documentation and release notes "
    "keep marks of reStructuredText within sentences.",
    "Advertisements are unsolicited e-mail, letters of fraud among them.",
    "A WordNet entry names its word and part of speech on each line.",
    "Licences borrow whole passages from one another.",
)
_OF_PILE = (
    "The parts differ in subject, format and time as much as in kind.",
    "The parts of the Pile that were taken down are not in this copy.",
)
FEATURES = (
    "advertisement",
    "code",
    "dictionary",
    "documentation",
    "encyclopaedia",
    "licence",
    "mail",
    "manual",
    "novel",
    "release_notes",
    "speech",
)
SPEC = CollectionSpec(
    _card(FEATURES, N_TOKENS), FEATURES, load, n_tokens=N_TOKENS, sources=(PACKAGES, HUB)
)
