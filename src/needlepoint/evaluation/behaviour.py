"""Does the model do it? Asked before anything is looked for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from needlepoint._core.errors import BehaviourAbsentError
from needlepoint.circuits.metric import UNITS, Answered
from needlepoint.evaluation.intervals import Interval, bootstrap_interval
from needlepoint.tasks.pairs import Metric

MIN_ACCURACY = 0.6
"""Below this share of right answers there is no behaviour to explain."""
ABOVE_CHANCE = 0.1
"""Nor is there if the share does not exceed by this much what the listed answers give by chance."""


@dataclass(frozen=True)
class Behaviour:
    """How well a model does a task, on clean prompts and on corrupt ones.

    Accuracy is the share of prompts on which the best of the right answers is above the best of
    the wrong ones.
    """

    accuracy_clean: Interval
    accuracy_corrupt: Interval
    metric_clean: Interval
    metric_corrupt: Interval
    gap: Interval
    """Clean minus corrupt metric, pair by pair."""
    metric: Metric = "logit difference"
    chance: float = 0.5
    """Accuracy if the listed answers came in any order alike."""

    @property
    def needed(self) -> float:
        """The least accuracy on clean prompts at which there is something to explain."""
        return max(MIN_ACCURACY, self.chance + ABOVE_CHANCE)

    @property
    def present(self) -> bool:
        """Whether the model does it, and the corruption takes it away."""
        return not self.shortfalls

    @property
    def shortfalls(self) -> tuple[str, ...]:
        """What is lacking for it to be there, each in a clause; none if it is."""
        found = []
        if self.accuracy_clean.estimate < self.needed:
            found.append(
                f"right on {self.accuracy_clean.estimate:.0%} of clean prompts, and "
                f"{self.needed:.0%} are needed"
            )
        if not self.metric_clean.low > 0:
            found.append(f"the {self.metric} on clean prompts is not told apart from 0")
        if not self.gap.low > 0:
            found.append(f"the corruption does not lower the {self.metric}")
        return tuple(found)

    @property
    def verdict(self) -> str:
        """The figures, in a sentence."""
        clean, corrupt = self.metric_clean, self.metric_corrupt
        by = "logits" if self.metric == "logit difference" else "of probability"
        return (
            f"The right answer wins on {self.accuracy_clean.estimate:.0%} of clean prompts, by "
            f"{clean.estimate:+.2f} {by} (95% interval {clean.low:+.2f} to {clean.high:+.2f}), "
            f"and on {self.accuracy_corrupt.estimate:.0%} of corrupt ones, by "
            f"{corrupt.estimate:+.2f} ({corrupt.low:+.2f} to {corrupt.high:+.2f})."
        )

    def summary(self) -> dict[str, object]:
        """The figures as a record has them; the metric's are under its own name."""
        key = self.metric.replace(" ", "_")
        return {
            "accuracy_clean": self.accuracy_clean._asdict(),
            "accuracy_corrupt": self.accuracy_corrupt._asdict(),
            f"{key}_clean": self.metric_clean._asdict(),
            f"{key}_corrupt": self.metric_corrupt._asdict(),
            "gap": self.gap._asdict(),
            "metric": self.metric,
            "unit": UNITS[self.metric],
            "chance": self.chance,
            "verdict": self.verdict,
        }


def measure_behaviour(
    clean: Answered,
    corrupt: Answered,
    *,
    generator: torch.Generator,
    metric: Metric = "logit difference",
    chance: float = 0.5,
) -> Behaviour:
    """How well the task is done, from how clean and corrupt prompts were answered.

    Args:
        clean: Metric and rightness of each clean prompt.
        corrupt: The same of each corrupt prompt, in the same order.
        generator: Source of randomness of the bootstrap over pairs.
        metric: What the metric is.
        chance: Accuracy if the listed answers came in any order alike.

    Raises:
        DataError: If there are fewer than two pairs.
    """

    def interval(values: Tensor) -> Interval:
        return bootstrap_interval(values.float(), generator=generator)

    return Behaviour(
        interval(clean.right),
        interval(corrupt.right),
        interval(clean.metric),
        interval(corrupt.metric),
        interval(clean.metric - corrupt.metric),
        metric,
        chance,
    )


def require_behaviour(behaviour: Behaviour, *, model: str, task: str) -> None:
    """Refuse to look for the circuit of a behaviour that is not there.

    Raises:
        BehaviourAbsentError: With the figures.
    """
    if not behaviour.present:
        raise BehaviourAbsentError(
            f"{model} does not do {task} well enough to look for its circuit: {behaviour.verdict} "
            f"Needed: right on at least {behaviour.needed:.0%} of clean prompts, with "
            f"{behaviour.metric}s above 0 and above those of corrupt prompts. Try another task or "
            "model."
        )
