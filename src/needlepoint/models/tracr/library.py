"""The one place that imports Tracr, which is an optional extra."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Any

from needlepoint._core.errors import ModelError


@dataclass(frozen=True)
class Library:
    """The modules of Tracr that are used."""

    rasp: Any
    """The language: selectors, aggregates, maps."""
    lib: Any
    """Programs written in it."""
    causal_eval: Any
    """Evaluates a program when a position sees itself and those before it only."""
    validating: Any
    rasp_to_graph: Any
    basis_inference: Any
    expr_to_craft_graph: Any
    craft_graph_to_model: Any
    nodes: Any
    bases: Any
    transformers: Any
    vectorspace_fns: Any


_MODULES = {
    "rasp": "tracr.rasp.rasp",
    "lib": "tracr.compiler.lib",
    "causal_eval": "tracr.rasp.causal_eval",
    "validating": "tracr.compiler.validating",
    "rasp_to_graph": "tracr.compiler.rasp_to_graph",
    "basis_inference": "tracr.compiler.basis_inference",
    "expr_to_craft_graph": "tracr.compiler.expr_to_craft_graph",
    "craft_graph_to_model": "tracr.compiler.craft_graph_to_model",
    "nodes": "tracr.compiler.nodes",
    "bases": "tracr.craft.bases",
    "transformers": "tracr.craft.transformers",
    "vectorspace_fns": "tracr.craft.vectorspace_fns",
}


def has_tracr() -> bool:
    """Whether the extra is installed; nothing is imported."""
    return importlib.util.find_spec("tracr") is not None


def tracr_library() -> Library:
    """Tracr's modules, imported at the first call (about a second).

    Raises:
        ModelError: If the extra is not installed.

    References:
        Lindner et al., "Tracr: Compiled Transformers as a Laboratory for Interpretability", 2023
        (arXiv 2301.05062).
    """
    if not has_tracr():
        raise ModelError(
            "RASP programs are compiled by Tracr, which is not installed; run pip install "
            "'needlepoint[tracr]'."
        )
    return Library(**{name: importlib.import_module(path) for name, path in _MODULES.items()})
