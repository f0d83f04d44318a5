"""What codes say about heads, one at a time: how many are used on clean text only."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError, OneClassError


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

    Raises:
        DataError: If a code is out of range.

    Example:
        >>> distinct_codes(torch.tensor([[4, 1], [4, 1], [2, 1]]), n_codes=8)
        tensor([2, 1])
    """
    _check_range(codes, n_codes)
    return _used(codes, n_codes).sum(-1)


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


def softmax_across_layers(
    counts: Float[Tensor, " head"] | Int[Tensor, " head"], layer_of: Int[Tensor, " head"]
) -> Float[Tensor, " head"]:
    """Softmax over the heads that have one place in their layers, as the source's other option.

    The heads numbered 0 compete with one another, then those numbered 1, and so on. The
    numbering of heads within a layer means nothing, so neither does this; it changes their order.

    Raises:
        DataError: If the layers do not have equally many heads, one layer after another.

    Example:
        Two layers of two heads.

        >>> counts = torch.tensor([7, 0, 7, 5])
        >>> softmax_across_layers(counts, torch.tensor([0, 0, 1, 1])).tolist()
        [0.5, 0.006692850924284856, 0.5, 0.9933071490757153]
    """
    sizes = torch.unique_consecutive(layer_of, return_counts=True)[1]
    if len(sizes) != len(torch.unique(layer_of)) or len(torch.unique(sizes)) != 1:
        raise DataError("softmax across layers needs layers of equally many heads, in order.")
    return torch.softmax(counts.double().reshape(len(sizes), -1), dim=0).flatten()


def check_codes(
    codes: Int[Tensor, "example head"], is_clean: Bool[Tensor, " example"], n_codes: int
) -> None:
    """Refuse codes out of range, and examples that are all clean or all corrupt.

    Raises:
        OneClassError: If all examples are clean, or all corrupt.
        DataError: If a code is out of range.
    """
    if bool(is_clean.all()) or not bool(is_clean.any()):
        only = "clean" if bool(is_clean.all()) else "corrupt"
        raise OneClassError(
            f"all {len(is_clean)} examples are {only}: give examples of both kinds."
        )
    _check_range(codes, n_codes)


def _check_range(codes: Tensor, n_codes: int) -> None:
    low, high = (int(end) for end in torch.aminmax(codes))
    if low < 0 or high >= n_codes:
        raise DataError(
            f"codes run from {low} to {high}, outside [0, {n_codes}): pass the n_codes of the "
            "dictionary that made them."
        )


def _code_sets(codes: Tensor, is_clean: Tensor, n_codes: int) -> tuple[Tensor, Tensor]:
    check_codes(codes, is_clean, n_codes)
    return _used(codes[is_clean], n_codes), _used(codes[~is_clean], n_codes)


def _used(codes: Int[Tensor, "example head"], n_codes: int) -> Bool[Tensor, "head code"]:
    """Whether each head uses each code; one key for each head and code, which numpy marks."""
    n_heads = codes.shape[1]
    used = np.zeros(n_heads * n_codes, dtype=bool)
    used[(codes.cpu().numpy() + np.arange(n_heads) * n_codes).ravel()] = True
    return torch.from_numpy(used.reshape(n_heads, n_codes)).to(codes.device)
