"""How strongly every neuron of every layer speaks for every feature, and which lead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError, unknown_name
from needlepoint._core.seeds import seed_for
from needlepoint.models.sites import Part, Site

METHODS = (
    "mean_difference",
    "mean_difference_std",
    "f_statistic",
    "auc",
    "best_f1",
    "best_mcc",
    "mutual_information",
    "random",
)
"""Rankings that a first pass gives, of all neurons; the last one is a control."""
CANDIDATE_METHODS = ("l1_logistic", "linear_svm")
"""Rankings that a second pass gives, of its candidates: see `rank_candidates`."""
DEFAULT = "mean_difference_std"
COLUMNS = ["feature", "rank", "site", "layer", "neuron", "sign", "score", "low", "high"]
CONSTANT = "the same on all training rows"
NO_CANDIDATE = "not a candidate, so it was not ranked"
"""Why a neuron has no score."""

Table = Float[Tensor, "feature layer neuron"]


@dataclass(frozen=True, eq=False)
class Ranking:
    """One score of every neuron for every feature, on training rows, in float32."""

    score: Table
    """NaN where a neuron has none: `reason` says why."""
    sign: Int[Tensor, "feature layer neuron"]
    """+1: high activations speak for the feature. -1: low ones do."""
    low: Table | None = None
    """The exact score is not below it; None where `score` is exact but for rounding."""
    high: Table | None = None
    neutral: float = 0.0
    """The score of a neuron that tells nothing: 0.5 of an AUC."""
    ranked: Bool[Tensor, "layer neuron"] | None = None
    """The candidates among which it ranks; None for all neurons."""

    @classmethod
    def random(cls, like: Ranking, seed: int) -> Ranking:
        """A random order, the control: uniform scores of the neurons that `like` has scores of.

        Signs are those of `like`.
        """
        generator = torch.Generator().manual_seed(seed_for(seed, ranking="random"))
        drawn = torch.rand(like.score.shape, generator=generator)
        return cls(drawn.masked_fill(like.score.isnan(), torch.nan), like.sign)

    @property
    def among(self) -> str:
        """Among which neurons it ranks, in words."""
        if self.ranked is None:
            return "all neurons"
        return f"{int(self.ranked.sum()):,} candidates"

    def reason(self, feature: int, layer: int, neuron: int) -> str | None:
        """Why a neuron has no score; None if it has one."""
        if not self.score[feature, layer, neuron].isnan():
            return None
        if self.ranked is not None and not self.ranked[layer, neuron]:
            return NO_CANDIDATE
        return CONSTANT

    @property
    def strength(self) -> Table:
        """What neurons are ordered by: the distance of the score from that of telling nothing.

        A neuron without a score comes last.
        """
        return (self.score - self.neutral).abs().nan_to_num(nan=-1.0, posinf=torch.inf)


@dataclass(frozen=True, eq=False)
class NeuronRankings:
    """All rankings of a collection's features, from one pass over the model."""

    features: tuple[str, ...]
    by: Mapping[str, Ranking]
    """Rankings by their names: those of `METHODS`, and of candidates that were added."""
    validation: Table
    """Standardised mean difference on validation rows, with its sign: does it hold elsewhere?"""

    def ranking(self, by: str) -> Ranking:
        """One ranking by its name.

        Raises:
            UnknownNameError: If there is none of that name.
        """
        if by not in self.by:
            raise unknown_name("ranking", by, self.by)
        return self.by[by]

    def extended(self, name: str, ranking: Ranking) -> NeuronRankings:
        """The same rankings, and one more."""
        return replace(self, by={**self.by, name: ranking})

    def leading(self, by: str = DEFAULT, top: int = 10) -> pd.DataFrame:
        """The leading neurons of each feature over all layers, best first.

        Returns:
            A table with the columns of `COLUMNS`, `difference`, the standardised mean difference
            on training rows with its sign, `difference_validation`, the same on validation rows,
            `among`, the neurons among which it ranks, and `score_reason`, why a score is missing.
            `low` and `high` are empty where the score is exact.

        Raises:
            UnknownNameError: If there is no such ranking.
            DataError: If `top` is below 1.
        """
        ranking = self.ranking(by)
        if top < 1:
            raise DataError(f"top is {top}; it must be at least 1.")
        flat = ranking.strength.flatten(1)
        order = torch.sort(flat, dim=1, descending=True, stable=True).indices[:, :top]
        rows = [
            self._row(ranking, feature, rank, int(place))
            for feature, places in enumerate(order)
            for rank, place in enumerate(places, start=1)
        ]
        return pd.DataFrame(rows).astype({"low": "Float64", "high": "Float64"})

    def leading_of_layers(self, by: str = DEFAULT, top: int = 512) -> Bool[Tensor, "layer neuron"]:
        """Which neurons lead in their layer for any feature: the union of the `top` of each.

        Raises:
            UnknownNameError: If there is no such ranking.
            DataError: If `top` is below 1.
        """
        strength = self.ranking(by).strength
        if top < 1:
            raise DataError(f"top is {top}; it must be at least 1.")
        order = torch.sort(strength, dim=2, descending=True, stable=True).indices[..., :top]
        chosen = torch.zeros(strength.shape, dtype=torch.bool).scatter_(2, order, True)
        return chosen.any(0)

    def _row(self, ranking: Ranking, feature: int, rank: int, place: int) -> dict[str, object]:
        layer, neuron = divmod(place, ranking.score.shape[2])
        at = (feature, layer, neuron)
        standard = self.by[DEFAULT]
        return {
            "feature": self.features[feature],
            "rank": rank,
            "site": str(Site.of(layer, Part.NEURON, neuron)),
            "layer": layer,
            "neuron": neuron,
            "sign": int(ranking.sign[at]),
            "score": float(ranking.score[at]),
            "low": None if ranking.low is None else float(ranking.low[at]),
            "high": None if ranking.high is None else float(ranking.high[at]),
            "difference": float(standard.score[at] * standard.sign[at]),
            "difference_validation": float(self.validation[at]),
            "among": ranking.among,
            "score_reason": ranking.reason(*at),
        }
