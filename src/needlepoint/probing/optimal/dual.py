"""Lower bounds on every support at once from one dual solution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from needlepoint.probing.optimal.losses import stages
from needlepoint.probing.optimal.objective import Objective


@dataclass(frozen=True, eq=False)
class Cut:
    """What one feasible dual vector proves: a support `S` costs at least `gain - sum(worth[S])`.

    The feasible set knows nothing of the support, so a dual vector found for one support, or for
    none, bounds them all, and all k.
    """

    gain: float
    worth: Float[np.ndarray, " neuron"]
    """`(gamma / 2) (X_j alpha)**2`: the most that each neuron can take off."""

    def bound(self, k: int) -> float:
        """No support of at most `k` neurons costs less.

        Example:
            >>> Cut(10.0, np.array([1.0, 4.0, 2.0])).bound(2)
            4.0
        """
        return self.gain - largest_sum(self.worth, k)

    def narrow(self, keep: Int[np.ndarray, " unit"]) -> Cut:
        """The same proof for supports within some of the neurons."""
        return Cut(self.gain, self.worth[keep])


def cuts_of(objective: Objective, blame: Float[np.ndarray, "row example"]) -> list[Cut]:
    """The proofs of feasible dual solutions, by one matrix product over all neurons."""
    reads = objective.X.T @ (objective.signed * blame).T
    gains = stages(objective.loss)[-1].gain(blame) @ objective.w
    worths = objective.gamma / 2 * np.square(reads).T
    return [Cut(float(gain), worth) for gain, worth in zip(gains, worths, strict=True)]


def largest_sum(values: Float[np.ndarray, " unit"], count: int) -> float:
    """Sum of the `count` largest values, of all if there are fewer."""
    if count <= 0:
        return 0.0
    if count >= len(values):
        return float(values.sum())
    return float(np.partition(values, len(values) - count)[len(values) - count :].sum())
