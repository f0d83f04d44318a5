"""Scores of probes on labelled examples, for a batch of features at once.

What has no value is not given one: labels of one class raise, precision without a positive call
and a correlation with a constant are NaN and say so in their descriptions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.probing.checks import check_data, check_labels
from needlepoint.probing.falling import cuts_of, falling_order, midpoints, ranks_for


@dataclass(frozen=True)
class Confusion:
    """Counts of right and wrong calls for each feature, and what is computed from them.

    Example:
        >>> called = torch.tensor([[True], [True], [False], [False]])
        >>> counts = confusion(called, torch.tensor([[True], [False], [False], [False]]))
        >>> counts.precision.item(), counts.recall.item(), round(counts.f1.item(), 3)
        (0.5, 1.0, 0.667)
    """

    true_positive: Int[Tensor, " feature"]
    false_positive: Int[Tensor, " feature"]
    false_negative: Int[Tensor, " feature"]
    true_negative: Int[Tensor, " feature"]

    @property
    def precision(self) -> Float[Tensor, " feature"]:
        """Share of the positive calls that are right; NaN if nothing was called positive."""
        return self.true_positive.double() / (self.true_positive + self.false_positive)

    @property
    def recall(self) -> Float[Tensor, " feature"]:
        """Share of the positives that were called; always defined, as there are positives."""
        return self.true_positive.double() / (self.true_positive + self.false_negative)

    @property
    def specificity(self) -> Float[Tensor, " feature"]:
        """Share of the negatives that were not called; always defined."""
        return self.true_negative.double() / (self.true_negative + self.false_positive)

    @property
    def f1(self) -> Float[Tensor, " feature"]:
        """`2 TP / (2 TP + FP + FN)`: always defined; 0 when no positive was called positive."""
        wrong = self.false_positive + self.false_negative
        return 2 * self.true_positive.double() / (2 * self.true_positive + wrong)

    @property
    def balanced_accuracy(self) -> Float[Tensor, " feature"]:
        """Mean of recall and specificity; 0.5 is chance whatever the share of positives."""
        return (self.recall + self.specificity) / 2

    @property
    def mcc(self) -> Float[Tensor, " feature"]:
        """Matthews correlation of calls and labels; NaN if all calls are the same."""
        right = self.true_positive.double() * self.true_negative
        wrong = self.false_positive.double() * self.false_negative
        called = (self.true_positive + self.false_positive).double()
        other = (self.true_negative + self.false_negative).double()
        positive = (self.true_positive + self.false_negative).double()
        negative = (self.true_negative + self.false_positive).double()
        return (right - wrong) / (called * other * positive * negative).sqrt()

    def f1_at_prevalence(self, prevalence: float) -> Float[Tensor, " feature"]:
        """F1 that the same true and false positive rates give where `prevalence` are positive.

        `2 p TPR / (p (1 + TPR) + (1 - p) FPR)`: comparable between features of unlike shares of
        positives, which plain F1 is not.

        Raises:
            DataError: If `prevalence` is not strictly between 0 and 1.

        Example:
            >>> called, labels = (torch.arange(5)[:, None] < n for n in (2, 1))
            >>> counts = confusion(called, labels)
            >>> round(counts.f1.item(), 3), round(counts.f1_at_prevalence(0.5).item(), 3)
            (0.667, 0.889)
        """
        if not 0 < prevalence < 1:
            raise DataError(f"prevalence is {prevalence}: give a share between 0 and 1, as 0.5.")
        hit = self.recall
        alarm = 1 - self.specificity
        return 2 * prevalence * hit / (prevalence * (1 + hit) + (1 - prevalence) * alarm)

    @property
    def f1_standard_error(self) -> Float[Tensor, " feature"]:
        """Standard error of F1 by the delta method, examples taken as independent.

        It is 0 when every call is right, or none is: then it says nothing. Examples that share a
        document need an interval that resamples documents instead.
        """
        n = (self.true_positive + self.false_positive).double()
        n = n + self.false_negative + self.true_negative
        hit = self.true_positive / n
        miss = (self.false_positive + self.false_negative) / n
        return (4 * hit * miss * (hit + miss) / n).sqrt() / (2 * hit + miss).square()


def confusion(
    called: Bool[Tensor, "example feature"], labels: Bool[Tensor, "example feature"]
) -> Confusion:
    """Counts of right and wrong calls for each feature.

    Raises:
        DataError: If calls and labels do not match.
        OneClassError: If a feature has one class only.
    """
    check_labels(labels, called.shape[0])
    if called.shape != labels.shape:
        raise DataError(
            f"calls for {called.shape[1]} features and labels for {labels.shape[1]}; "
            "give one column of each for every feature."
        )
    return Confusion(
        (called & labels).sum(0),
        (called & ~labels).sum(0),
        (~called & labels).sum(0),
        (~called & ~labels).sum(0),
    )


def roc_auc(
    scores: Float[Tensor, "example feature"], labels: Bool[Tensor, "example feature"]
) -> Float[Tensor, " feature"]:
    """Chance that a positive example scores above a negative one, ties counting half; float64.

    Raises:
        DataError: If scores are not finite or do not match the labels.
        OneClassError: If a feature has one class only.

    Example:
        >>> scores = torch.tensor([[0.9], [0.5], [0.5], [0.1]])
        >>> roc_auc(scores, torch.tensor([[True], [True], [False], [False]])).item()
        0.875
    """
    rising, rows, label = _rising(scores, labels)
    below = torch.searchsorted(rising, rows)
    not_above = torch.searchsorted(rising, rows, right=True)
    rank = (below + not_above + 1).double() / 2
    positive = label.sum(1).double()
    most = positive * (label.shape[1] - positive)
    return ((rank * label).sum(1) - positive * (positive + 1) / 2) / most


def average_precision(
    scores: Float[Tensor, "example feature"], labels: Bool[Tensor, "example feature"]
) -> Float[Tensor, " feature"]:
    """Mean, over the positives, of the precision when all that score as high are called; float64.

    It is the area under the precision-recall steps. Chance is the share of positives.

    Raises:
        DataError: If scores are not finite or do not match the labels.
        OneClassError: If a feature has one class only.
    """
    rising, rows, label = _rising(scores, labels)
    order = rows.argsort(1)
    below = torch.searchsorted(rising, rows)
    counts = label.gather(1, order).cumsum(1)
    before = torch.cat([torch.zeros_like(counts[:, :1]), counts], dim=1).gather(1, below)
    positive = label.sum(1, keepdim=True)
    precision = (positive - before).double() / (label.shape[1] - below)
    return (precision * label).sum(1) / positive[:, 0]


def best_cut(
    scores: Float[Tensor, "example feature"], labels: Bool[Tensor, "example feature"]
) -> Float[Tensor, " feature"]:
    """Operating threshold of each feature: call positive what scores above it, for the best F1.

    Chosen on these examples, so give it validation data, and report its F1 on others. It lies
    between two scores; among equal F1 the highest. `-inf` calls everything positive.

    Raises:
        DataError: If scores are not finite or do not match the labels.
        OneClassError: If a feature has one class only.

    Example:
        >>> scores = torch.tensor([[3.0], [1.0], [-1.0]])
        >>> best_cut(scores, torch.tensor([[True], [True], [False]]))
        tensor([0.])
    """
    _, rows, label = _rising(scores, labels)
    falling, order = falling_order(rows.contiguous())
    true = label.gather(1, order).cumsum(1) * cuts_of(falling)
    at = true.div(ranks_for(rows) + label.sum(1, keepdim=True)).max(1).indices[:, None]
    after = torch.cat([falling[:, 1:], torch.full_like(falling[:, :1], -torch.inf)], dim=1)
    return midpoints(falling.gather(1, at), after.gather(1, at))[:, 0]


def _rising(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sorted scores, scores and labels, `[feature, example]`, checked."""
    check_data(scores, labels)
    if scores.shape != labels.shape:
        raise DataError(
            f"scores for {scores.shape[1]} features and labels for {labels.shape[1]}; "
            "give one column of each for every feature."
        )
    rows = scores.T.contiguous()
    return rows.sort(1).values, rows, labels.T.contiguous()
