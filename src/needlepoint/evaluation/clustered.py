"""Scores of calls on test rows with intervals from resampling whole documents.

One set of resamples serves every probe of a feature, so that probes are compared on the same
resamples (paired), and counts of calls on all resamples are one matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.evaluation.intervals import Interval, percentile_interval, resample_counts
from needlepoint.probing.falling import cuts_of

N_RESAMPLES = 2000
BLOCK_NUMBERS = 2**21
"""Weights of examples held at a time while rankings are resampled."""

Spread = dict[str, Float[Tensor, " resample"]]
"""Scores by name, each on every resample."""


@dataclass(frozen=True, eq=False)
class Resamples:
    """Which documents come up how often in each resample, and the document of each row.

    Documents with a positive row and documents without one are drawn apart, as many of each as
    there are: a resample without positives has no F1.
    """

    counts: Float[Tensor, "resample group"]
    member: Int[Tensor, " example"]
    """Column of `counts` that each row belongs to."""
    truth: Bool[Tensor, " example"]

    @classmethod
    def draw(
        cls,
        documents: Int[Tensor, " example"],
        truth: Bool[Tensor, " example"],
        generator: torch.Generator,
        *,
        n_resamples: int = N_RESAMPLES,
    ) -> Resamples | None:
        """Resamples of these rows; None if there is but one document of a kind.

        A single document without a positive row is drawn with the others where these have negative
        rows too.
        """
        member = torch.unique(documents, return_inverse=True)[1]
        positive = torch.bincount(member, weights=truth.double()) > 0
        lone = int((~positive).sum()) == 1 and not bool(truth[positive[member]].all())
        try:
            counts = resample_counts(
                member,
                torch.ones_like(member) if lone else truth.long(),
                generator=generator,
                n_resamples=n_resamples,
            )
        except DataError:
            return None
        return cls(counts, member, truth)

    def sums(self, values: Float[Tensor, "example unit"]) -> Float[Tensor, "resample unit"]:
        """Sum over the rows of each resample."""
        of_groups = values.new_zeros(self.counts.shape[1], values.shape[1], dtype=torch.float64)
        return self.counts @ of_groups.index_add_(0, self.member, values.double())

    def f1(self, called: Bool[Tensor, "example unit"]) -> Float[Tensor, "resample unit"]:
        """F1 of some sets of calls on each resample: `2 TP / (called + positives)`."""
        truth = self.truth[:, None]
        both = self.sums(torch.cat([called & truth, called, truth], dim=1).double())
        n = called.shape[1]
        return 2 * both[:, :n] / (both[:, n : 2 * n] + both[:, -1:])

    def f1_interval(self, called: Bool[Tensor, " example"]) -> Interval:
        """F1 of calls, with the interval over documents."""
        return percentile_interval(self.f1(called[:, None])[:, 0], f1_of(called, self.truth))

    def f1_difference(
        self, one: Bool[Tensor, " example"], other: Bool[Tensor, " example"]
    ) -> Interval:
        """F1 of one set of calls minus that of another, on the same resamples."""
        both = self.f1(torch.stack([one, other], dim=1))
        estimate = f1_of(one, self.truth) - f1_of(other, self.truth)
        return percentile_interval(both[:, 0] - both[:, 1], estimate)

    def call_scores(self, called: Bool[Tensor, " example"]) -> Spread:
        """F1, MCC and balanced accuracy on each resample; NaN where one has no value."""
        truth = self.truth
        cells = (called & truth, called & ~truth, ~called & truth, ~called & ~truth)
        hit, alarm, miss, quiet = self.sums(torch.stack(cells, dim=1).double()).T
        spread = ((hit + alarm) * (hit + miss) * (quiet + alarm) * (quiet + miss)).sqrt()
        return {
            "f1": 2 * hit / (2 * hit + alarm + miss),
            "mcc": (hit * quiet - alarm * miss) / spread,
            "balanced_accuracy": (hit / (hit + miss) + quiet / (quiet + alarm)) / 2,
        }

    def rank_scores(self, scores: Float[Tensor, " example"]) -> Spread:
        """ROC AUC and average precision on each resample, from one sort; ties as one step."""
        order = scores.argsort(descending=True)
        ends = cuts_of(scores[order]).nonzero().flatten()
        truth, member = self.truth[order], self.member[order]
        step = max(1, BLOCK_NUMBERS // len(scores))
        parts = [
            _ranked(counts[:, member], truth, ends) for counts in torch.split(self.counts, step)
        ]
        auc, precision = (torch.cat(part) for part in zip(*parts, strict=True))
        return {"auc": auc, "average_precision": precision}


def f1_of(called: Bool[Tensor, " example"], truth: Bool[Tensor, " example"]) -> float:
    """F1 of calls: `2 TP / (called + positives)`."""
    return 2 * int((called & truth).sum()) / int(called.sum() + truth.sum())


def _ranked(
    weights: Float[Tensor, "resample example"],
    truth: Bool[Tensor, " example"],
    ends: Int[Tensor, " value"],
) -> tuple[Float[Tensor, " resample"], Float[Tensor, " resample"]]:
    """AUC and average precision of rows in falling order; a step ends at each of `ends`."""
    hits = (weights * truth).cumsum(1)[:, ends]
    alarms = (weights * ~truth).cumsum(1)[:, ends]
    start = torch.zeros_like(hits[:, :1])
    gained, passed = hits.diff(dim=1, prepend=start), alarms.diff(dim=1, prepend=start)
    auc = (passed * (hits - gained / 2)).sum(1) / (hits[:, -1] * alarms[:, -1])
    # Where nothing has come up yet, nothing is gained either.
    precision = hits / (hits + alarms).clamp(min=1)
    return auc, (gained * precision).sum(1) / hits[:, -1]
