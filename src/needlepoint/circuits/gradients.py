"""Loss and gradients of the discrete autoencoder, by hand, for many seeds at once.

The loss is `mean (x' - x)^2 + sparsity * mean ||a||_1` with `a = ReLU(W_e (x - b) + c)` and
`x' = W_d a + b`: the square is averaged over coordinates, the activations are summed over codes.
After a few dozen steps most vectors activate nothing, and those contribute nothing but a bias
term. Only the others are multiplied out, which is exact and cuts the work several times; which
vectors those are a `Screen` mostly knows without looking.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint.circuits.screening import Screen, speaking_rows
from needlepoint.models.products import batched_product


class Parameters(NamedTuple):
    """The weights of an ensemble, or their gradients."""

    encoder: Float[Tensor, "seed code d_model"]
    code_bias: Float[Tensor, "seed code"]
    decoder: Float[Tensor, "seed d_model code"]
    bias: Float[Tensor, "seed d_model"]


def activations(
    weights: Parameters, vectors: Float[Tensor, "seed vector d_model"]
) -> Float[Tensor, "seed vector code"]:
    """Code activations after ReLU, with the shared bias folded into the encoder's."""
    return batched_product(vectors, weights.encoder.mT).add_(_offset(weights)[:, None]).relu_()


def loss(
    weights: Parameters, vectors: Float[Tensor, "seed vector d_model"], sparsity: float
) -> Float[Tensor, " seed"]:
    """Loss of each seed on its vectors: squared error per coordinate plus weighted L1 norm."""
    active = activations(weights, vectors)
    decoded = batched_product(active, weights.decoder.mT).add_(weights.bias[:, None])
    return (decoded - vectors).square().mean((1, 2)) + sparsity * active.sum(-1).mean(-1)


def gradients(
    weights: Parameters,
    vectors: Float[Tensor, "seed vector d_model"],
    total: Float[Tensor, "seed d_model"],
    sparsity: float,
    screen: Screen | None = None,
) -> Parameters:
    """Gradient of `loss` with respect to each weight, as autograd would give it.

    The derivative of ReLU at 0 is taken as 0. Nothing is projected or normalised here.

    Args:
        weights: The weights at which the gradient is taken.
        vectors: Training vectors of each seed.
        total: Their sum, which does not change from step to step.
        sparsity: Weight of the L1 norm.
        screen: What is known of the same vectors from earlier steps; spares work.
    """
    _, n_vectors, d_model = vectors.shape
    scale = 2 / (n_vectors * d_model)
    if screen is None:
        active, spoken = speaking_rows(activations(weights, vectors), vectors)
    else:
        active, spoken = screen.speaking(weights.encoder, _offset(weights))
    error = batched_product(active, weights.decoder.mT).add_(weights.bias[:, None])
    error.sub_(spoken).mul_(scale)
    drive = batched_product(error, weights.decoder).add_(sparsity / n_vectors).mul_(active > 0)
    pushed = drive.sum(1)
    decoded = n_vectors * weights.bias + _apply(weights.decoder, active.sum(1))
    return Parameters(
        encoder=batched_product(drive.mT, spoken).sub_(_outer(pushed, weights.bias)),
        code_bias=pushed,
        decoder=batched_product(error.mT, active),
        bias=scale * (decoded - total) - _apply(weights.encoder.mT, pushed),
    )


def remove_parallel_(gradient: Float[Tensor, "*row width"], rows: Tensor) -> None:
    """Take out of each row of the gradient its component along the (unit) row itself."""
    gradient.addcmul_(rows, torch.linalg.vecdot(gradient, rows)[..., None], value=-1)


def unit_rows_(rows: Float[Tensor, "*row width"]) -> None:
    """Scale each row, its last axis, to unit length in place."""
    rows.div_(torch.linalg.vector_norm(rows, dim=-1, keepdim=True))


def _offset(weights: Parameters) -> Float[Tensor, "seed code"]:
    """What the encoder adds when the shared bias is folded in."""
    return weights.code_bias - _apply(weights.encoder, weights.bias)


def _apply(matrix: Float[Tensor, "seed row width"], vector: Tensor) -> Float[Tensor, "seed row"]:
    return torch.bmm(matrix, vector[..., None])[..., 0]


def _outer(left: Tensor, right: Tensor) -> Tensor:
    return left[..., :, None] * right[..., None, :]
