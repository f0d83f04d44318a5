"""Class means and spreads of activations for many features at once. No row is kept."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.activations.moments import Moments, check_finite, check_width
from needlepoint.models.products import product

_ROUNDING = {torch.float32: 2e-6, torch.float64: 1e-13}
"""Variance within the classes, as a part of the variance of all rows, that counts as none."""
_ROWS = 256
"""Rows that are added up in the precision of the activations; their sums are in float64."""
_WIDE = 1e15
"""Activations of this size have squares that float32 cannot add up."""


class ClassSums:
    """How far apart the two classes of each feature lie on each unit, over rows seen so far.

    The sums by class are a matrix product of the labels with the activations about the mean of
    the batch, in the precision of the activations but at least float32; batches are joined in
    float64. All features are done at once: of each, the class with fewer rows in the batch is
    summed, and the other is what is left of the rows asked, which features share. Squares are
    summed over the rows asked alone: what the class means do not explain of them is the spread
    within the classes. Like `Moments` it does not depend on batches, order or merging but for
    rounding. With s the standard deviation of all rows of the unit: the variance within the
    classes is exact to 2e-6 s**2, the mean of a class of one row in m to 2e-6 s sqrt(m); with
    float64 activations both to 1e-11.

    Example:
        >>> acts = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 5.0], [0.0, 7.0]])
        >>> sums = ClassSums()
        >>> sums.update(acts, torch.tensor([[True], [True], [False], [False]]))
        >>> sums.mean_difference().tolist(), sums.pooled_std().tolist()
        ([[2.0, -6.0]], [[1.0, 1.0]])
    """

    def __init__(self) -> None:
        self.moments = Moments()
        """Moments of all rows, whatever their labels and members, as exact as the class sums."""
        self._counts = torch.zeros(2, 0, dtype=torch.int64)
        self._means = torch.zeros(2, 0, 0, dtype=torch.float64)
        self._within = torch.zeros(0, 0, dtype=torch.float64)
        self._rounding = 0.0

    def update(
        self,
        x: Float[Tensor, "example unit"],
        labels: Bool[Tensor, "example feature"],
        members: Bool[Tensor, "example feature"] | None = None,
    ) -> None:
        """Take in some rows.

        Many rows at a time are faster than a few: the joining costs the same for any number.

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
        check_finite(x, self.moments.count)
        batch = ClassSums()
        batch._gather(
            x.detach(), labels.to(x.device), None if members is None else members.to(x.device)
        )
        self.merge(batch)

    def _gather(
        self,
        x: Float[Tensor, "example unit"],
        labels: Bool[Tensor, "example feature"],
        members: Bool[Tensor, "example feature"] | None,
    ) -> None:
        """Sums by class of one batch."""
        low, high = x.amin(0), x.amax(0)  # along columns, many times faster than aminmax
        dtype = torch.promote_types(x.dtype, torch.float32)
        if float(torch.maximum(high, -low).max()) > _WIDE:
            dtype = torch.float64
        self._rounding = _ROUNDING[dtype]
        wide = x.to(dtype)
        shift = wide.mean(0)
        wide = wide - shift
        chosen = _Rows(labels, members)
        weights = chosen.weights(dtype)
        n, n_features = len(weights), labels.shape[1]
        room = wide.new_zeros(2 * n - n_features, x.shape[1], dtype=torch.float64)
        sums, squares = room[:n], room[n:]
        for of_rows, rows in zip(
            torch.split(weights, _ROWS, dim=1), torch.split(wide, _ROWS), strict=True
        ):
            sums += product(of_rows, rows)
            squares += product(of_rows[n_features:], rows.square_())
        self._counts = chosen.counts
        some = self._counts.clamp(min=1).unsqueeze(-1)
        self._means = chosen.classes(sums) / some
        self._within = chosen.within(self._means, sums, squares)
        self._means.addcmul_((self._counts > 0).unsqueeze(-1).double(), shift.double())
        count = torch.tensor(len(x), device=x.device)
        mean, spread = _about_mean(sums[-1], squares[-1], count)
        self.moments = Moments.known(
            len(x), mean + shift.double(), spread, low.double(), high.double()
        )

    def merge(self, other: ClassSums) -> None:
        """Take in the rows that `other` has seen; `other` is left as it was.

        Raises:
            DataError: If the two are of different numbers of units or features.
        """
        if other.moments.count == 0:
            return
        self._rounding = max(self._rounding, other._rounding)
        if self.moments.count == 0:
            self._counts, self._means = other._counts.clone(), other._means.clone()
            self._within = other._within.clone()
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
        share = (counts.double() / (self._counts + counts).clamp(min=1)).unsqueeze(-1)
        gap = other._means.to(device) - self._means
        self._means.addcmul_(gap, share)
        self._within += other._within.to(device)
        for of_class in gap.square_().mul_(share * self._counts.unsqueeze(-1)):
            self._within += of_class
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

        Spread below the rounding of the sums (of the variance of all rows 2e-6, or 1e-13 where
        the activations were float64) is 0.

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
        within = self._within / (rows - 2).unsqueeze(-1)
        return within.where(within > self._rounding * self._varying(), 0.0).sqrt()

    def standardized_mean_difference(self) -> Float[Tensor, "feature unit"]:
        """Mean difference in pooled standard deviations (Cohen's d), comparable between units.

        Infinite, with its sign, where the classes differ and neither varies; NaN where a unit is
        the same on all rows of the feature, since a silent unit then says nothing either way.

        Raises:
            DataError: If a feature has fewer than three rows.
            OneClassError: If a feature has rows of one class only; the message names the first.
        """
        difference, spread = self.mean_difference(), self.pooled_std()
        floor = self._rounding * self._varying().sqrt()
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


class _Rows:
    """Which rows of a batch are summed for each feature, as the rows of one matrix.

    First the class of each feature that has fewer rows, then the rows asked, once for features
    that are asked on the same ones, and last all rows.
    """

    def __init__(
        self,
        labels: Bool[Tensor, "example feature"],
        members: Bool[Tensor, "example feature"] | None,
    ) -> None:
        self._all = torch.ones_like(labels[:, :1])
        everywhere = members is None or bool(members.all())
        self._members = self._all if members is None or everywhere else members
        asked, self._group = torch.unique(self._members, dim=1, return_inverse=True)
        self._group = self._group.expand(labels.shape[1])
        self._asked = asked
        positive = labels & self._members
        n_positive, n_asked = positive.sum(0), self._members.sum(0).expand(labels.shape[1])
        self.counts: Int[Tensor, "2 feature"] = torch.stack([n_positive, n_asked - n_positive])
        self._flipped = 2 * n_positive > n_asked
        self._minor = (positive ^ self._flipped) & self._members

    def weights(self, dtype: torch.dtype) -> Float[Tensor, "row example"]:
        """Which rows enter which sum, as ones and zeros."""
        return torch.cat([self._minor, self._asked, self._all], dim=1).T.to(dtype)

    def classes(self, sums: Float[Tensor, "row unit"]) -> Float[Tensor, "2 feature unit"]:
        """Sums of the positive and of the negative rows, in float64, from those of the matrix."""
        n = len(self._flipped)
        minor, asked = sums[:n].double(), sums[n:-1].double()
        major = asked[self._group] - minor
        flipped = self._flipped.unsqueeze(-1)
        return torch.stack([torch.where(flipped, major, minor), torch.where(flipped, minor, major)])

    def within(
        self,
        means: Float[Tensor, "2 feature unit"],
        sums: Float[Tensor, "row unit"],
        squares: Float[Tensor, "_ unit"],
    ) -> Float[Tensor, "feature unit"]:
        """Squares within the classes: of the rows asked, less what the class means explain.

        `squares` are those of the matrix from the rows asked on.
        """
        asked = self._asked.sum(0)
        _, spread = _about_mean(sums[len(self._flipped) : -1], squares[:-1], asked)
        share = self.counts.prod(0).double() / self.counts.sum(0).clamp(min=1)
        explained = (means[0] - means[1]).square_().mul_(share.unsqueeze(-1))
        return (spread[self._group] - explained).clamp_(min=0)


def _about_mean(
    sums: Float[Tensor, "*batch unit"],
    squares: Float[Tensor, "*batch unit"],
    counts: Int[Tensor, "*batch"],
) -> tuple[Float[Tensor, "*batch unit"], Float[Tensor, "*batch unit"]]:
    """Mean, and sum of squares about it, from plain sums; in float64. No rows have mean 0."""
    some = counts.clamp(min=1).double().unsqueeze(-1)
    mean = sums.double() / some
    return mean, (squares.double() - some * mean.square()).clamp_(min=0)
