"""What codes say about heads: how many are used on clean text only, alone and in pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from needlepoint._core.errors import DataError, OneClassError

PAIR_BLOCK = 4096
"""Pairs of heads counted at a time: bounds memory at PAIR_BLOCK x examples keys."""


class PairCounts(NamedTuple):
    """For each pair of heads, how many different pairs of codes they show together."""

    unique: Int[Tensor, "head head"]
    """Pairs of codes seen on clean examples and on no corrupt one; symmetric, 0 on the diagonal."""
    clean: Int[Tensor, "head head"]
    corrupt: Int[Tensor, "head head"]

    @property
    def normalised(self) -> Float[Tensor, "head head"]:
        """`unique` as a share of the clean plus the corrupt pairs; 0 on the diagonal."""
        return self.unique.double() / (self.clean + self.corrupt).clamp(min=1)


def codes_unique_to_clean(
    codes: Int[Tensor, "example head"], is_clean: Bool[Tensor, " example"], *, n_codes: int
) -> Int[Tensor, " head"]:
    """Count, for each head, the codes it uses on clean examples and on no corrupt one.

    This is the node score of the discrete-autoencoder method, before any scaling. It grows with
    the number of codes a head uses, signal or none: compare with `distinct_codes`. The two sets
    are named by `is_clean`, never by their place in the batch.

    Args:
        codes: Code chosen by each head on each example, in `[0, n_codes)`.
        is_clean: Which examples are clean; the others are corrupt.
        n_codes: Size of the codebook.

    Raises:
        OneClassError: If all examples are clean, or all corrupt.
        DataError: If a code is out of range.

    Example:
        Head 0 says 4 only on clean text; head 1 says the same everywhere.

        >>> codes = torch.tensor([[4, 1], [4, 1], [2, 1], [2, 1]])
        >>> is_clean = torch.tensor([True, True, False, False])
        >>> codes_unique_to_clean(codes, is_clean, n_codes=8)
        tensor([1, 0])

    References:
        O'Neill and Bui, 2024 (arXiv 2405.12522).
    """
    clean, corrupt = _code_sets(codes, is_clean, n_codes)
    return (clean & ~corrupt).sum(-1)


def share_unique_to_clean(
    codes: Int[Tensor, "example head"], is_clean: Bool[Tensor, " example"], *, n_codes: int
) -> Float[Tensor, " head"]:
    """`codes_unique_to_clean` as a share of all the codes a head uses (the normalised option).

    Example:
        >>> codes = torch.tensor([[4, 1], [4, 1], [2, 1], [2, 1]])
        >>> is_clean = torch.tensor([True, True, False, False])
        >>> share_unique_to_clean(codes, is_clean, n_codes=8).tolist()
        [0.5, 0.0]
    """
    clean, corrupt = _code_sets(codes, is_clean, n_codes)
    return (clean & ~corrupt).sum(-1).double() / (clean | corrupt).sum(-1)


def distinct_codes(codes: Int[Tensor, "example head"], *, n_codes: int) -> Int[Tensor, " head"]:
    """Count the different codes each head uses, on clean and corrupt examples alike.

    Example:
        >>> distinct_codes(torch.tensor([[4, 1], [4, 1], [2, 1]]), n_codes=8)
        tensor([2, 1])
    """
    return _used(codes, n_codes).sum(-1)


def pairs_unique_to_clean(
    codes: Int[Tensor, "example head"], is_clean: Bool[Tensor, " example"], *, n_codes: int
) -> PairCounts:
    """Count, for each two heads, the pairs of codes they show on clean examples only.

    Keys of code pairs are sorted for a block of head pairs at a time: time grows with
    heads^2 x examples x log(examples), memory does not depend on the number of codes.

    Args:
        codes: Code chosen by each head on each example, in `[0, n_codes)`.
        is_clean: Which examples are clean; the others are corrupt.
        n_codes: Size of the codebook.

    Raises:
        OneClassError: If all examples are clean, or all corrupt.
        DataError: If a code is out of range.

    References:
        O'Neill and Bui, 2024 (arXiv 2405.12522), edge score.
    """
    _check(codes, is_clean, n_codes)
    keys: NDArray[np.int64] = codes.T.cpu().numpy().astype(np.int64)
    corrupt = (~is_clean).cpu().numpy()
    n_heads = len(keys)
    first, second = np.triu_indices(n_heads, k=1)
    counts = np.zeros((3, n_heads, n_heads), dtype=np.int64)
    for start in range(0, len(first), PAIR_BLOCK):
        one, two = first[start : start + PAIR_BLOCK], second[start : start + PAIR_BLOCK]
        found = _count_keys((keys[one] * n_codes + keys[two]) * 2 + corrupt)
        counts[:, one, two] = counts[:, two, one] = found
    return PairCounts(*torch.from_numpy(counts).to(codes.device))


def edge_counts(
    pairs: Float[Tensor, "head head"] | Int[Tensor, "head head"], *, k: int | None = None
) -> Int[Tensor, " head"]:
    """Count how often each head stands among the leading pairs (the published "edge" score).

    All ordered pairs are sorted by `pairs`, largest first, and written out as a list of heads,
    two for each pair; the first `k` entries of that list are counted. This scores heads, not
    edges: no edge is named, and the order of layers plays no part.

    Args:
        pairs: One number for each ordered pair, for instance `PairCounts.unique`. Ties keep
            the order of rows and then columns.
        k: Entries counted, not pairs; half the number of ordered pairs if not given.

    Raises:
        DataError: If `k` is not between 1 and twice the number of ordered pairs.

    Example:
        >>> edge_counts(torch.tensor([[0, 3, 1], [3, 0, 0], [1, 0, 0]]), k=4)
        tensor([2, 2, 0])
    """
    n_heads = len(pairs)
    k = n_heads**2 // 2 if k is None else k
    if not 1 <= k <= 2 * n_heads**2:
        raise DataError(f"k is {k}: it must be between 1 and {2 * n_heads**2} for {n_heads} heads.")
    order = pairs.flatten().argsort(descending=True, stable=True)
    entries = torch.stack([order // n_heads, order % n_heads], dim=1).flatten()[:k]
    return torch.bincount(entries, minlength=n_heads)


def softmax_over_heads(
    counts: Float[Tensor, " head"] | Int[Tensor, " head"],
) -> Float[Tensor, " head"]:
    """Softmax of counts over all heads, as the paper reports scores; safe for large counts.

    It never changes the order of the heads.

    Example:
        >>> softmax_over_heads(torch.tensor([2000, 2000])).tolist()
        [0.5, 0.5]
    """
    return torch.softmax(counts.double(), dim=0)


def _count_keys(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Unique, clean and corrupt keys of each row; an odd key is the corrupt twin of key - 1."""
    keys = np.sort(keys, axis=1)
    new = np.ones(keys.shape, dtype=bool)
    new[:, 1:] = keys[:, 1:] != keys[:, :-1]
    odd = (keys & 1).astype(bool)
    both = (odd[:, 1:] & (keys[:, 1:] - keys[:, :-1] == 1)).sum(1)
    clean, corrupt = (new & ~odd).sum(1), (new & odd).sum(1)
    return np.stack([clean - both, clean, corrupt])


def _code_sets(codes: Tensor, is_clean: Tensor, n_codes: int) -> tuple[Tensor, Tensor]:
    _check(codes, is_clean, n_codes)
    return _used(codes[is_clean], n_codes), _used(codes[~is_clean], n_codes)


def _used(codes: Int[Tensor, "example head"], n_codes: int) -> Bool[Tensor, "head code"]:
    used = torch.zeros(codes.shape[1], n_codes, dtype=torch.bool, device=codes.device)
    return used.scatter_(1, codes.T.long(), True)


def _check(codes: Tensor, is_clean: Tensor, n_codes: int) -> None:
    if bool(is_clean.all()) or not bool(is_clean.any()):
        only = "clean" if bool(is_clean.all()) else "corrupt"
        raise OneClassError(
            f"all {len(is_clean)} examples are {only}: give examples of both kinds."
        )
    low, high = int(codes.min()), int(codes.max())
    if low < 0 or high >= n_codes:
        raise DataError(
            f"codes run from {low} to {high}, outside [0, {n_codes}): pass the n_codes of the "
            "dictionary that made them."
        )
