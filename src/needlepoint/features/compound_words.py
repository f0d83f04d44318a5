"""Does the model know two words as one? Compounds such as "social security" against their parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int

from needlepoint._core.errors import DataError
from needlepoint._core.seeds import seed_for
from needlepoint._core.text import Encoder, Span
from needlepoint.features.collection import Card, Collection
from needlepoint.features.kept import kept_records
from needlepoint.features.pile import PILE, pile_documents
from needlepoint.features.sae_probes_wheel import PACKAGE, read_sets
from needlepoint.features.spans import with_shortfalls
from needlepoint.features.spec import HUB, PACKAGES, CollectionSpec
from needlepoint.features.text_features import token_strings

NAME = "compound_words"
RECORDS_VERSION = 1
"""Raise it whenever other prompts would be kept."""
N_TOKENS = 24
SHARE = 0.2
N_HUB = 30_000
"""Documents of the Pile that are read."""
MIN_DOCUMENTS = 20
QUESTION = "Which neurons know that two words make one compound?"
WORDS = (
    "high-school living-room social-security credit-card blood-pressure prime-factors "
    "social-media gene-expression control-group magnetic-field cell-lines trial-court "
    "second-derivative north-america human-rights side-effects public-health "
    "federal-government third-party clinical-trials mental-health"
)
COMPOUNDS = tuple(WORDS.split())
"""The compounds of the paper, in its order."""
FIRST_SET = 65
"""Number of the first compound's set in the wheel; the others follow."""


class Text(NamedTuple):
    """A document, or the end of one."""

    document: str
    text: str


@dataclass(frozen=True, eq=False)
class _Windows:
    """Windows of one compound: text, tokens and how the last of them comes about."""

    kinds: Int[np.ndarray, " row"]
    """0: the compound; 1: its second word after another token; 2: its first, then another."""
    windows: list[tuple[Text, tuple[int, ...], str]]


def load(
    encoder: Encoder, *, n_per_feature: int, n_tokens: int, seed: int, source: str
) -> Collection:
    """The 21 compounds of the paper, each asked on windows of its own.

    Raises:
        DataError: If no compound is two single tokens of this tokenizer, or none occurs.
        SourceError: If the wheel or the data set cannot be had.

    References:
        Gurnee et al., "Finding Neurons in a Haystack", 2023, appendix on n-grams.
    """
    of_compound = records(source)
    found = {}
    for name in COMPOUNDS:
        first, second = name.split("-")
        if source == PACKAGES:
            draw = np.random.default_rng(seed_for(seed, use="prompts", compound=name))
            texts = [of_compound[name][i] for i in draw.permutation(len(of_compound[name]))]
            found[name] = _ends(texts, first, second, encoder, n_tokens, n_per_feature)
        else:
            found[name] = _windows(of_compound[name], first, second, encoder, n_tokens)
    return _collection(found, _card(source), n_per_feature, seed)


def compound_collection(
    first: str,
    second: str,
    texts: Sequence[tuple[str, str]],
    encoder: Encoder,
    *,
    n_per_feature: int,
    n_tokens: int = N_TOKENS,
    seed: int = 0,
    source: str = "texts of the user",
) -> Collection:
    """One compound made from any documents: windows that end in it, and that end in its parts.

    Words are matched without case and surrounding space, and only where each is one token. A
    window is the last `n_tokens` tokens up to and including the one that is probed. Of the rows
    20 % are positive (`second` after `first`), 40 % `second` after another token, and 40 % the
    token after `first` where that is not `second`, where there are so many.

    Args:
        first: First word, in lower case.
        second: Second word, in lower case.
        texts: Name and text of each document.
        encoder: The tokenizer of the model to be probed.
        n_per_feature: Positive rows, where there are so many.
        n_tokens: Tokens of a window.
        seed: The seed of the whole run.
        source: Where the texts are from, for the card.

    Raises:
        DataError: If the compound does not occur with so many tokens before it, or never do its
            parts without each other.
    """
    documents = [Text(document, text) for document, text in texts]
    found = {f"{first}-{second}": _windows(documents, first, second, encoder, n_tokens)}
    return _collection(found, _card(source), n_per_feature, seed)


def records(source: str = PACKAGES) -> dict[str, list[Text]]:
    """The texts of each compound: prompts of the wheel, or documents of the Pile.

    Raises:
        SourceError: If the wheel or the data set cannot be had.
    """
    if source == HUB:
        documents = [Text(name, text) for name, text in pile_documents(n=N_HUB)]
        return dict.fromkeys(COMPOUNDS, documents)
    frame = kept_records(NAME, version=RECORDS_VERSION, packages=[PACKAGE], make=_prompts)
    return {
        str(name): [Text(f"{name}/{i}", prompt) for i, prompt in enumerate(part["prompt"])]
        for name, part in frame.groupby("compound", sort=False)
    }


def _prompts() -> pd.DataFrame:
    """Each prompt of the wheel once; what its target says is found again from its words."""
    tags = [f"{FIRST_SET + i}_{name}" for i, name in enumerate(COMPOUNDS)]
    sets = read_sets(tags)
    return pd.concat(
        [
            pd.DataFrame({"compound": name, "prompt": sets[tag]["prompt"].drop_duplicates()})
            for name, tag in zip(COMPOUNDS, tags, strict=True)
        ],
        ignore_index=True,
    )


def kinds_of_tokens(
    offsets: Sequence[Span], text: str, first: str, second: str
) -> Int[np.ndarray, " pos"]:
    """For each token 0 if it ends the compound, 1 or 2 if it is a negative, else -1.

    1 is the second word after another token, 2 another token after the first word.

    Example:
        >>> text = "a high school, high hopes, old school"
        >>> spans = [(0, 1), (1, 6), (6, 13), (13, 14), (14, 19), (19, 25), (25, 26), (26, 30)]
        >>> kinds_of_tokens([*spans, (30, 37)], text, "high", "school").tolist()
        [-1, -1, 0, -1, -1, 2, -1, -1, 1]
    """
    words = [string.strip().lower() for string in token_strings(offsets, text)]
    found = np.full(len(words), -1, dtype=np.int64)
    for i in range(1, len(words)):
        if words[i] == second:
            found[i] = 0 if words[i - 1] == first else 1
        elif words[i - 1] == first:
            found[i] = 2
    return found


def _windows(
    texts: Iterable[Text], first: str, second: str, encoder: Encoder, n_tokens: int
) -> _Windows:
    """All full windows of the documents."""
    kinds: list[int] = []
    windows = []
    for text in texts:
        low = text.text.lower()
        if first not in low and second not in low:
            continue
        ids, offsets = encoder.encode_with_offsets(text.text)
        found = kinds_of_tokens(offsets, text.text, first, second)
        for last in np.flatnonzero(found >= 0):
            if last + 1 >= n_tokens:
                start = int(last) + 1 - n_tokens
                shown = text.text[offsets[start][0] : offsets[last][1]]
                kinds.append(int(found[last]))
                windows.append((text, tuple(ids[start : last + 1]), shown))
    return _Windows(np.array(kinds, dtype=np.int64), windows)


def _ends(
    texts: Iterable[Text],
    first: str,
    second: str,
    encoder: Encoder,
    n_tokens: int,
    n_per_feature: int,
) -> _Windows:
    """The end of each text, of at most so many tokens, where its last token is a case.

    Texts that read like a kind of which there are enough are passed over uncut.
    """
    negatives = round(n_per_feature * (1 - SHARE) / SHARE / 2)
    left = [n_per_feature, negatives, negatives]
    kinds: list[int] = []
    windows = []
    for text in texts:
        words = text.text.lower().rsplit(maxsplit=2)
        likely = 2 if not words or words[-1] != second else int(words[-2:-1] != [first])
        if left[likely] <= 0:
            continue
        ids, offsets = encoder.encode_with_offsets(text.text)
        found = kinds_of_tokens(offsets[-3:], text.text, first, second)
        if len(ids) > 2 and found[-1] >= 0:
            left[found[-1]] -= 1
            kinds.append(int(found[-1]))
            shown = text.text[offsets[-n_tokens:][0][0] :]
            windows.append((text, tuple(ids[-n_tokens:]), shown))
    return _Windows(np.array(kinds, dtype=np.int64), windows)


def _collection(
    found: dict[str, _Windows], card: Card, n_per_feature: int, seed: int
) -> Collection:
    """The chosen windows of all compounds, each asked of its own compound alone."""
    chosen = {name: _chosen(cut.kinds, n_per_feature, seed, name) for name, cut in found.items()}
    names = tuple(name for name, rows in chosen.items() if len(rows))
    if not names:
        raise DataError(
            f"{card.name}: no compound occurs with its words as single tokens and, elsewhere, "
            "apart; give more text or other words."
        )
    windows = [found[name].windows[row] for name in names for row in chosen[name]]
    of_name = np.repeat(np.arange(len(names)), [len(chosen[name]) for name in names])
    kinds = np.concatenate([found[name].kinds[chosen[name]] for name in names])
    members = of_name[:, None] == np.arange(len(names))
    n = len(windows)
    lengths = np.array([len(ids) for _, ids, _ in windows])
    collection = Collection(
        card=card,
        question=QUESTION,
        ids=tuple(ids for _, ids, _ in windows),
        documents=tuple(text.document for text, _, _ in windows),
        rows=np.column_stack([np.arange(n), lengths - 1, lengths]),
        reduce="last",
        features=names,
        labels=members & (kinds == 0)[:, None],
        texts=tuple(shown for _, _, shown in windows),
        members=None if len(names) == 1 else members,
    )
    reasons = "the texts have no more such windows under this tokenizer."
    return with_shortfalls(collection, reasons, n=n_per_feature, documents=MIN_DOCUMENTS)


def _chosen(
    kinds: Int[np.ndarray, " row"], n_per_feature: int, seed: int, name: str
) -> Int[np.ndarray, " example"]:
    """Windows to keep, in order: of each kind of negative twice as many as positives."""
    draw = np.random.default_rng(seed_for(seed, use="windows", compound=name))
    order = draw.permutation(len(kinds))
    positive = order[kinds[order] == 0][:n_per_feature]
    n = round(len(positive) * (1 - SHARE) / SHARE / 2)
    negative = [order[kinds[order] == kind][:n] for kind in (1, 2)]
    if not len(positive) or not sum(map(len, negative)):
        return np.empty(0, dtype=np.int64)
    return np.sort(np.concatenate([positive, *negative]))


def _card(source: str) -> Card:
    packaged = source == PACKAGES
    origin = {PACKAGES: PACKAGE.requirement, HUB: PILE.repo}.get(source, source)
    sizes = {
        PACKAGES: "45 MB in one wheel",
        HUB: f"the first {N_HUB:,} documents of the Pile's test split",
    }
    licence = {PACKAGES: PACKAGE.licence, HUB: PILE.licence}.get(source, "that of each text")
    documents = (
        "The prompts are cut from the Pile without the names of their documents, so each counts "
        "as one document; windows of one document that overlap are near-duplicates and are kept "
        "together, others may part."
    )
    return Card(
        name=NAME,
        title="Compound words",
        description="Windows that end in a compound such as social security, against windows that "
        "end in its second word after another token and in another token after its first word.",
        source=origin,
        licence=licence + ("; the prompts are text of the Pile" if packaged else ""),
        size=sizes.get(source, "nothing"),
        how_labelled="By matching the last two tokens without case and surrounding space. Of the "
        "negatives half end in the second word, half in a token after the first word.",
        confounds=(
            *((documents,) if packaged else ()),
            "What a text is about goes with the compound: prime factors are of exercises in "
            "arithmetic, cell lines of abstracts in biology.",
            "The second kind of negatives ends in another word than the positives, so a neuron "
            "for the second word alone tells these apart.",
        ),
        aggregation="last token of the window",
    )


SPEC = CollectionSpec(_card(PACKAGES), COMPOUNDS, load, N_TOKENS, (PACKAGES, HUB))
