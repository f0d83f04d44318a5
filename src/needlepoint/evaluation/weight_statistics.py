"""What the weights of neurons say without any text: norms, angles, and input norm times bias.

To read one of many nearly orthogonal binary features through ReLU or GELU, a neuron has to cut off
what its neighbours leak in: the more features share a layer, the larger its input norm and the
more negative its bias. `norm x bias` is therefore strongly negative where features lie in
superposition.

References:
    Gurnee et al. 2023 (arXiv 2305.01610), section on weights and superposition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from needlepoint.models.folded import Fold, MLPReads, mlp_reads, mlp_writes
from needlepoint.models.model import Model

STATISTICS = (
    "input_norm",
    "up_norm",
    "output_norm",
    "cosine",
    "up_cosine",
    "bias",
    "norm_bias",
)
"""The columns that are measured; `up_*` in gated MLPs alone."""


def weight_statistics(
    model: Model, fold: Fold = "folded", *, layers: Sequence[int] | None = None
) -> pd.DataFrame:
    """A table with one row for each neuron of every layer, read off the weights alone.

    Args:
        model: The model.
        fold: Whether the norm before the MLP is folded into what neurons read: see
            `models.folded.mlp_reads`.
        layers: Layers to look at; all of them if not given.

    Returns:
        `layer, neuron, input_norm, up_norm, output_norm, cosine, up_cosine, bias, norm_bias`.
        `input_norm` is the length of what the neuron reads (of the gate in gated MLPs, of the
        other factor `up_norm`), `cosine` its angle to what the neuron writes, `norm_bias` input
        norm times bias. A column that is not defined for the model is NaN throughout, never 0;
        `norm_bias_reason` says why for the last.

    Raises:
        ModelError: If the rule of the model's family does not say where neurons read.

    Example:
        >>> from needlepoint.models.micro import micro_model
        >>> found = weight_statistics(micro_model())
        >>> found.loc[1, ["input_norm", "bias", "norm_bias"]].round(3).tolist()
        [1.732, 1.0, 1.732]
    """
    layers = range(model.shape.n_layers) if layers is None else layers
    return pd.concat([_of_layer(model, layer, fold) for layer in layers], ignore_index=True)


def norm_bias_reason(model: Model, fold: Fold = "folded") -> str:
    """Why input norm times bias is not defined for a model; empty if it is.

    Example:
        >>> from needlepoint.models.micro import micro_model
        >>> norm_bias_reason(micro_model())
        ''
    """
    reads = mlp_reads(model, 0, fold)
    if reads.gated:
        return (
            "a neuron of a gated MLP is the product of two maps, and no bias cuts off what leaks "
            "into it"
        )
    return "" if reads.bias is not None else "the MLP has no bias"


def within_layer(statistics: pd.DataFrame) -> pd.DataFrame:
    """The same table with each statistic as a percentile within its layer, from 0 to 100.

    Ties share their mean place; what is not defined stays so.
    """
    ranked = statistics.copy()
    for name in STATISTICS:
        ranked[name] = statistics.groupby("layer")[name].rank(pct=True) * 100
    return ranked


def _of_layer(model: Model, layer: int, fold: Fold) -> pd.DataFrame:
    reads, writes = mlp_reads(model, layer, fold), mlp_writes(model, layer).double()
    first = reads.weights[0].double().T
    columns: dict[str, Any] = {
        "layer": layer,
        "neuron": range(model.shape.d_mlp),
        "input_norm": first.norm(dim=1).cpu(),
        "up_norm": torch.nan,
        "output_norm": writes.norm(dim=1).cpu(),
        "cosine": _cosine(first, writes),
        "up_cosine": torch.nan,
        "bias": torch.nan if reads.bias is None else reads.bias.double().cpu(),
        "norm_bias": torch.nan,
    }
    if reads.gated:
        second = reads.weights[1].double().T
        columns["up_norm"] = second.norm(dim=1).cpu()
        columns["up_cosine"] = _cosine(second, writes)
    elif reads.bias is not None:
        columns["norm_bias"] = _norm_bias(reads)
    return pd.DataFrame(columns)


def _norm_bias(reads: MLPReads) -> Tensor:
    assert reads.bias is not None
    found: Tensor = reads.weights[0].double().norm(dim=0) * reads.bias.double()
    return found.cpu()


def _cosine(reads: Tensor, writes: Tensor) -> Tensor:
    """Cosine of each pair of rows; NaN where one of them is nothing but zeros."""
    found: Tensor = (reads * writes).sum(1) / (reads.norm(dim=1) * writes.norm(dim=1))
    return found.cpu()
