"""Class means and spreads of activations for many features at once. No row is kept."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.activations.moments import Moments, check_width, join

_ROUNDING = 1e-13
"""Variance within the classes, as a part of the variance of all rows, that counts as none."""


class ClassSums:
    """How far apart the two classes of each feature lie on each unit, over rows seen so far.

    The sums by class are matrix products of the labels with the activations, and with their
    squares, about the mean of the batch; all features are done at once. Like `Moments` it does
    not depend on batches, order or merging but for the last digits: the variance within the
    classes is exact to 1e-11 of the variance of all rows of the unit.

    Example:
        >>> acts = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 5.0], [0.0, 7.0]])
        >>> sums = ClassSums()
        >>> sums.update(acts, torch.tensor([[True], [True], [False], [False]]))
        >>> sums.mean_difference().tolist(), sums.pooled_std().tolist()
        ([[2.0, -6.0]], [[1.0, 1.0]])
    """

    def __init__(self) -> None:
        self.moments = Moments()
        """Moments of all rows, whatever their labels and members."""
        self._counts = torch.zeros(2, 0, dtype=torch.int64)
        self._means = torch.zeros(2, 0, 0, dtype=torch.float64)
        self._squares = self._means

    def update(
        self,
        x: Float[Tensor, "example unit"],
        labels: Bool[Tensor, "example feature"],
        members: Bool[Tensor, "example feature"] | None = None,
    ) -> None:
        """Take in some rows.

        Args:
            x: Activations, in any floating dtype; the state lives on their device.
            labels: Whether each row has each feature.
            members: Which rows count for each feature; all by default.

        Raises:
            DataError: If a value is NaN or infinite (nothing is taken in then), or the number of
                units or features is not that of the rows before.
        """
        if len(x) == 0:
            return
        labels = labels.to(x.device)
        positive, negative = labels, ~labels
        if members is not None:
            members = members.to(x.device)
            positive, negative = positive & members, negative & members
        batch = ClassSums()
        batch.moments.update(x)
        classes = torch.stack([positive.T, negative.T])
        batch._gather(x.detach().double() - batch.moments.mean, classes)
        self.merge(batch)

    def _gather(
        self, x: Float[Tensor, "example unit"], classes: Bool[Tensor, "2 feature example"]
    ) -> None:
        """Sums by class as matrix products, of rows about their mean."""
        self._counts = classes.sum(-1)
        chosen = classes.double()
        some = self._counts.clamp(min=1).double().unsqueeze(-1)
        mean = chosen @ x / some
        self._squares = (chosen @ x.square() - some * mean.square()).clamp(min=0)
        self._means = mean + self.moments.mean

    def merge(self, other: ClassSums) -> None:
        """Take in the rows that `other` has seen; `other` is left as it was.

        Raises:
            DataError: If the two are of different numbers of units or features.
        """
        if other.moments.count == 0:
            return
        if self.moments.count == 0:
            self._counts, self._means = other._counts, other._means
            self._squares = other._squares
            self.moments.merge(other.moments)
            return
        if self._counts.shape[1] != other._counts.shape[1]:
            raise DataError(
                f"labels of {other._counts.shape[1]} features cannot be joined to those of "
                f"{self._counts.shape[1]}; pass the same features each time."
            )
        check_width(self._means.shape[-1], other._means.shape[-1])
        device = self._means.device
        counts = other._counts.to(device)
        self._means, self._squares = join(
            self._counts.unsqueeze(-1), self._means, self._squares,
            counts.unsqueeze(-1), other._means.to(device), other._squares.to(device),
        )  # fmt: skip
        self._counts = self._counts + counts
        self.moments.merge(other.moments)

    @property
    def n_positive(self) -> Int[Tensor, " feature"]:
        """Rows that have each feature."""
        return self._counts[0]

    @property
    def n_negative(self) -> Int[Tensor, " feature"]:
        """Rows that count for each feature and do not have it."""
        return self._counts[1]

    def class_means(self) -> Float[Tensor, "2 feature unit"]:
        """Mean of each unit over the rows that have a feature, and over those that do not.

        Raises:
            DataError: If no rows were seen.
            OneClassError: If a feature has rows of one class only; the message names the first.
        """
        self._check_classes()
        return self._means

    def mean_difference(self) -> Float[Tensor, "feature unit"]:
        """Mean with the feature minus mean without it, in the units of the activations.

        Raises:
            DataError: If no rows were seen.
            OneClassError: If a feature has rows of one class only; the message names the first.
        """
        means = self.class_means()
        return means[0] - means[1]

    def pooled_std(self) -> Float[Tensor, "feature unit"]:
        """Spread within the classes: the root of their squares over `n_positive + n_negative - 2`.

        Spread below the rounding of the sums (1e-13 of the variance of all rows) is 0.

        Raises:
            DataError: If a feature has fewer than three rows.
            OneClassError: If a feature has rows of one class only; the message names the first.
        """
        self._check_classes()
        rows = self._counts.sum(0)
        if bool((rows < 3).any()):
            feature = int((rows < 3).nonzero()[0])
            raise DataError(
                f"feature {feature} has {int(rows[feature])} rows; a spread within the classes "
                "needs at least 3: add rows or leave the feature out."
            )
        within = self._squares.sum(0) / (rows - 2).unsqueeze(-1)
        return within.where(within > _ROUNDING * self._varying(), 0.0).sqrt()

    def standardized_mean_difference(self) -> Float[Tensor, "feature unit"]:
        """Mean difference in pooled standard deviations (Cohen's d), comparable between units.

        Infinite, with its sign, where the classes differ and neither varies; NaN where a unit is
        the same on all rows of the feature, since a silent unit then says nothing either way.

        Raises:
            DataError: If a feature has fewer than three rows.
            OneClassError: If a feature has rows of one class only; the message names the first.
        """
        difference, spread = self.mean_difference(), self.pooled_std()
        floor = _ROUNDING * self._varying().sqrt()
        flat = (spread == 0) & (difference.abs() <= floor)
        return (difference / spread).masked_fill(flat, torch.nan)

    def f_statistic(self) -> Float[Tensor, "feature unit"]:
        """F of the one-way analysis of variance, on 1 and `n_positive + n_negative - 2` degrees.

        The square of the two-sample t with pooled variance. Infinite or NaN where
        `standardized_mean_difference` is.

        Raises:
            DataError: If a feature has fewer than three rows.
            OneClassError: If a feature has rows of one class only; the message names the first.
        """
        weight = 1 / (1 / self.n_positive.double() + 1 / self.n_negative.double())
        standardized = self.standardized_mean_difference()
        return standardized.square() * weight.unsqueeze(-1)

    def _varying(self) -> Float[Tensor, " unit"]:
        """Variance of all rows; infinite for a constant unit, whose sums are rounding alone."""
        constant = self.moments.min == self.moments.max
        return self.moments.variance.masked_fill(constant, torch.inf)

    def _check_classes(self) -> None:
        if self.moments.count == 0:
            raise DataError("no rows were seen, so classes have no means; call update first.")
        lacking = (self._counts == 0).any(0)
        if bool(lacking.any()):
            feature = int(lacking.nonzero()[0])
            positive, negative = (int(count) for count in self._counts[:, feature])
            raise OneClassError(
                f"feature {feature} has {positive} rows with it and {negative} without; "
                "a difference needs both: add rows of the missing class or leave the feature out."
            )
