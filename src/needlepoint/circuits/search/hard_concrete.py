"""Masks between 0 and 1 that can be learned and still come to rest at 0 or 1 exactly."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

TEMPERATURE = 2 / 3
LOW, HIGH = -0.1, 1.1
"""The stretched interval: what falls outside 0 to 1 is cut off, so that 0 and 1 have mass."""


def sample(logits: Float[Tensor, "*part"], generator: torch.Generator) -> Float[Tensor, "*part"]:
    """One draw of a mask from each hard concrete distribution, differentiable in its logit.

    Source:
        Louizos et al., "Learning Sparse Neural Networks through L0 Regularization", 2018, eq. 10
        and 11; constants as in Cao et al., "Low-Complexity Probing via Finding Subnetworks", 2021.
    """
    noise = torch.rand(logits.shape, generator=generator).clamp(1e-6, 1 - 1e-6).to(logits)
    soft = ((noise.log() - (1 - noise).log() + logits) / TEMPERATURE).sigmoid()
    return (LOW + (HIGH - LOW) * soft).clamp(0, 1)


def probability_of_any(logits: Float[Tensor, "*part"]) -> Float[Tensor, "*part"]:
    """Probability that a mask is not 0: the term of each part in the expected size.

    Example:
        >>> probability_of_any(torch.tensor([-20.0, 20.0])).round().tolist()
        [0.0, 1.0]
    """
    return (logits - TEMPERATURE * math.log(-LOW / HIGH)).sigmoid()


def logit_of(keep: float) -> float:
    """The logit at which a mask is not 0 with this probability.

    Example:
        >>> round(float(probability_of_any(torch.tensor(logit_of(0.9)))), 6)
        0.9
    """
    return math.log(keep / (1 - keep)) + TEMPERATURE * math.log(-LOW / HIGH)
