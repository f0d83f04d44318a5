"""Texts that are nearly the same, so that they are never on both sides of a split."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

SHINGLE = 5
THRESHOLD = 0.5
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]|\w+|[^\w\s]")


def duplicate_groups(texts: Sequence[str], *, threshold: float = THRESHOLD) -> tuple[int, ...]:
    """A group number for each text; near-duplicates share theirs.

    Two texts are near-duplicates if the sets of their runs of five words (signs count as words)
    have a Jaccard similarity of at least `threshold`; groups are closed under this. The
    similarity is exact, not estimated; memory grows with the square of the number of texts in
    the worst case, so this is for some thousands of texts.

    References:
        Broder, "On the resemblance and containment of documents", 1997, section 2.

    Example:
        >>> same = "the quick brown fox jumps over the lazy dog by the river"
        >>> duplicate_groups([same, "nothing of the kind was ever said here", same + " bank"])
        (0, 1, 0)
    """
    if not texts:
        return ()
    shingles = _shingle_matrix(texts)
    sizes = np.asarray(shingles.sum(axis=1), dtype=np.float64).ravel()
    shared = coo_array(shingles @ shingles.T)
    first, second = shared.coords
    union = sizes[first] + sizes[second] - shared.data
    near = shared.data >= threshold * union
    links = csr_array(
        (np.ones(near.sum(), dtype=np.int8), (first[near], second[near])),
        shape=(len(texts), len(texts)),
    )
    _, groups = connected_components(links, directed=False)
    return tuple(int(group) for group in groups)


def merge_documents(documents: Sequence[str], texts: Sequence[str]) -> tuple[str, ...]:
    """The document of each text, documents that share a near-duplicate text made one.

    Each merged document bears the name of the one that came first.

    Example:
        >>> copied = "for i in range ( n ) : print ( i )"
        >>> merge_documents(["a.py", "b.py", "b.py"], [copied, copied, "x = 1"])
        ('a.py', 'a.py', 'a.py')
    """
    names = list(dict.fromkeys(documents))
    index = {name: i for i, name in enumerate(names)}
    holder = np.array([index[name] for name in documents], dtype=np.int64)
    groups = np.array(duplicate_groups(texts), dtype=np.int64) + len(names)
    n = len(names) + len(groups)
    links = csr_array((np.ones(len(holder), dtype=np.int8), (holder, groups)), shape=(n, n))
    _, component = connected_components(links, directed=False)
    leader: dict[int, str] = {}
    for i, name in enumerate(names):
        leader.setdefault(int(component[i]), name)
    return tuple(leader[int(component[i])] for i in holder)


def _shingle_matrix(texts: Sequence[str]) -> csr_array:
    """One row for each text, one column for each shingle that occurs, 1 where it does."""
    column: dict[tuple[str, ...], int] = {}
    rows, columns = [], []
    for row, text in enumerate(texts):
        words = _WORD.findall(text)
        stop = max(len(words) - SHINGLE + 1, 1)
        for shingle in {tuple(words[i : i + SHINGLE]) for i in range(stop)}:
            rows.append(row)
            columns.append(column.setdefault(shingle, len(column)))
    ones = np.ones(len(rows), dtype=np.int32)
    return csr_array((ones, (rows, columns)), shape=(len(texts), len(column)))
