"""What codes say about two heads at once: pairs of codes seen on clean text only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.codes import check_codes

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


def pairs_unique_to_clean(
    codes: Int[Tensor, "example head"], is_clean: Bool[Tensor, " example"], *, n_codes: int
) -> PairCounts:
    """Count, for each two heads, the pairs of codes they show on clean examples only.

    Keys of code pairs, in the narrowest integers that hold them, are sorted for a block of head
    pairs at a time: time grows with heads^2 x examples x log(examples), and memory does not depend
    on the number of codes.

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
    check_codes(codes, is_clean, n_codes)
    keys = codes.T.cpu().numpy().astype(np.min_scalar_type(2 * n_codes**2 - 1))
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
    pairs: Float[Tensor, "head head"] | Int[Tensor, "head head"],
    *,
    k: int | None = None,
    favour: Float[Tensor, " head"] | None = None,
) -> Int[Tensor, " head"]:
    """Count how often each head stands among the leading pairs (the published "edge" score).

    All ordered pairs are sorted by `pairs`, largest first, and written out as a list of heads,
    two for each pair; the first `k` entries of that list are counted. This scores heads, not
    edges: no edge is named, and the order of layers plays no part.

    Args:
        pairs: One number for each ordered pair, for instance `PairCounts.unique` or
            `PairCounts.normalised`.
        k: Entries counted, not pairs; half the number of ordered pairs, or 1, if not given.
        favour: Which of the pairs that tie come first: those whose two heads add up to more.
            Random numbers give a random order of ties, the truth the most flattering one. Ties
            keep the order of rows and then columns if not given.

    Raises:
        DataError: If `k` is not between 1 and twice the number of ordered pairs.

    Example:
        >>> edge_counts(torch.tensor([[0, 3, 1], [3, 0, 0], [1, 0, 0]]), k=4)
        tensor([2, 2, 0])
    """
    n_heads = len(pairs)
    k = max(1, n_heads**2 // 2) if k is None else k
    if not 1 <= k <= 2 * n_heads**2:
        raise DataError(f"k is {k}: it must be between 1 and {2 * n_heads**2} for {n_heads} heads.")
    order = _order(pairs, favour)
    entries = torch.stack([order // n_heads, order % n_heads], dim=1).flatten()[:k]
    return torch.bincount(entries, minlength=n_heads)


def _order(pairs: Tensor, favour: Tensor | None) -> Int[Tensor, " row"]:
    """Numbers of the ordered pairs, largest first, ties by what is favoured and then by number."""
    values = pairs.flatten()
    if favour is None:
        return values.argsort(descending=True, stable=True)
    before = (favour[:, None] + favour[None, :]).flatten().argsort(descending=True, stable=True)
    return before[values[before].argsort(descending=True, stable=True)]


def _count_keys(keys: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
    """Unique, clean and corrupt keys of each row; an odd key is the corrupt twin of key - 1."""
    keys = np.sort(keys, axis=1)
    odd = (keys & 1).astype(bool)
    step = np.diff(keys, axis=1)
    new = np.ones(keys.shape, dtype=bool)
    np.not_equal(step, 0, out=new[:, 1:])
    both = (odd[:, 1:] & (step == 1)).sum(1)
    distinct, corrupt = new.sum(1), (new & odd).sum(1)
    return np.stack([distinct - corrupt - both, distinct - corrupt, corrupt])
