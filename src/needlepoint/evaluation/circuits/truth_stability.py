"""Whether other prompts would name the same heads, from effects that have been measured already."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.evaluation.circuits.stability import Stability, jaccard
from needlepoint.evaluation.truth import heads_that_matter

N_RESAMPLES = 200


def truth_stability(
    effects: Float[Tensor, "pair head"],
    *,
    value_range: float,
    generator: torch.Generator,
    n_resamples: int = N_RESAMPLES,
) -> Stability:
    """How far the heads that matter stay the same when the pairs are drawn anew from themselves.

    The rule is applied to the effects on each resample, so the number of heads may differ; `k` and
    the chance level are of the heads found on all pairs. No model is run. What another wording or
    another corruption would name is not asked.

    Args:
        effects: Change of the metric on each pair with each head ablated.
        value_range: The scale that effects are held against, as for `causal_truth`.
        generator: Source of the resamples.
        n_resamples: How many.

    Raises:
        DataError: If no head matters on all pairs: there is nothing to compare with.
    """
    found = heads_that_matter(effects, value_range)
    if not found.any():
        raise DataError("no head matters, so there is no circuit whose stability could be told.")
    draws = torch.randint(len(effects), (n_resamples, len(effects)), generator=generator)
    overlaps = [jaccard(found, heads_that_matter(effects[drawn], value_range)) for drawn in draws]
    return Stability.of(overlaps, k=int(found.sum()), n_units=len(found), how="bootstrap")
