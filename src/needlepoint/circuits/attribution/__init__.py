"""Circuits by gradients: what first-order estimates say of every node and edge, and baselines."""

from __future__ import annotations

from needlepoint.circuits.attribution.activation_attribution import (
    eap_ig_activations,
    eap_ig_activations_gim,
)
from needlepoint.circuits.attribution.baselines import activation_magnitude, random_edges
from needlepoint.circuits.attribution.edge_attribution import (
    eap,
    eap_gim,
    eap_ig_inputs,
    eap_ig_inputs_gim,
)
from needlepoint.circuits.attribution.information_flow import information_flow
from needlepoint.circuits.attribution.node_attribution import (
    attribution_patching,
    attribution_patching_gim,
    hisp,
)

__all__ = [
    "activation_magnitude",
    "attribution_patching",
    "attribution_patching_gim",
    "eap",
    "eap_gim",
    "eap_ig_activations",
    "eap_ig_activations_gim",
    "eap_ig_inputs",
    "eap_ig_inputs_gim",
    "hisp",
    "information_flow",
    "random_edges",
]
