"""What is known of the examples apart from their activations: labels, pairs, groups, weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.circuits.head_data import HeadData


@dataclass(frozen=True, eq=False)
class Design:
    """Labels of examples, and which labels could as well have been exchanged.

    Classes may be of any number and size. Under the null hypothesis labels are exchangeable
    within a *stratum*: within each pair where there are pairs, otherwise within each group,
    otherwise anywhere. A stratum whose examples have one label says nothing, and does no harm.

    Raises:
        DataError: If lengths disagree, a label is negative, a weight is not positive and finite,
            or no stratum has two labels, so that no label could be exchanged.
        OneClassError: If all examples have one label.

    Example:
        >>> design = Design(torch.tensor([1, 1, 0, 0]), pair_of=torch.tensor([0, 1, 0, 1]))
        >>> design.n_labels, design.stratum_of.tolist()
        (2, [0, 1, 0, 1])
    """

    labels: Int[Tensor, " example"]
    """Class of each example, from 0. Class 1 is the one that unique codes are counted for."""
    pair_of: Int[Tensor, "_"] | None = None
    """Examples that are counterparts of one another, such as a clean prompt and its corrupt one."""
    group_of: Int[Tensor, "_"] | None = None
    """Examples that are alike and must stay on one side of a split; each pair if not given."""
    weights: Float[Tensor, "_"] | None = None
    """How much each example counts; all alike if not given."""

    def __post_init__(self) -> None:
        n = len(self.labels)
        for name in ("pair_of", "group_of", "weights"):
            part = getattr(self, name)
            if part is not None and len(part) != n:
                raise DataError(f"{name} has {len(part)} entries for {n} labels: give one each.")
        if n == 0 or int(self.labels.min()) < 0:
            raise DataError(
                "labels must be whole numbers from 0, at least one: number the classes."
            )
        if len(torch.unique(self.labels)) < 2:
            raise OneClassError(f"all {n} examples have one label: give examples of two classes.")
        if self.weights is not None and not bool(
            (torch.isfinite(self.weights) & (self.weights > 0)).all()
        ):
            raise DataError("a weight is not positive and finite: leave such examples out.")
        if not self._exchangeable():
            raise DataError(
                "no two examples of one stratum differ in label, so no label can be exchanged: "
                "pair examples across classes, or leave pairs and groups out."
            )

    @classmethod
    def of_pairs(cls, data: HeadData) -> Design:
        """The design of clean and corrupt pairs: clean is class 1, in the order of `data.z`."""
        pairs = torch.arange(data.n_pairs).repeat(2)
        groups = None if data.group_of is None else data.group_of.cpu().repeat(2)
        return cls(data.is_clean.long().cpu(), pairs, groups)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def n_labels(self) -> int:
        """One more than the largest label."""
        return int(self.labels.max()) + 1

    @cached_property
    def stratum_of(self) -> NDArray[np.int64]:
        """Stratum of each example, numbered from 0."""
        source = self.pair_of if self.pair_of is not None else self.group_of
        return _numbered(source if source is not None else torch.zeros_like(self.labels))

    @cached_property
    def block_of(self) -> NDArray[np.int64]:
        """What must stay on one side of a split: the group, or else the pair, or the example."""
        source = self.group_of if self.group_of is not None else self.pair_of
        return _numbered(source if source is not None else torch.arange(len(self)))

    def folds(self, n_folds: int, generator: torch.Generator) -> NDArray[np.int64]:
        """Deal whole blocks at random to `n_folds` folds of nearly equal numbers of blocks.

        Raises:
            DataError: If there are fewer blocks than folds.
        """
        n_blocks = int(self.block_of.max()) + 1
        if not 2 <= n_folds <= n_blocks:
            raise DataError(
                f"{n_blocks} groups cannot be dealt to {n_folds} folds: give 2 folds or more, "
                "and at least as many groups."
            )
        order = torch.randperm(n_blocks, generator=generator).numpy()
        folds: NDArray[np.int64] = (order % n_folds)[self.block_of]
        return folds

    def take(self, rows: NDArray[np.int64]) -> Design:
        """The design of some examples only."""
        index = torch.from_numpy(rows)
        parts = (self.pair_of, self.group_of, self.weights)
        pairs, groups, weights = (None if part is None else part[index] for part in parts)
        return Design(self.labels[index], pairs, groups, weights)

    def _exchangeable(self) -> bool:
        keys = np.stack([self.stratum_of, self.labels.cpu().numpy()])
        return bool(np.unique(keys, axis=1).shape[1] > int(self.stratum_of.max()) + 1)


def _numbered(names: Int[Tensor, " example"]) -> NDArray[np.int64]:
    numbers: NDArray[np.int64] = np.unique(names.cpu().numpy(), return_inverse=True)[1]
    return numbers.astype(np.int64)
