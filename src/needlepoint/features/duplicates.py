"""Texts that are nearly the same, so that they are never on both sides of a split."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

SHINGLE = 5
THRESHOLD = 0.5
BLOCK = 512
"""Texts that are compared with all later ones at once."""
MOST_PAIRS = 200_000
"""Pairs whose shared runs are counted at once."""
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]|\w+|[^\w\s]")


def duplicate_groups(texts: Sequence[str], *, threshold: float = THRESHOLD) -> tuple[int, ...]:
    """A group number for each text; near-duplicates share theirs.

    Two texts are near-duplicates if the sets of their runs of five words (signs count as words)
    have a Jaccard similarity of at least `threshold`; groups are closed under this. The
    similarity is exact, not estimated. To be near-duplicates two texts must share one of their
    rarest runs, so only such pairs are compared, and none that are in one group already: some
    ten thousand texts take seconds, also where most of them follow one template.

    References:
        Broder, "On the resemblance and containment of documents", 1997, section 2; the rarest
        runs are the prefix filter of Chaudhuri et al., "A primitive operator for similarity
        joins in data cleaning", 2006.

    Example:
        >>> same = "the quick brown fox jumps over the lazy dog by the river"
        >>> duplicate_groups([same, "nothing of the kind was ever said here", same + " bank"])
        (0, 1, 0)
    """
    if not texts:
        return ()
    shingles = _shingle_matrix(texts)
    sizes = np.diff(shingles.indptr)
    rare = _rarest(shingles, sizes - np.ceil(threshold * sizes - 1e-9) + 1)
    n = len(texts)
    links, groups = [np.empty((2, 0), np.int64)], np.arange(n)
    for first in range(0, n, BLOCK):
        for pairs in _candidates(rare, groups, first):
            shared = np.asarray(shingles[pairs[0]].multiply(shingles[pairs[1]]).sum(axis=1)).ravel()
            union = sizes[pairs[0]] + sizes[pairs[1]] - shared
            links.append(pairs[:, shared >= threshold * union])
        groups = _components(np.concatenate(links, axis=1), n)
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
    """One row for each text, one column for each shingle that occurs, 1 where it does.

    Columns come from the rarest shingle to the commonest.
    """
    number: dict[str, int] = {}
    words, lengths = [], []
    for text in texts:
        found = [number.setdefault(word, len(number) + 1) for word in _WORD.findall(text)]
        found += [0] * (SHINGLE - len(found))
        words += found
        lengths.append(len(found))
    flat, length = np.array(words, dtype=np.int64), np.array(lengths)
    shingle = np.zeros(len(flat) - SHINGLE + 1, dtype=np.int64)
    for place in range(SHINGLE):
        pair = shingle * (len(number) + 1) + flat[place : place + len(shingle)]
        _, shingle = np.unique(pair, return_inverse=True)
    starts = np.arange(len(shingle)) - np.repeat(np.cumsum(length) - length, length)[: len(shingle)]
    row = np.repeat(np.arange(len(texts)), length)[: len(shingle)]
    inside = starts <= length[row] - SHINGLE
    each = np.unique(row[inside] * len(flat) + shingle[inside])
    row, shingle = each // len(flat), each % len(flat)
    _, column, count = np.unique(shingle, return_inverse=True, return_counts=True)
    rank = np.empty(len(count), np.int64)
    rank[np.argsort(count, kind="stable")] = np.arange(len(count))
    ones = np.ones(len(row), dtype=np.int32)
    found_at = csr_array((ones, (row, rank[column])), shape=(len(texts), len(count)))
    found_at.sort_indices()
    return found_at


def _rarest(shingles: csr_array, counts: np.ndarray) -> csr_array:
    """The first so many entries of each row: its rarest shingles."""
    sizes = np.diff(shingles.indptr)
    place = np.arange(shingles.nnz) - np.repeat(shingles.indptr[:-1], sizes)
    kept = place < np.repeat(counts, sizes)
    row = np.repeat(np.arange(len(sizes)), sizes)[kept]
    return csr_array((shingles.data[kept], (row, shingles.indices[kept])), shape=shingles.shape)


def _candidates(
    rare: csr_array, groups: np.ndarray, first: int
) -> Iterator[Int[np.ndarray, "2 pair"]]:
    """Pairs of a block's texts and later ones that share a rare shingle, but not a group.

    Texts of the largest group are not even looked up against one another.
    """
    block = np.arange(first, min(first + BLOCK, len(groups)))
    later = np.arange(first, len(groups))
    large = groups == np.bincount(groups).argmax()
    for rows, others in (
        (block[~large[block]], later),
        (block[large[block]], later[~large[later]]),
    ):
        if not len(rows) or not len(others):
            continue
        found = coo_array(rare[rows] @ rare[others].T)
        one, two = rows[found.coords[0]], others[found.coords[1]]
        new = groups[one] != groups[two]
        pairs = np.stack([one[new], two[new]])
        for start in range(0, pairs.shape[1], MOST_PAIRS):
            yield pairs[:, start : start + MOST_PAIRS]


def _components(links: Int[np.ndarray, "2 pair"], n: int) -> np.ndarray:
    """The group of each text, numbered from 0 in the order of their first texts."""
    ones = np.ones(links.shape[1], dtype=np.int8)
    _, groups = connected_components(csr_array((ones, tuple(links)), shape=(n, n)), directed=False)
    return np.asarray(groups)
