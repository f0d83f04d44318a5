"""Does the model do it? Asked before anything is looked for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint._core.errors import BehaviourAbsentError
from needlepoint.evaluation.intervals import Interval, bootstrap_interval

MIN_ACCURACY = 0.6
"""Below this share of right answers there is no behaviour to explain."""


@dataclass(frozen=True)
class Behaviour:
    """How well a model does a task, on clean prompts and on corrupt ones.

    Accuracy is the share of prompts on which the right answer is above the wrong one: chance is
    one half.
    """

    accuracy_clean: Interval
    accuracy_corrupt: Interval
    logit_difference_clean: Interval
    logit_difference_corrupt: Interval
    gap: Interval
    """Clean minus corrupt logit difference, pair by pair."""

    @property
    def present(self) -> bool:
        """Whether the model does it, and the corruption takes it away."""
        return (
            self.accuracy_clean.estimate >= MIN_ACCURACY
            and self.logit_difference_clean.low > 0
            and self.gap.low > 0
        )

    @property
    def verdict(self) -> str:
        """The figures, in a sentence."""
        clean, corrupt = self.logit_difference_clean, self.logit_difference_corrupt
        return (
            f"The right answer wins on {self.accuracy_clean.estimate:.0%} of clean prompts, by "
            f"{clean.estimate:+.2f} logits (95% interval {clean.low:+.2f} to {clean.high:+.2f}), "
            f"and on {self.accuracy_corrupt.estimate:.0%} of corrupt ones, by "
            f"{corrupt.estimate:+.2f} ({corrupt.low:+.2f} to {corrupt.high:+.2f})."
        )


def measure_behaviour(
    clean: Float[Tensor, " pair"], corrupt: Float[Tensor, " pair"], *, generator: torch.Generator
) -> Behaviour:
    """How well the task is done, from the logit differences of clean and corrupt prompts."""

    def interval(values: Tensor) -> Interval:
        return bootstrap_interval(values.float(), generator=generator)

    return Behaviour(
        interval(clean > 0),
        interval(corrupt > 0),
        interval(clean),
        interval(corrupt),
        interval(clean - corrupt),
    )


def require_behaviour(behaviour: Behaviour, *, model: str, task: str) -> None:
    """Refuse to look for the circuit of a behaviour that is not there.

    Raises:
        BehaviourAbsentError: With the figures.
    """
    if not behaviour.present:
        raise BehaviourAbsentError(
            f"{model} does not do {task} well enough to look for its circuit: {behaviour.verdict} "
            f"Needed: right on at least {MIN_ACCURACY:.0%} of clean prompts, with logit "
            "differences above 0 and above those of corrupt prompts. Try another task or model."
        )
