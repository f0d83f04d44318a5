"""Matrix products of many classifiers at once, each with rows of its own.

On a CPU a matrix-vector product runs at the speed of the memory and its batched form many times
slower, so the batch is a loop there; on an accelerator it is one call.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

GRAM_BLOCK = 32


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
            strip = (rows[first:last] * values) @ rows[first:].T
            out[first:last, first:], out[first:, first:last] = strip, strip.T
    return gram
