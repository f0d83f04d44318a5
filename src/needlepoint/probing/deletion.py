"""Which neurons a shrinking set gives up: rules on a fit, without fitting anew.

Optimal brain surgeon: Hassibi and Stork 1993. In the quadratic model of a fit, whose Hessian H
includes the ridge, giving up neuron j and adjusting all others raises the loss by half of
`weight_j**2 / [H**-1]_jj`, which is also the Wald statistic of the weight.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint._core.registry import Registry
from needlepoint.probing.path import Fitted, Rows, hessian_at
from needlepoint.probing.rankings import leading

Deletion = Callable[[Rows, Fitted, int], Int[Tensor, "feature k"]]

DELETIONS: Registry[Deletion] = Registry("deletion rule")
"""Rules by name; each returns the places in the supports that stay when k neurons are left."""

AT_ONCE = 16
"""One in so many neurons is given up before the others are adjusted again, never less than one."""


@DELETIONS.add("weight")
def by_weight(rows: Rows, fitted: Fitted, k: int) -> Int[Tensor, "feature k"]:
    """Keep the largest weights on standardised neurons, best first; ties by lower index."""
    return leading(fitted.weight.abs(), k)


@DELETIONS.add("wald")
def by_wald(rows: Rows, fitted: Fitted, k: int) -> Int[Tensor, "feature k"]:
    """Keep what is dear to give up in the quadratic model, the others adjusted as neurons go.

    The weakest neuron goes first; above 16 neurons, the weakest one in 16 at a time. The result
    is in increasing order.
    """
    kept = []
    for lot in rows.together(fitted.support.shape[1], len(fitted.support)):
        part = fitted.select(lot)
        inverse = torch.linalg.inv(hessian_at(rows, part, lot).double())[:, :-1, :-1]
        kept.append(eliminate(part.weight.double(), inverse, k))
    return torch.cat(kept)


def wald(
    weight: Float[Tensor, "feature k"], inverse: Float[Tensor, "feature k k"]
) -> Float[Tensor, "feature k"]:
    """`weight**2 / [H**-1]_jj`: twice the rise of the quadratic model when neuron j goes.

    Example:
        >>> wald(torch.tensor([[2.0, 3.0]]), torch.diag(torch.tensor([1.0, 9.0]))[None])
        tensor([[4., 1.]])
    """
    return weight.square() / inverse.diagonal(dim1=1, dim2=2)


def eliminate(
    weight: Float[Tensor, "feature width"], inverse: Float[Tensor, "feature width width"], k: int
) -> Int[Tensor, "feature k"]:
    """Places left when the cheapest neurons have gone one after another, in increasing order.

    After each removal weights and inverse become those of the quadratic model without it.
    """
    left = torch.arange(weight.shape[1], device=weight.device).expand(len(weight), -1)
    while left.shape[1] > k:
        width = left.shape[1]
        stay = max(k, width - max(1, width // AT_ONCE))
        order = leading(wald(weight, inverse), width)
        keep, drop = order[:, :stay].sort(1).values, order[:, stay:]
        across = _block(inverse, keep, drop)
        pull = torch.linalg.solve(_block(inverse, drop, drop), across.mT)
        gone = weight.gather(1, drop)[:, :, None]
        weight = weight.gather(1, keep) - (pull.mT @ gone)[:, :, 0]
        inverse = _block(inverse, keep, keep) - across @ pull
        left = left.gather(1, keep)
    return left


def _block(matrix: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Some rows and columns of each matrix."""
    feature = torch.arange(len(matrix), device=matrix.device)[:, None, None]
    found: Tensor = matrix[feature, rows[:, :, None], columns[:, None, :]]
    return found
