"""Sparse probes as scikit-learn estimators."""

from needlepoint.probing.estimators.optimal_sparse_probe import OptimalSparseProbe
from needlepoint.probing.estimators.sparse_probe import SparseProbe

__all__ = ["OptimalSparseProbe", "SparseProbe"]
