"""What optimal sparse probing gives: a probe, and a proof of how good it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from needlepoint.probing.optimal.losses import LossName
from needlepoint.probing.probe import LinearProbe

EXACT = 1e-4
"""Relative gap below which a result is called exact."""


@dataclass(frozen=True)
class OptimalProbe:
    """The best probe of `k` neurons that was found, and what no probe of `k` neurons can beat.

    The proof is of the *training objective*, for this `gamma`, this loss and these rows, over all
    neurons of the layer. It says nothing of F1, of other data or of another `gamma`.
    """

    probe: LinearProbe
    """Weights in units of one over the activation; it may be given activations as they are."""
    k: int
    loss: LossName
    gamma: float
    objective: float
    """Of `probe`: sum of weighted losses plus ridge, on neurons scaled to spread 0.1; float64."""
    bound: float
    """No probe of at most `k` neurons of the layer has a lower objective."""
    status: Literal["exact", "time limit"]
    """`exact`: the gap is below 1e-4. Otherwise time ran out, and the gap says what is open."""
    seconds: float
    nodes: int
    """Regions of supports whose relaxation was solved; for k = 1 and k = 2, supports fitted."""
    n_neurons: int
    """Neurons of the whole layer."""
    n_screened: int
    """Neurons proven to be in no better support, and left out for good before branching."""
    trace: tuple[tuple[float, float, float], ...]
    """Seconds, objective and bound, each time that one of the latter improved."""

    @property
    def gap(self) -> float:
        """Share of the objective that a better probe might take off, at most."""
        return max(0.0, (self.objective - self.bound) / self.objective)

    @property
    def n_candidates(self) -> int:
        """Neurons that screening left."""
        return self.n_neurons - self.n_screened

    @property
    def verdict(self) -> str:
        """`exact`, or the gap in per cent."""
        return "exact" if self.status == "exact" else f"gap {100 * self.gap:.2g} %"
