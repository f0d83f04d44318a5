"""Random bases: rotations of a layer in which a single direction is no longer a neuron.

If a feature is as easy to read off one direction of a random basis as off one neuron, the neurons
are not special. A dense random rotation costs as much as a layer of the model; the fast
Walsh-Hadamard transform, with random signs before and a random order after it, costs next to
nothing and spreads every neuron over all directions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.probing.checks import check_acts
from needlepoint.probing.columns import compute_dtype

ROUNDS = 2
"""After one round the weights of a direction are all of a size; after two they look Gaussian."""
FACTOR = 64
"""Largest Hadamard matrix that is multiplied by as it stands; larger ones are products of such."""
BLOCK_ROWS = 256


@dataclass(frozen=True, eq=False)
class Round:
    """One random sign for each coordinate, one orthogonal block, and one order."""

    signs: Float[Tensor, " unit"]
    block: Float[Tensor, "row row"]
    """Orthogonal and random, of the odd part of the width; `[[1.]]` for a power of two."""
    order: Int[Tensor, " unit"]


@dataclass(frozen=True, eq=False)
class RandomBasis:
    """A random orthogonal basis of a layer, applied in `O(n d log d)` instead of `O(n d^2)`.

    For a width `d = 2^a m` with `m` odd, each of two rounds flips signs, transforms by the
    Kronecker product of a random orthogonal `m x m` matrix and the Hadamard matrix of size `2^a`,
    and permutes. It is not drawn uniformly from all rotations (for that, `m` would have to be
    `d`), and columns are not rescaled: a ridge probe on all directions scores as one on all
    neurons.

    Example:
        >>> basis = RandomBasis.draw(12, torch.Generator().manual_seed(0))
        >>> acts = torch.eye(12, dtype=torch.float64)
        >>> turned = basis.rotate(acts)
        >>> bool(torch.allclose(turned @ turned.T, acts))
        True
        >>> bool(torch.allclose(basis.inverse(turned), acts))
        True

    References:
        Ailon and Chazelle 2009 (the fast Johnson-Lindenstrauss transform). Gurnee et al. 2023
        (arXiv 2305.01610) compare with Gaussian bases that are not orthogonal.
    """

    rounds: tuple[Round, ...]

    @classmethod
    def draw(cls, d: int, generator: torch.Generator) -> RandomBasis:
        """A new basis of `d` directions.

        Raises:
            DataError: If `d` is not positive.
        """
        if d < 1:
            raise DataError(f"d is {d}: a basis has at least one direction; give the width.")
        return cls(tuple(_round(d, generator) for _ in range(ROUNDS)))

    @property
    def d(self) -> int:
        """Number of directions, which is that of the neurons."""
        return len(self.rounds[0].signs)

    def rotate(self, acts: Float[Tensor, "example neuron"]) -> Float[Tensor, "example unit"]:
        """The same activations in coordinates of the random basis, at least in float32.

        Raises:
            DataError: If the activations have another width or are not finite.
        """
        return self._by_rows(acts, inverse=False)

    def inverse(self, acts: Float[Tensor, "example unit"]) -> Float[Tensor, "example neuron"]:
        """Coordinates of the random basis turned back into activations of neurons.

        Raises:
            DataError: If the coordinates have another width or are not finite.
        """
        return self._by_rows(acts, inverse=True)

    def direction(self, unit: int) -> Float[Tensor, " neuron"]:
        """One direction of the basis as weights of the neurons, of length 1, in float64.

        `rotate(acts)[:, unit]` is `acts @ direction(unit)`.
        """
        one = torch.zeros(1, self.d, dtype=torch.float64)
        one[0, unit] = 1.0
        return self.inverse(one)[0]

    def _by_rows(self, acts: Tensor, *, inverse: bool) -> Tensor:
        check_acts(acts)
        if acts.shape[1] != self.d:
            raise DataError(
                f"the basis has {self.d} directions and these activations {acts.shape[1]} columns; "
                f"draw one for their width: RandomBasis.draw({acts.shape[1]}, generator)."
            )
        turned = acts.new_empty(acts.shape, dtype=compute_dtype(acts))
        turn = _back if inverse else _forth
        rounds = self.rounds[::-1] if inverse else self.rounds
        for first in range(0, len(acts), BLOCK_ROWS):
            columns = acts[first : first + BLOCK_ROWS].to(turned.dtype).T.contiguous()
            for one in rounds:
                columns = turn(columns, one)
            turned[first : first + BLOCK_ROWS] = columns.T
        return turned


def walsh_hadamard(rows: Float[Tensor, "*row width"]) -> Float[Tensor, "*row width"]:
    """Each row times the orthonormal Hadamard matrix of its length; it is its own inverse.

    Raises:
        DataError: If the length is not a power of two.

    Example:
        >>> walsh_hadamard(torch.tensor([1.0, 0.0, 0.0, 0.0]))
        tensor([0.5000, 0.5000, 0.5000, 0.5000])
    """
    width = rows.shape[-1]
    if width < 1 or width & (width - 1):
        raise DataError(f"rows have {width} entries; the transform needs a power of two.")
    return _transform(rows.reshape(-1, width).T, width).T.reshape(rows.shape)


def _round(d: int, generator: torch.Generator) -> Round:
    device = generator.device
    odd = d // (d & -d)
    signs = torch.randint(2, (d,), generator=generator, device=device).double() * 2 - 1
    drawn = torch.randn(odd, odd, dtype=torch.float64, generator=generator, device=device)
    q, r = torch.linalg.qr(drawn)
    # Signs of the diagonal make the draw uniform over rotations and reflections.
    return Round(
        signs, q * r.diagonal().sign(), torch.randperm(d, generator=generator, device=device)
    )


def _forth(columns: Tensor, one: Round) -> Tensor:
    """One round on activations that stand in columns, so that all products are of wide rows."""
    mixed = _mix(columns * one.signs.to(columns)[:, None], one.block.to(columns))
    return mixed[one.order.to(columns.device)]


def _back(columns: Tensor, one: Round) -> Tensor:
    placed = torch.empty_like(columns)
    placed[one.order.to(columns.device)] = columns
    return _mix(placed, one.block.T.to(columns)) * one.signs.to(columns)[:, None]


def _mix(columns: Tensor, block: Tensor) -> Tensor:
    """The Kronecker product of the block and a Hadamard matrix, times the columns."""
    parts = _transform(columns, len(columns) // len(block))
    return (block @ parts.reshape(len(block), -1)).reshape(columns.shape)


def _transform(columns: Tensor, width: int) -> Tensor:
    """The Hadamard matrix times each stretch of `width` entries of the columns."""
    done, shape = 1, columns.shape
    while done < width:
        size = min(FACTOR, width // done)
        parts = columns.reshape(-1, size, done * shape[1])
        columns = _hadamard(size).to(columns) @ parts
        done *= size
    return columns.reshape(shape)


def _hadamard(size: int) -> Float[Tensor, "row row"]:
    """Sylvester's Hadamard matrix, orthonormal."""
    found = torch.ones(1, 1, dtype=torch.float64)
    while len(found) < size:
        found = torch.cat([torch.cat([found, found], 1), torch.cat([found, -found], 1)])
    return found / math.sqrt(size)
