"""What the weights of the neurons asked for say, each beside its layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from needlepoint.evaluation.weight_statistics import (
    STATISTICS,
    norm_bias_reason,
    weight_statistics,
    within_layer,
)
from needlepoint.models.model import Model
from needlepoint.models.sites import Site


def weight_facts(model: Model, sites: Sequence[Site]) -> tuple[list[dict[str, Any]], str]:
    """For each neuron its weight statistics, and the percentile of each within the layer.

    Returns:
        One dictionary for each neuron with `NAME` and `NAME_percentile`, both missing where the
        statistic is not defined; and why `norm_bias` is not, or nothing if it is.
    """
    layers = sorted({site.layer for site in sites})
    found = weight_statistics(model, layers=layers)
    places = within_layer(found)
    facts = []
    for site in sites:
        here = (found["layer"] == site.layer) & (found["neuron"] == site.index)
        own, ranked = found[here].iloc[0], places[here].iloc[0]
        facts.append(
            {
                **{name: float(own[name]) for name in STATISTICS},
                **{f"{name}_percentile": float(ranked[name]) for name in STATISTICS},
            }
        )
    return facts, norm_bias_reason(model)
