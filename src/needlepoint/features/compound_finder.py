"""Which two words of a corpus make a compound? Pairs that are together more than by chance."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Literal, get_args

import numpy as np
import pandas as pd
from scipy.special import xlogy

from needlepoint._core.errors import DataError
from needlepoint._core.text import Encoder

Association = Literal["g2", "npmi"]
_WORD = re.compile(r"(?<!['\u2019\w])[^\W\d_]+(?!\w)")
"""A word of letters alone; what stands after an apostrophe is none."""


def find_compounds(
    texts: Iterable[str],
    encoder: Encoder,
    *,
    n: int = 50,
    by: str = "g2",
    min_count: int = 20,
    min_documents: int = 5,
    without: Iterable[str] | None = None,
) -> pd.DataFrame:
    """Pairs of neighbouring words that are together more often than their counts explain.

    A pair is a first word, white space and a second word, all without case. Only words of
    letters that are one token of the tokenizer, with a space before them, are counted. It
    proposes compounds to make collections of with `compound_collection`; it does not say that
    a pair means more than its words.

    Args:
        texts: Documents, in one language.
        encoder: The tokenizer of the model to be probed.
        n: At most so many pairs.
        by: `g2` ranks by the log-likelihood ratio against independence, which favours frequent
            pairs; `npmi` by normalised pointwise mutual information, which favours rare ones
            whose words are never apart.
        min_count: Times that a pair must occur.
        min_documents: Documents that it must occur in.
        without: Words that are in no pair, in lower case; the English stop words of
            scikit-learn unless given.

    Returns:
        The best pairs first: `first`, `second`, `count`, `documents`, `count_first` and
        `count_second` (as first and as second word of any pair), `g2` and `npmi`.

    Raises:
        DataError: If `by` is not known, or no pair is frequent enough.

    References:
        Dunning, "Accurate Methods for the Statistics of Surprise and Coincidence", 1993;
        Bouma, "Normalized (Pointwise) Mutual Information in Collocation Extraction", 2009.
    """
    if by not in get_args(Association):
        raise DataError(f"by is {by!r}; it may be {' or '.join(get_args(Association))}.")
    pairs, documents = _count(texts)
    first, second = Counter[str](), Counter[str]()
    for (one, two), count in pairs.items():
        first[one] += count
        second[two] += count
    left_out = _stop_words() if without is None else frozenset(without)
    single: dict[str, bool] = {}
    rows = [
        (*pair, count, documents[pair], first[pair[0]], second[pair[1]])
        for pair, count in pairs.items()
        if count >= min_count
        and documents[pair] >= min_documents
        and left_out.isdisjoint(pair)
        and all(_is_single(word, encoder, single) for word in pair)
    ]
    columns = ["first", "second", "count", "documents", "count_first", "count_second"]
    found = pd.DataFrame(rows, columns=columns)
    found["g2"], found["npmi"] = _associations(found, pairs.total())
    found = found[found["g2"] > 0]
    if found.empty:
        raise DataError(
            f"no pair of single-token words occurs {min_count} times in {min_documents} documents "
            "and more often than by chance; give more text or smaller numbers."
        )
    order = found.sort_values([by, "first", "second"], ascending=[False, True, True])
    return order.head(n).reset_index(drop=True)


def log_likelihood_ratio(together: float, first: float, second: float, total: float) -> float:
    """Dunning's G2 of a pair, negative where it is rarer than by chance.

    It is twice the log of how much likelier the counts are under dependence, in nats; above 10.8
    chance has less than one in a thousand.

    Args:
        together: Times that the pair occurs.
        first: Times that its first word is the first of any pair.
        second: Times that its second word is the second of any pair.
        total: Number of pairs.

    Example:
        >>> log_likelihood_ratio(10, 20, 50, 100)  # as often as by chance
        0.0
        >>> round(log_likelihood_ratio(20, 20, 50, 100), 2)
        32.78
    """
    observed = np.array([together, first - together, second - together, 0.0])
    observed[3] = total - observed.sum()
    rows, columns = np.array([first, total - first]), np.array([second, total - second])
    fit = xlogy(observed, observed).sum() - xlogy(rows, rows).sum() - xlogy(columns, columns).sum()
    ratio = max(0.0, 2 * float(fit + xlogy(total, total)))
    ratio = 0.0 if ratio < 1e-9 * total else ratio
    return ratio if together * total >= first * second else -ratio


def _stop_words() -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS)


def _count(
    texts: Iterable[str],
) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    """How often each pair occurs, and in how many documents."""
    pairs, documents = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for text in texts:
        own: Counter[tuple[str, str]] = Counter()
        before: re.Match[str] | None = None
        for word in _WORD.finditer(text):
            if before and text[before.end() : word.start()].isspace():
                own[before.group().lower(), word.group().lower()] += 1
            before = word
        pairs.update(own)
        documents.update(own.keys())
    return pairs, documents


def _is_single(word: str, encoder: Encoder, seen: dict[str, bool]) -> bool:
    if word not in seen:
        seen[word] = len(encoder.encode(f" {word}")) == 1
    return seen[word]


def _associations(found: pd.DataFrame, total: int) -> tuple[list[float], list[float]]:
    """The log-likelihood ratio and the normalised mutual information of each pair."""
    columns = found[["count", "count_first", "count_second"]].to_numpy(dtype=np.float64)
    g2 = [log_likelihood_ratio(a, b, c, float(total)) for a, b, c in columns]
    together, first, second = columns.T
    mutual = np.log(together * total / (first * second))
    surprise = -np.log(together / total)
    return g2, list(mutual / np.where(surprise > 0, surprise, 1.0))
