"""Methods that look for a circuit by trying: cutting edges one after another, or learning masks."""

from __future__ import annotations

from needlepoint.circuits.search.acdc import acdc
from needlepoint.circuits.search.edge_patching import path_patching
from needlepoint.circuits.search.subnetwork import edge_pruning, subnetwork_probing

__all__ = ["acdc", "edge_pruning", "path_patching", "subnetwork_probing"]
