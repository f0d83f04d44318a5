"""How often each head says each code under each label, as sparse tables of all heads at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from needlepoint._core.errors import DataError


@dataclass(frozen=True, eq=False)
class CodeTables:
    """Which examples say which code, for every head of every seed; only codes in use take room.

    A *cell* is one code of one head of one seed. Cells come sorted by seed, head and code, so
    that a sum over the codes of a head is a sum over neighbouring rows. Counts for any number of
    labelings are one product of a sparse matrix with a matrix of labels: no array over codes x
    heads x heads is ever made.

    Example:
        >>> import torch
        >>> tables = CodeTables.of(torch.tensor([[[4], [4], [2]]]), n_labels=2)
        >>> tables.counts(np.array([[1], [0], [0]]))[:, :, 0].tolist()
        [[1.0, 1.0], [0.0, 1.0]]
    """

    member: Any
    """Sparse `[cell, example]`: the weight of an example in the row of the code that it says."""
    starts: Int[np.ndarray, " unit"]
    """First cell of each head of each seed, seeds one after the other."""
    n_seeds: int
    n_labels: int

    @classmethod
    def of(
        cls,
        codes: Int[Tensor, "seed example head"],
        *,
        n_labels: int,
        weights: Float[np.ndarray, " example"]
        | Float[np.ndarray, "seed example head"]
        | None = None,
    ) -> CodeTables:
        """Tables of integer codes, whatever their range, negative ones included.

        Args:
            codes: Code of each head on each example, by seed.
            n_labels: Number of classes.
            weights: What each example counts, everywhere or for each head; 1 if not given. The
                energy that a code explains is such a weight.

        Raises:
            DataError: If there is no example.
        """
        n_seeds, n_examples, n_heads = codes.shape
        if n_examples == 0:
            raise DataError("there are no examples: give codes of at least one.")
        flat = codes.cpu().numpy().astype(np.int64).transpose(0, 2, 1).reshape(-1, n_examples)
        low, reach = int(flat.min()), int(flat.max()) - int(flat.min()) + 1
        keys = flat - low + np.arange(len(flat))[:, None] * reach
        cells, cell_of = np.unique(keys, return_inverse=True)
        values = _values(weights, codes.shape)
        place = np.broadcast_to(np.arange(n_examples), flat.shape)
        member = csr_array(
            (values.ravel(), (cell_of.ravel(), place.ravel())), shape=(len(cells), n_examples)
        )
        starts = np.searchsorted(cells // reach, np.arange(n_seeds * n_heads))
        return cls(member, starts, n_seeds, n_labels)

    @property
    def n_cells(self) -> int:
        """Codes in use, over all heads and seeds."""
        return int(self.member.shape[0])

    @cached_property
    def size(self) -> Int[np.ndarray, " unit"]:
        """Codes that each head of each seed uses."""
        return np.diff(self.starts, append=self.n_cells)

    def counts(
        self, labels: Int[np.ndarray, "example resample"]
    ) -> Float[np.ndarray, "label cell resample"]:
        """Weight of each cell under each label, for each labeling."""
        return np.stack(
            [self.member @ (labels == one).astype(float) for one in range(self.n_labels)]
        )

    def sum_codes(self, cells: Float[np.ndarray, "*label cell resample"]) -> Any:
        """Sums over the codes of each head of each seed, `[*label, unit, resample]`."""
        return np.add.reduceat(cells, self.starts, axis=-2)

    def spread(self, units: Float[np.ndarray, "*label unit resample"]) -> Any:
        """A number of each head of each seed, repeated for each of its codes."""
        return np.repeat(units, self.size, axis=-2)

    def over_seeds(
        self, units: Float[np.ndarray, "unit resample"]
    ) -> Float[np.ndarray, "head resample"]:
        """Mean over the seeds of each head."""
        mean: NDArray[np.float64] = units.reshape(self.n_seeds, -1, units.shape[1]).mean(0)
        return mean

    def take(self, rows: Int[np.ndarray, " example"]) -> CodeTables:
        """The tables of some examples only, with the same cells."""
        return CodeTables(self.member[:, rows], self.starts, self.n_seeds, self.n_labels)


def _values(weights: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    n_seeds, n_examples, n_heads = shape
    if weights is None:
        return np.ones((n_seeds * n_heads, n_examples))
    if weights.ndim == 1:
        return np.broadcast_to(weights.astype(float), (n_seeds * n_heads, n_examples))
    own: NDArray[np.float64] = weights.astype(float).transpose(0, 2, 1).reshape(-1, n_examples)
    return own
