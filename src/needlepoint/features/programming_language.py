"""Which programming language is a text in? Real source files from published packages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from needlepoint._core.packages import Package
from needlepoint._core.text import Encoder
from needlepoint.features.code_packages import SOURCES
from needlepoint.features.collection import Card, Collection
from needlepoint.features.hub import HubData, hub_rows
from needlepoint.features.packaged_texts import (
    PackagedTexts,
    licences_in_words,
    packaged_texts,
    sources_in_words,
)
from needlepoint.features.source_files import FILES_PER_LANGUAGE, read_sources, usable_text
from needlepoint.features.spans import with_shortfalls
from needlepoint.features.spec import HUB, PACKAGES, CollectionSpec
from needlepoint.features.windows import FEWEST_DOCUMENTS, ClassText, window_collection

NAME = "programming_language"
RECORDS_VERSION = 5
"""Raise it whenever other files, or other parts of them, would be kept."""
N_TOKENS = 64
QUESTION = "Which neurons know what programming language a text is in?"
PACKAGE_LIST: tuple[Package, ...] = tuple(source.package for source in SOURCES)
HUB_DATA = HubData("macrocosm-os/code-parrot-github-code", "that of each repository")
"""The files of public repositories in the GitHub Code data set, as Parquet."""
HUB_ROWS = 20_000
"""No more files of the hub are looked at."""
HUB_LANGUAGES = {
    "C": "c",
    "C++": "c++",
    "CSS": "css",
    "GO": "go",
    "HTML": "html",
    "Java": "java",
    "JavaScript": "javascript",
    "PHP": "php",
    "Python": "python",
    "Rust": "rust",
}
"""Languages of the data set as it spells them, and here."""


def load(
    encoder: Encoder, *, n_per_feature: int, n_tokens: int, seed: int, source: str
) -> Collection:
    """Windows of source code, labelled by the language of the file they were cut from.

    There is one yes-or-no feature for each language with enough files; windows of the others
    only serve as negatives. All windows are equally long and each is one row, the mean over
    its tokens. The first call fetches about 30 MB of packages; `hub` reads the beginning of the
    GitHub Code data set.

    Raises:
        DataError: If fewer than two languages have enough files for such windows.
        SourceError: If a package or the data set cannot be had.
    """
    texts, missing = records(source)

    def card(features: Sequence[str], others: Sequence[str]) -> Card:
        return _card(features, others, n_tokens, source=source, missing=missing)

    found = window_collection(
        texts,
        encoder,
        card=card,
        question=QUESTION,
        n_per_feature=n_per_feature,
        n_tokens=n_tokens,
        seed=seed,
    )
    reasons = "the packages in use have no more files long enough; the other source may have more."
    return with_shortfalls(found, reasons, n=n_per_feature, documents=FEWEST_DOCUMENTS)


def records(source: str = PACKAGES) -> PackagedTexts:
    """The source files in use; those of packages are kept in the cache.

    Raises:
        SourceError: If a package or the data set cannot be had.
    """
    if source == HUB:
        return PackagedTexts(list(hub_files()), {})
    return packaged_texts(
        NAME,
        version=RECORDS_VERSION,
        packages=PACKAGE_LIST,
        make=lambda archives: read_sources(SOURCES, archives),
    )


def hub_files() -> Iterator[ClassText]:
    """The first usable files of each language in the data set of the hub.

    Raises:
        SourceError: If the data set cannot be had.
    """
    found: Counter[str] = Counter()
    for row in hub_rows(HUB_DATA, at_most=HUB_ROWS):
        language = HUB_LANGUAGES.get(str(row["language"]), "")
        content = str(row["content"] if "content" in row else row["code"])
        text = usable_text(content.encode(), language) if language else ""
        if text and found[language] < FILES_PER_LANGUAGE:
            found[language] += 1
            repository = str(row["repo_name"])
            yield ClassText(repository, f"{repository}/{row['path']}", language, text)
        if min(found[language] for language in HUB_LANGUAGES.values()) == FILES_PER_LANGUAGE:
            return


def _card(
    features: Sequence[str],
    others: Sequence[str],
    n_tokens: int,
    *,
    source: str = PACKAGES,
    missing: Mapping[str, str] | None = None,
) -> Card:
    negatives = f" Files in {', '.join(others)} only serve as negatives." if others else ""
    own = source == PACKAGES
    how = "extension of the file (in pygments by its folder)" if own else "extension of the file"
    return Card(
        name=NAME,
        title="Programming language",
        description=f"Windows of real source code in {', '.join(features)}, each language against "
        f"all others.{negatives}",
        source=sources_in_words(PACKAGE_LIST, missing or {}) if own else HUB_DATA.repo,
        licence=f"{licences_in_words(PACKAGE_LIST)}; single files may carry terms of their own"
        if own
        else HUB_DATA.licence,
        how_labelled=f"By the {how}; no model was asked. A window takes the label of its file "
        "even where it is all comment or text.",
        confounds=(*(_OF_PACKAGES if own else ()), *_ALWAYS),
        aggregation=f"mean over the {n_tokens} tokens of a window",
        size="about 30 MB of packages" if own else f"the first {HUB_ROWS:,} files at most",
    )


_OF_PACKAGES = (
    "A language comes from two to five projects, so part of what tells it apart can be what its "
    "projects are about.",
    "HTML files are templates with Django or Jinja tags, not finished pages; XML is mostly "
    "schemas, and PHP is from two projects for WordPress.",
    "C is partly code about Python's own objects, as is C++.",
)
_ALWAYS = (
    "HTML contains JavaScript and CSS, PHP contains HTML, and C++ contains C.",
    "Comments are in English; the comment that a file opens with is left out, since it "
    "names the project and its licence.",
)
FEATURES = ("c", "c++", "css", "go", "html", "java", "javascript", "php", "python", "xml")
SPEC = CollectionSpec(
    _card(FEATURES, (), N_TOKENS), FEATURES, load, n_tokens=N_TOKENS, sources=(PACKAGES, HUB)
)
