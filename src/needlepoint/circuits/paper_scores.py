"""The scores of the paper with every option of its source: raw or normalised, and both softmaxes.

The heads are ranked by these; no head or pair is tested against a null.
"""

from __future__ import annotations

from typing import Literal

from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.code_pairs import edge_counts, pairs_unique_to_clean
from needlepoint.circuits.codes import (
    codes_unique_to_clean,
    share_unique_to_clean,
    softmax_across_layers,
    softmax_over_heads,
)

Softmax = Literal["over heads", "across layers"]


def node_scores(
    codes: Int[Tensor, "example head"],
    is_clean: Bool[Tensor, " example"],
    *,
    n_codes: int,
    normalised: bool = False,
    softmax: Softmax | None = "over heads",
    layer_of: Int[Tensor, " head"] | None = None,
) -> Float[Tensor, " head"]:
    """The paper's node score: codes seen on clean examples only, then a softmax.

    Args:
        codes: Code chosen by each head on each example, in `[0, n_codes)`.
        is_clean: Which examples are clean; the others are corrupt.
        n_codes: Size of the codebook.
        normalised: Whether the count is divided by the number of codes the head uses at all. The
            results of the paper are of raw counts.
        softmax: Over all heads, which keeps their order; across layers, which does not; or none.
        layer_of: Layer of each head, needed for the softmax across layers.

    Raises:
        OneClassError: If all examples are clean, or all corrupt.
        DataError: If a code is out of range, or the layers are needed and not given.

    Example:
        >>> import torch
        >>> codes = torch.tensor([[4, 1], [4, 1], [2, 1], [2, 1]])
        >>> is_clean = torch.tensor([True, True, False, False])
        >>> node_scores(codes, is_clean, n_codes=8, softmax=None).tolist()
        [1.0, 0.0]

    References:
        O'Neill and Bui, 2024 (arXiv 2405.12522), and its authors' code.
    """
    count = share_unique_to_clean if normalised else codes_unique_to_clean
    return _scaled(count(codes, is_clean, n_codes=n_codes).double(), softmax, layer_of)


def edge_scores(
    codes: Int[Tensor, "example head"],
    is_clean: Bool[Tensor, " example"],
    *,
    n_codes: int,
    normalised: bool = False,
    k: int | None = None,
    softmax: Softmax | None = "over heads",
    layer_of: Int[Tensor, " head"] | None = None,
) -> Float[Tensor, " head"]:
    """The paper's edge score, which scores heads: places among the leading pairs, then a softmax.

    Args:
        codes: Code chosen by each head on each example, in `[0, n_codes)`.
        is_clean: Which examples are clean; the others are corrupt.
        n_codes: Size of the codebook.
        normalised: Whether pairs of codes are counted as a share of those that are seen.
        k: Entries of the list of pairs that are counted; see `edge_counts`.
        softmax: As in `node_scores`.
        layer_of: As in `node_scores`.

    Raises:
        OneClassError: If all examples are clean, or all corrupt.
        DataError: If a code or `k` is out of range, or the layers are needed and not given.
    """
    pairs = pairs_unique_to_clean(codes, is_clean, n_codes=n_codes)
    counts = edge_counts(pairs.normalised if normalised else pairs.unique, k=k)
    return _scaled(counts.double(), softmax, layer_of)


def _scaled(counts: Tensor, softmax: Softmax | None, layer_of: Tensor | None) -> Tensor:
    if softmax is None:
        return counts
    if softmax == "over heads":
        return softmax_over_heads(counts)
    if layer_of is None:
        raise DataError("a softmax across layers needs layer_of, the layer of each head.")
    return softmax_across_layers(counts, layer_of)
