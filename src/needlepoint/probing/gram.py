"""Matrix products of many classifiers at once, each with rows of its own.

On a CPU a matrix-vector product runs at the speed of the memory and its batched form many times
slower, so the batch is a loop there; on an accelerator it is one call.
"""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint.models.products import product

GRAM_BLOCK = 32
ROUGH_BLOCK = 64
ROUGH = 128
"""From this width on a rough Gram matrix is worth it."""


def along(
    X: Float[Tensor, "feature width example"], weight: Float[Tensor, "feature width"]
) -> Float[Tensor, "feature example"]:
    """`X' weight` of each feature: a number for each example."""
    if X.is_cuda:
        return torch.bmm(weight[:, None], X)[:, 0]
    found = X.new_empty(len(X), X.shape[2])
    for rows, vector, out in zip(X.unbind(), weight.unbind(), found.unbind(), strict=True):
        torch.mv(rows.T, vector, out=out)
    return found


def against(
    X: Float[Tensor, "feature width example"], values: Float[Tensor, "feature example"]
) -> Float[Tensor, "feature width"]:
    """`X values` of each feature: a number for each row of `X`."""
    if X.is_cuda:
        return torch.bmm(X, values[:, :, None])[:, :, 0]
    found = X.new_empty(len(X), X.shape[1])
    for rows, vector, out in zip(X.unbind(), values.unbind(), found.unbind(), strict=True):
        torch.mv(rows, vector, out=out)
    return found


def weighted_gram(
    X: Float[Tensor, "feature width example"], weight: Float[Tensor, "feature example"]
) -> Float[Tensor, "feature width width"]:
    """`X diag(weight) X'` of each feature, by the blocks on and above the diagonal only."""
    width = X.shape[1]
    if X.is_cuda:
        return torch.bmm(X * weight[:, None], X.mT)
    gram = X.new_empty(len(X), width, width)
    for rows, values, out in zip(X.unbind(), weight.unbind(), gram.unbind(), strict=True):
        for first in range(0, width, GRAM_BLOCK):
            last = min(first + GRAM_BLOCK, width)
            strip = product(rows[first:last] * values, rows[first:].T)
            out[first:last, first:], out[first:, first:last] = strip, strip.T
    return gram


def can_be_rough(X: Float[Tensor, "feature width example"]) -> bool:
    """Whether `rough_gram` is quicker for these rows than `weighted_gram`."""
    wide = X.dtype is torch.float32 and X.shape[1] >= ROUGH
    return wide and not X.is_cuda and multiplies_bfloat16()


def rough_gram(
    X: Float[Tensor, "feature width example"], weight: Float[Tensor, "feature example"]
) -> Float[Tensor, "feature width width"]:
    """`weighted_gram` to about three digits, in bfloat16: for steps that need no more.

    Weights must not be negative.
    """
    width = X.shape[1]
    gram = X.new_empty(len(X), width, width)
    for rows, root, out in zip(X.unbind(), weight.sqrt().unbind(), gram.unbind(), strict=True):
        scaled = (rows * root).bfloat16()
        for first in range(0, width, ROUGH_BLOCK):
            last = min(first + ROUGH_BLOCK, width)
            strip = scaled[first:last] @ scaled[first:].T
            out[first:last, first:], out[first:, first:last] = strip, strip.T
    return gram


@cache
def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for products of bfloat16, and torch uses them."""
    names = ("avx512_bf16", "amx_tile")
    asked = (getattr(torch.cpu, f"_is_{name}_supported", None) for name in names)
    used: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return used and any(ask() for ask in asked if ask)
