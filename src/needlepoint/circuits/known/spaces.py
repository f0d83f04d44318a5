"""Linear subspaces, and whether a map reads them: exact up to rounding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

TOLERANCE = 1e-7
"""A unit row whose product with a unit vector is below this does not read it."""


class Written(NamedTuple):
    """The directions in which one writer's terms can lie, as orthonormal columns."""

    first: Float[Tensor, "d_model value"]
    """At the first position, where the same first token always stands; none without one."""
    later: Float[Tensor, "d_model value"]
    """At any other position."""
    moves: Float[Tensor, "d_model value"]
    """Differences between any two positions of one input."""


def span(columns: Float[Tensor, "width row"]) -> Float[Tensor, "width value"]:
    """Orthonormal columns that span the given ones; none where all of those are 0.

    Example:
        >>> span(torch.tensor([[1.0, 2.0, 0.0], [1.0, 2.0, 0.0]]).double()).abs()
        tensor([[0.7071],
                [0.7071]], dtype=torch.float64)
    """
    size = columns.norm(dim=0)
    used = size > TOLERANCE * size.max() if size.numel() else size > 0
    if not bool(used.any()):
        return columns[:, :0]
    found = torch.linalg.svd(columns[:, used] / size[used], full_matrices=False)
    kept: Tensor = found.U[:, TOLERANCE * found.S[0] < found.S]
    return kept


def rows_reading(
    matrix: Float[Tensor, "row width"], basis: Float[Tensor, "width value"]
) -> Bool[Tensor, " row"]:
    """Which rows of a map are not at right angles to a space.

    Example:
        >>> rows_reading(torch.eye(2), torch.tensor([[1.0], [0.0]]))
        tensor([ True, False])
    """
    size = matrix.norm(dim=1)
    if basis.shape[1] == 0:
        return torch.zeros_like(size, dtype=torch.bool)
    heard = (matrix @ basis).abs().amax(1)
    found: Tensor = (size > 0) & (heard > TOLERANCE * size)
    return found


def reads(matrix: Float[Tensor, "row width"], basis: Float[Tensor, "width value"]) -> bool:
    """Whether any row of a map reads anything of a space."""
    return bool(rows_reading(matrix, basis).any())


def joined(spaces: Sequence[Tensor]) -> Float[Tensor, "width row"]:
    """The columns of all, each `[width some]`."""
    return torch.cat(list(spaces), dim=1)
