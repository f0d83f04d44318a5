"""Scores of several models on the same resamples of documents, so that they can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.evaluation.case_studies.model_scores import FeatureScores
from needlepoint.evaluation.intervals import Interval, resample_counts

N_RESAMPLES = 1000
MEASURES = {
    "best": "best neuron of all",
    "matched": "best neuron, equal search",
    "sparse": "sparse probe",
    "sparse_matched": "sparse probe, equal search",
}
"""What is measured of each feature in each model, and what it is called."""


@dataclass(frozen=True, eq=False)
class Sampled:
    """One score: its value on the test rows, and on every resample; NaN where there is none."""

    estimate: float
    resampled: Float[Tensor, " resample"]

    @property
    def interval(self) -> Interval | None:
        """The middle 95 % of the resamples that have a value; None without any."""
        real = self.resampled[~self.resampled.isnan()]
        if not len(real):
            return None
        ends = torch.quantile(real, torch.tensor([0.025, 0.975], dtype=torch.float64))
        return Interval(float(ends[0]), self.estimate, float(ends[1]))

    def minus(self, other: Sampled) -> Sampled:
        """The difference of two scores on the same resamples."""
        return Sampled(self.estimate - other.estimate, self.resampled - other.resampled)


def mean_of(scores: Sequence[Sampled]) -> Sampled:
    """The mean of several scores; on a resample, of those that have a value there."""
    together = torch.stack([one.resampled for one in scores])
    estimate = sum(one.estimate for one in scores) / len(scores)
    return Sampled(estimate, together.nanmean(0))


@dataclass(frozen=True, eq=False)
class Documents:
    """The test documents of all models together, and how often each comes up in each resample."""

    place: Mapping[str, int]
    counts: Float[Tensor, "resample document"]

    @classmethod
    def draw(
        cls, scores: Sequence[Sequence[FeatureScores]], generator: torch.Generator
    ) -> Documents | None:
        """Resamples of the test documents of some models.

        Documents that are positive for the same features, in any model, are drawn among each
        other, so that hardly a resample lacks a feature; kinds with one document are joined.

        Returns:
            None if there are fewer than two documents.
        """
        positive: dict[str, set[str]] = {}
        for model in scores:
            for one in model:
                for name, label in zip(one.documents, one.truth.tolist(), strict=True):
                    positive.setdefault(name, set()).update([one.feature] if label else ())
        names = sorted(positive)
        kinds = _kinds([tuple(sorted(positive[name])) for name in names])
        groups = torch.arange(len(names))
        try:
            counts = resample_counts(
                groups, torch.from_numpy(kinds), generator=generator, n_resamples=N_RESAMPLES
            )
        except DataError:
            return None
        return cls({name: place for place, name in enumerate(names)}, counts)

    def f1(self, one: FeatureScores, called: Bool[Tensor, "example unit"]) -> Tensor:
        """F1 of several sets of calls on each resample, `[resample, unit]`; NaN without any."""
        member = torch.tensor([self.place[name] for name in one.documents])
        truth = one.truth[:, None]
        both = torch.cat([called & truth, called, truth], dim=1).double()
        sums = torch.zeros(len(self.place), both.shape[1], dtype=torch.float64)
        total = self.counts @ sums.index_add_(0, member, both)
        n = called.shape[1]
        return 2 * total[:, :n] / (total[:, n : 2 * n] + total[:, -1:])


def sample(one: FeatureScores, documents: Documents | None) -> dict[str, Sampled]:
    """Every measure of one feature in one model.

    The search of equal size is an expectation over sets of candidates, on each resample alike.
    """
    sparse = one.sparse.called[:, None]
    matched = torch.stack([probe.called for probe in one.matched], dim=1)
    even = torch.full((matched.shape[1],), 1 / matched.shape[1], dtype=torch.float64)
    first = torch.ones(1, dtype=torch.float64)
    parts = {
        "best": (one.called[:, :1], first),
        "matched": (one.called, one.neurons.weight),
        "sparse": (sparse, first),
        "sparse_matched": (matched, even),
    }
    return {
        name: Sampled(
            float(_f1(called, one.truth) @ weight),
            torch.full((1,), torch.nan, dtype=torch.float64)
            if documents is None
            else documents.f1(one, called) @ weight,
        )
        for name, (called, weight) in parts.items()
    }


def _f1(
    called: Bool[Tensor, "example unit"], truth: Bool[Tensor, " example"]
) -> Float[Tensor, " unit"]:
    hits = (called & truth[:, None]).sum(0).double()
    return 2 * hits / (called.sum(0) + truth.sum())


def _kinds(labels: Sequence[tuple[str, ...]]) -> np.ndarray:
    """A number for each document's set of features; sets with one document share a number."""
    count = {one: labels.count(one) for one in set(labels)}
    often = sorted(one for one, n in count.items() if n > 1)
    number = {one: place for place, one in enumerate(often)}
    kinds = np.array([number.get(one, len(often)) for one in labels])
    if (kinds == len(often)).sum() == 1 and often:
        kinds[kinds == len(often)] = number[max(often, key=lambda one: count[one])]
    return kinds
