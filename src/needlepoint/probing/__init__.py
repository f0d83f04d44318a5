"""Which neurons carry a feature.

The scikit-learn estimators are imported from here, loaded at first use.

Example:
    >>> from needlepoint.probing import SparseProbe
    >>> SparseProbe(k=4)
    SparseProbe(k=4)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from needlepoint.probing.estimators import OptimalSparseProbe, SparseProbe

__all__ = ["OptimalSparseProbe", "SparseProbe"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'needlepoint.probing' has no attribute {name!r}")
    found = getattr(import_module("needlepoint.probing.estimators"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
