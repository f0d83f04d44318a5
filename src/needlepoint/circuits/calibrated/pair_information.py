"""Mutual information between the codes of pairs of heads, for many pairs at once."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.special import xlogy
from torch import Tensor
from torch.nn.functional import one_hot

BLOCK = 32
"""Earlier heads counted at a time, against all later ones."""


class JointCodes:
    """Binned codes of heads, ready to be counted in pairs by matrix products.

    Example:
        >>> import torch
        >>> codes = torch.tensor([[0, 0], [1, 1], [0, 0], [1, 1]])
        >>> joint = JointCodes(codes, torch.tensor([0, 1]))
        >>> joint.overall.round(4).tolist()
        [[0.0, 0.6931], [0.0, 0.0]]
    """

    def __init__(self, bins: Int[Tensor, "example head"], layer_of: Int[Tensor, " head"]) -> None:
        """Lay the codes out as ones and zeros, in float32: counts stay exact up to 2^24."""
        self.n_bins = int(bins.max()) + 1
        ones = one_hot(bins.long(), self.n_bins)
        self.ones: NDArray[np.float32] = ones.flatten(1).numpy().astype(np.float32)
        self.layer_of: NDArray[np.int64] = layer_of.numpy()

    @cached_property
    def overall(self) -> Float[np.ndarray, "head head"]:
        """I(c1; c2) over all examples, whatever their label; 0 where there can be no edge."""
        every = np.arange(len(self.ones))
        return self._information(every, every)

    def within(
        self,
        labels: Int[np.ndarray, " example"],
        order: Int[np.ndarray, " example"] | None = None,
    ) -> Float[np.ndarray, "label head head"]:
        """I(c1; c2) among the examples of each label, from label 0.

        Args:
            labels: Label of each example.
            order: Example whose code of the later head stands beside each example's code of the
                earlier one; its own if not given.
        """
        order = np.arange(len(labels)) if order is None else order
        rows = [np.flatnonzero(labels == one) for one in range(int(labels.max()) + 1)]
        return np.stack([self._information(one, order[one]) for one in rows])

    def _information(
        self, first: NDArray[np.int64], second: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Plug-in information of the earlier head's code at `first` and the later's at `second`."""
        n, bins = len(first), self.n_bins
        logs = xlogy(np.arange(n + 1.0), np.arange(n + 1.0))
        one, two = self.ones[first], self.ones[second]
        alone = [self._sums(logs[part.sum(0).astype(np.int64)]) for part in (one, two)]
        found = np.zeros((len(self.layer_of),) * 2)
        for start in range(0, len(self.layer_of), BLOCK):
            rows = slice(start, start + BLOCK)
            later = np.flatnonzero(self.layer_of > self.layer_of[rows].min())
            if not len(later):
                continue
            columns = (later[:, None] * bins + np.arange(bins)).ravel()
            counts = one[:, start * bins : (start + BLOCK) * bins].T @ two[:, columns]
            terms = logs[counts.astype(np.int64)].reshape(-1, bins, len(later), bins)
            joint = terms.sum((1, 3))
            own = alone[0][rows, None] + alone[1][None, later]
            found[rows, later] = np.maximum((joint - own + logs[n]) / n, 0)
        found[self.layer_of[:, None] >= self.layer_of[None, :]] = 0
        return found

    def _sums(self, terms: NDArray[np.float64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = terms.reshape(-1, self.n_bins).sum(1)
        return found
