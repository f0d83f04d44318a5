"""When a neuron counts as firing: the side on which it is strong, and how strong is strong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from needlepoint._core.errors import DataError

STRONGEST = 10
"""Tokens whose mean activation counts as full strength."""


@dataclass(frozen=True)
class Firing:
    """A scale for one neuron, free of its units and of any label.

    Its side is the one on which its strongest activations lie further from the median. It fires
    from halfway between the median and full strength, the mean of its ten strongest activations.
    """

    sign: int
    """1 if it is strong at high values, -1 if at low ones (which gated neurons may be)."""
    median: float
    strongest: float
    """Full strength."""

    @property
    def cut(self) -> float:
        """Activation, in its own units, at which it starts to fire."""
        return (self.median + self.strongest) / 2

    @property
    def constant(self) -> bool:
        """Whether it does the same on every token, so that it never fires."""
        return self.median == self.strongest

    def turned(self, values: Float[np.ndarray, " row"]) -> Float[np.ndarray, " row"]:
        """Activations with the side on which the neuron is strong up."""
        return self.sign * values

    def fires(self, values: Float[np.ndarray, " row"]) -> Bool[np.ndarray, " row"]:
        """Where the neuron fires."""
        if self.constant:
            return np.zeros(len(values), dtype=bool)
        return self.turned(values) >= self.sign * self.cut


def firing_of(values: Float[np.ndarray, " row"]) -> Firing:
    """The scale of a neuron, from its activations on all kinds of text.

    Raises:
        DataError: If there are no activations, or one is not finite.

    Example:
        >>> firing_of(np.array([0.0] * 90 + [-8.0] * 10))
        Firing(sign=-1, median=0.0, strongest=-8.0)
    """
    if not len(values) or not np.isfinite(values).all():
        raise DataError(
            f"{len(values)} activations, of which {int(np.isfinite(values).sum())} are finite: a "
            "neuron's scale needs finite ones; run the model in float32 on some text."
        )
    rising = np.sort(values.astype(np.float64))
    n = min(STRONGEST, len(rising))
    middle, low, high = float(np.median(rising)), rising[:n].mean(), rising[-n:].mean()
    if high - middle >= middle - low:
        return Firing(1, middle, float(high))
    return Firing(-1, middle, float(low))
