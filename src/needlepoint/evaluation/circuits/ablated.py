"""How a study ablates: what parts are replaced by, and what is measured."""

from __future__ import annotations

from dataclasses import dataclass

from needlepoint.circuits.graph.replaced import replaced_by
from needlepoint.circuits.metric import KL, KL_UNIT, UNITS
from needlepoint.circuits.pair_batch import PairBatch, corrupt_metric, from_clean
from needlepoint.circuits.patching.effects import Effects, node_effects
from needlepoint.circuits.patching.means import Means, means_over
from needlepoint.circuits.patching.replacement import AblationKind
from needlepoint.circuits.registered import Question
from needlepoint.evaluation.configs import HeadsConfig
from needlepoint.evaluation.read_heads import pair_batch
from needlepoint.models.model import Model
from needlepoint.tasks.pairs import Prompts

WORDS = {
    "resample": "resample, from the paired corrupt prompt, at every position",
    "mean": "mean over corrupt prompts, position by position",
    "zero": "zero, at every position",
}


@dataclass(frozen=True)
class Ablated:
    """One way of ablating, with the means that it needs, and the metric it is judged by."""

    model: Model
    kind: AblationKind
    means: Means | None
    kl: bool
    """Whether the distance from the clean prediction is measured, rather than the answers."""
    seed: int

    @classmethod
    def of(cls, model: Model, prompts: Prompts, config: HeadsConfig) -> Ablated:
        """As a config says; means are over the corrupt prompts given."""
        means = None
        if config.ablation == "mean":
            pairs = pair_batch(model, prompts)
            means = means_over(model, pairs.corrupt, positions=pairs.positions)
        kinds: dict[str, AblationKind] = {"resample": "resample", "mean": "mean", "zero": "zero"}
        return cls(model, kinds[config.ablation], means, config.metric == "kl", config.seed)

    @property
    def words(self) -> str:
        """What parts are replaced by, for people."""
        return WORDS[self.kind]

    def metric(self, prompts: Prompts) -> tuple[str, str]:
        """Name and unit of what an ablation changes."""
        return (KL, KL_UNIT) if self.kl else (prompts.metric, UNITS[prompts.metric])

    def pairs(self, prompts: Prompts) -> PairBatch:
        """The prompts with the measure that they are judged by."""
        found = pair_batch(self.model, prompts)
        return from_clean(self.model, found) if self.kl else found

    def effects(self, prompts: Prompts) -> Effects:
        """The exact effect of every node on each pair."""
        return node_effects(self.model, self.pairs(prompts), kind=self.kind, data=self.means)

    def corrupt_mean(self, prompts: Prompts) -> float:
        """The metric on the corrupt prompts."""
        return float(corrupt_metric(self.model, self.pairs(prompts)).mean())

    def question(self, prompts: Prompts) -> Question:
        """What circuit methods are asked."""
        instead = replaced_by(self.model, self.kind, self.means)
        return Question(self.model, self.pairs(prompts), instead, self.seed)
