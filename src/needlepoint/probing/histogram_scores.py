"""What class histograms say about each neuron: AUC, the best cut, mutual information, with bounds.

Where in its bin a value lies was not kept, so what depends on it is given as the range that holds
the exact figure of the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint._core.compiled import on_threads
from needlepoint._core.errors import OneClassError
from needlepoint.activations.class_histograms import ClassHistograms
from needlepoint.probing.histogram_loops import score_units

INFORMATION_BINS = 8
"""Bins that mutual information is taken over."""


@dataclass(frozen=True)
class Bounded:
    """A score of each neuron for each feature that is known to lie in a range."""

    low: Float[Tensor, "feature unit"]
    high: Float[Tensor, "feature unit"]
    sign: Int[Tensor, "feature unit"]
    """+1: high activations speak for the feature. -1: low ones do."""


@dataclass(frozen=True)
class HistogramScores:
    """Scores on the rows that were counted; best cuts are chosen on them, hence optimistic."""

    auc: Float[Tensor, "feature unit"]
    """Share of pairs of a row with the feature and one without in which the former is higher.

    Ties count half, and so do pairs within a bin: the exact AUC is at most `auc_error` away.
    """
    auc_error: Float[Tensor, "feature unit"]
    """Half the share of pairs that fall into one bin, `sum_b p_b n_b / 2`."""
    f1: Bounded
    """Highest F1 of one cut. A cut between two bins reaches `low`; none anywhere exceeds `high`."""
    mcc: Bounded
    """Highest absolute Matthews correlation of one cut, with the same bounds."""
    mutual_information: Float[Tensor, "feature unit"]
    """Of label and bin, in nats, bins merged to 8: about `7 / (2 rows)` nats by chance alone.

    With as many bins as rows it would be the entropy of the label, whatever the feature.
    """


def histogram_scores(histograms: ClassHistograms) -> HistogramScores:
    """Every score of every neuron for every feature, from counts alone.

    They are worked out in float32, but for long sums: bounds hold to 1e-6.

    Raises:
        OneClassError: If a feature has rows of one class only; the message names it.

    Example:
        >>> from needlepoint.activations.bins import Bins
        >>> acts = torch.arange(8.0)[:, None]
        >>> histograms = ClassHistograms(Bins.of(acts, 8), groups=[0])
        >>> histograms.update(acts, acts < 3)
        >>> scores = histogram_scores(histograms)
        >>> f1 = scores.f1
        >>> round(f1.low.item(), 3), f1.high.item(), f1.sign.item(), round(scores.auc.item(), 3)
        (0.857, 1.0, -1, 0.033)
    """
    logs = _log_table(histograms)
    if logs.device.type == "cpu":
        return _compiled_scores(histograms, logs)
    return _scores_by_feature(histograms, logs)


def _compiled_scores(histograms: ClassHistograms, logs: Float[Tensor, " value"]) -> HistogramScores:
    """Scores by loops that go through the counts of a unit once, for all features."""
    counts, n_positive, n_asked = histograms.cells()
    groups = torch.tensor(histograms.groups)
    n_rows = n_asked[groups]
    for feature, (with_it, rows) in enumerate(
        zip(n_positive.tolist(), n_rows.tolist(), strict=True)
    ):
        _check_classes(feature, with_it, rows - with_it)
    n_units, n_bins = len(histograms.bins.centre), histograms.bins.n_bins
    out = torch.empty(11, len(groups), n_units, dtype=torch.float64)
    threads = torch.get_num_threads()
    share = -(-n_units // threads)
    of_features = groups.numpy(), n_positive.float().numpy(), n_rows.float().numpy()
    kept = min(n_bins, INFORMATION_BINS)

    def work(lo: int) -> None:
        hi = min(lo + share, n_units)
        score_units(counts.numpy(), n_bins, lo, hi, *of_features, kept, logs.numpy(), out.numpy())

    on_threads(work, range(0, n_units, share), threads)
    with_it, rows = n_positive.double()[:, None], n_rows.double()[:, None]
    pairs = with_it * (rows - with_it)
    f1_above, f1_high, f1_below, f1_high_below = 2 * out[2:6].float()
    unit = pairs.rsqrt()
    above, high, below, high_below = (out[6:10] * unit).float()
    whole = logs[n_rows] - logs[n_positive] - logs[n_rows - n_positive]
    return HistogramScores(
        0.5 + out[0] / pairs,
        out[1] / (2 * pairs),
        Bounded(
            torch.maximum(f1_above, f1_below),
            torch.maximum(f1_high, f1_high_below),
            _side(f1_above, f1_below),
        ),
        Bounded(
            torch.maximum(above, below),
            torch.maximum(high, high_below).clamp_(max=1),
            _side(above, below),
        ),
        ((out[10] + whole[:, None]) / rows).clamp_(min=0),
    )


def _scores_by_feature(
    histograms: ClassHistograms, logs: Float[Tensor, " value"]
) -> HistogramScores:
    """Scores by whole arrays of one feature after another."""
    asked = [_Asked(counts, logs) for counts in histograms.asked]
    parts = [
        _of_feature(feature, positive, asked[group])
        for feature, (positive, group) in enumerate(
            zip(histograms.positive, histograms.groups, strict=True)
        )
    ]
    columns = [torch.stack(column) for column in zip(*parts, strict=True)]
    return HistogramScores(
        columns[0], columns[1], Bounded(*columns[2:5]), Bounded(*columns[5:8]), columns[8]
    )


class _Asked:
    """The rows asked, as all features of a group need them."""

    def __init__(self, counts: Int[Tensor, "bin unit"], logs: Float[Tensor, " value"]) -> None:
        self.logs = logs
        self.counts: Float[Tensor, "bin unit"] = counts.float().contiguous()
        self.merging = _merging(len(counts), self.counts)
        self.merged = (self.merging @ self.counts).int()
        self.rows = int(self.merged[:, 0].sum())
        self.upwards = self.counts.new_ones(len(counts), len(counts)).triu()
        """Times counts of bins: counts of each bin and those above it, exact below 2**24."""
        self.above = self.upwards @ self.counts
        """Rows in a bin or higher."""
        self.rank: Float[Tensor, "bin unit"] = self.rows / 2 - self.above + self.counts / 2
        """Rows below the middle of a bin, less half of all rows: small numbers lose no digits."""
        self.entropy = _looked_up(logs, self.merged)
        self.scale = _inverse_spread(self.above, self.rows)


def _of_feature(feature: int, counts: Int[Tensor, "bin unit"], asked: _Asked) -> tuple[Tensor, ...]:
    """All scores of one feature."""
    positive = counts.float().contiguous()
    merged = (asked.merging @ positive).int()
    n_positive = int(merged[:, 0].sum())
    n_negative = asked.rows - n_positive
    _check_classes(feature, n_positive, n_negative)
    pairs = n_positive * n_negative
    cuts = _Cuts(positive, asked, n_positive, n_negative)
    auc = 0.5 + (positive * asked.rank).sum(0, dtype=torch.float64) / pairs
    shared = (positive * cuts.negative).sum(0, dtype=torch.float64)
    information = _information(merged, asked, n_positive)
    return (auc, shared / (2 * pairs), *cuts.f1(), *cuts.mcc(), information)


def _check_classes(feature: int, n_positive: int, n_negative: int) -> None:
    if min(n_positive, n_negative) == 0:
        raise OneClassError(
            f"feature {feature} has {n_positive} rows with it and {n_negative} without; "
            "add rows of the missing class or leave the feature out."
        )


class _Cuts:
    """Hits and calls of every cut between two bins, and the best and worst within each bin.

    The best cut within a bin has of its rows all with the feature and none without on the side
    that is called; nothing between can have a higher score.
    """

    def __init__(
        self,
        positive: Float[Tensor, "bin unit"],
        asked: _Asked,
        n_positive: int,
        n_negative: int,
    ) -> None:
        self.asked, self.positive = asked, positive
        self.n_positive, self.n_negative = n_positive, n_negative
        self.negative = asked.counts - positive
        self.hits = asked.upwards @ positive
        self.called = asked.above

    def f1(self) -> tuple[Tensor, Tensor, Tensor]:
        """Lower bound, upper bound and sign of the highest F1, `2 hits / (called + positive)`."""
        total = self.called + self.n_positive
        above = (self.hits / total).amax(0)
        high = total.sub_(self.negative).reciprocal_().mul_(self.hits).amax(0)
        hits = self.n_positive - self.hits
        total = (2 * self.n_positive + self.n_negative) - self.called
        below = (hits / total).amax(0)
        high_below = hits.add_(self.positive).div_(total.add_(self.positive)).amax(0)
        low, high = torch.maximum(above, below), torch.maximum(high, high_below)
        return 2 * low, 2 * high, _side(above, below)

    def mcc(self) -> tuple[Tensor, Tensor, Tensor]:
        """Lower bound, upper bound and sign of the highest absolute Matthews correlation."""
        rows = self.asked.rows
        gain = (self.hits * rows).sub_(self.called, alpha=self.n_positive)
        at_edges = gain * self.asked.scale
        above, below = at_edges.amax(0), -at_edges.amin(0)
        most = _inverse_spread(self.called - self.negative, rows)
        high = most.mul_(torch.add(gain, self.negative, alpha=self.n_positive)).amax(0)
        least = _inverse_spread(self.called - self.positive, rows)
        high_below = -least.mul_(gain.sub_(self.positive, alpha=self.n_negative)).amin(0)
        low, high = torch.maximum(above, below), torch.maximum(high, high_below)
        unit = (self.n_positive * self.n_negative) ** -0.5
        return low * unit, (high * unit).clamp_(max=1), _side(above, below)


def _inverse_spread(called: Float[Tensor, "bin unit"], rows: int) -> Float[Tensor, "bin unit"]:
    """What the gain of a cut is multiplied by; a cut that calls all rows alike gains nothing."""
    return (rows - called).mul_(called).clamp_(min=1).rsqrt_()


def _side(
    above: Float[Tensor, "*feature unit"], below: Float[Tensor, "*feature unit"]
) -> Int[Tensor, "*feature unit"]:
    return torch.where(above >= below, 1, -1).to(torch.int8)


def _information(
    positive: Int[Tensor, "bin unit"], asked: _Asked, n_positive: int
) -> Float[Tensor, " unit"]:
    """Mutual information of bin and label: the entropy of the label less what the bin leaves."""
    n, logs = asked.rows, asked.logs
    joint = _looked_up(logs, positive) + _looked_up(logs, asked.merged - positive)
    whole, with_it, without = (float(logs[m]) for m in (n, n_positive, n - n_positive))
    left: Tensor = (joint + (whole - with_it - without) - asked.entropy) / n
    return left.clamp(min=0)


def _merging(n_bins: int, like: Float[Tensor, "..."]) -> Float[Tensor, "_ bin"]:
    """Times counts of bins: counts of fewer, each of as many neighbours as there can be."""
    kept = min(n_bins, INFORMATION_BINS)
    into = torch.arange(n_bins, device=like.device) * kept // n_bins
    return (into == torch.arange(kept, device=like.device)[:, None]).to(like)


def _log_table(histograms: ClassHistograms) -> Float[Tensor, " value"]:
    """`m log m` of every count that can occur, 0 for no rows."""
    counts = torch.arange(
        histograms.rows + 1, dtype=torch.float64, device=histograms.bins.centre.device
    )
    table: Tensor = torch.special.xlogy(counts, counts)
    return table


def _looked_up(
    logs: Float[Tensor, " value"], counts: Int[Tensor, "bin unit"]
) -> Float[Tensor, " unit"]:
    """Sum over the bins of `m log m`."""
    found: Tensor = logs.index_select(0, counts.view(-1)).view(counts.shape).sum(0)
    return found
