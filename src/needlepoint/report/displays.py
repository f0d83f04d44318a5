"""Every picture of a page as an object: `frame()` its numbers, `figure()` plotly, `to_json()`.

Example:
    >>> import pandas as pd
    >>> heads = pd.DataFrame({"layer": [0], "head": [0], "site": ["L0.H0.z"], "effect": [-1.0],
    ...     "effect_low": [-1.2], "effect_high": [-0.8], "matters": [True]})
    >>> HeadMap(heads).frame()["effect"].tolist()
    [-1.0]
"""

from __future__ import annotations

from needlepoint.report.circuit_graph import CircuitGraph
from needlepoint.report.display import Display, Words, frame_dict
from needlepoint.report.edge_charts import LeadingEdges
from needlepoint.report.edge_curves import EdgeCurves
from needlepoint.report.excerpts import Excerpts
from needlepoint.report.faithfulness import Faithfulness
from needlepoint.report.feature_charts import DepthProfile, FeatureTable
from needlepoint.report.head_attention import HeadAttention
from needlepoint.report.head_maps import HeadMap, TopHeads
from needlepoint.report.kcurves import KCurves
from needlepoint.report.layer_profile import LayerProfile
from needlepoint.report.method_charts import MethodTable, PrecisionChart
from needlepoint.report.neuron_charts import AblationChart, ActivationHistogram

__all__ = [
    "AblationChart",
    "ActivationHistogram",
    "CircuitGraph",
    "DepthProfile",
    "Display",
    "EdgeCurves",
    "Excerpts",
    "Faithfulness",
    "FeatureTable",
    "HeadAttention",
    "HeadMap",
    "KCurves",
    "LayerProfile",
    "LeadingEdges",
    "MethodTable",
    "PrecisionChart",
    "TopHeads",
    "Words",
    "frame_dict",
]
