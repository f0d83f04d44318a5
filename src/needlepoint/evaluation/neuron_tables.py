"""Tables of the search over neurons: curves over k, leading neurons, depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from needlepoint.evaluation.held_out import Judged
from needlepoint.evaluation.search_neurons import Search
from needlepoint.probing.select import LayerProbes

LEADING = 50
"""Neurons kept in the table for each feature."""


def curve_frame(
    search: Search, features: tuple[str, ...], judged: Sequence[Judged]
) -> pd.DataFrame:
    """Validation scores of every layer and k, with the chosen one marked.

    The last row of a feature is the dense probe: all neurons of the chosen layer.
    """
    frames = []
    for number, feature in enumerate(features):
        kept = search.choices[number].sparse
        dense = judged[number].by_name["dense"]
        for layer, probes in enumerate(search.layers):
            frames.append(
                pd.DataFrame(
                    {
                        "feature": feature,
                        "layer": layer,
                        "k": list(probes.ks),
                        "f1_validation": probes.f1_validation_k[number].cpu().numpy(),
                        "auc_validation": probes.auc_validation_k[number].cpu().numpy(),
                        "selected": [layer == kept.layer and k == kept.k for k in probes.ks],
                    }
                )
            )
        whole = [feature, kept.layer, dense.k, dense.f1_validation, dense.auc_validation, False]
        frames.append(pd.DataFrame([whole], columns=frames[-1].columns))
    return pd.concat(frames, ignore_index=True)


def neuron_frame(search: Search, features: tuple[str, ...]) -> pd.DataFrame:
    """The leading neurons of each feature: the chosen one first, then by validation F1.

    Candidates are the neurons of all layers with the best training F1, so that a neuron that is
    lucky on validation texts only is not among them.
    """
    return pd.concat(
        [_leading(search, number, feature) for number, feature in enumerate(features)],
        ignore_index=True,
    )


def depth_frame(search: Search, features: tuple[str, ...]) -> pd.DataFrame:
    """For each layer the neuron with the best training F1, and its validation F1."""
    rows = []
    for number, feature in enumerate(features):
        for layer, probes in enumerate(search.layers):
            best = int(probes.threshold.f1[number].argmax())
            rows.append(
                {
                    "feature": feature,
                    "layer": layer,
                    "site": f"L{layer}.N{best}",
                    "f1_validation": float(probes.f1_validation[number, best]),
                }
            )
    return pd.DataFrame(rows)


def neuron_arrays(search: Search) -> dict[str, np.ndarray]:
    """What was measured on every neuron of every layer: each `[feature, layer, neuron]`, float32.

    The table of neurons keeps the leading ones; this keeps all.
    """

    def stacked(pick: Callable[[LayerProbes], Tensor]) -> np.ndarray:
        return torch.stack([pick(layer) for layer in search.layers], 1).float().cpu().numpy()

    found = {
        "mean_difference": stacked(lambda layer: layer.mean_difference),
        "mean_difference_std": stacked(lambda layer: layer.mean_difference_std),
        "logistic_weight": stacked(lambda layer: layer.one_neuron.weight),
        "logistic_bias": stacked(lambda layer: layer.one_neuron.bias),
        "logistic_loss": stacked(lambda layer: layer.one_neuron.loss),
        "sign": stacked(lambda layer: layer.threshold.sign),
        "threshold": stacked(lambda layer: layer.threshold.threshold),
        "f1_train": stacked(lambda layer: layer.threshold.f1),
        "f1_validation": stacked(lambda layer: layer.f1_validation),
    }
    if search.p_values is not None:
        found["p_value"] = torch.stack(search.p_values, 1).float().cpu().numpy()
    return found


def _leading(search: Search, number: int, feature: str) -> pd.DataFrame:
    train = torch.stack([probes.threshold.f1[number] for probes in search.layers])
    width = train.shape[1]
    top = train.flatten().argsort(descending=True, stable=True)[: 4 * LEADING].tolist()
    kept = search.choices[number].neuron
    rows = [_row(search, number, feature, *divmod(flat, width)) for flat in top]
    chosen = _row(search, number, feature, kept.layer, kept.neuron)
    rows = [row for row in rows if row["site"] != chosen["site"]]
    rows.sort(key=lambda row: (-row["f1_validation"], -row["f1_train"]))
    frame = pd.DataFrame([chosen, *rows[: LEADING - 1]])
    frame["rank"] = range(len(frame))
    return frame


def _row(search: Search, number: int, feature: str, layer: int, neuron: int) -> dict[str, Any]:
    probes = search.layers[layer]
    at = (number, neuron)
    return {
        "feature": feature,
        "layer": layer,
        "neuron": neuron,
        "site": f"L{layer}.N{neuron}",
        "sign": int(probes.threshold.sign[at]),
        "mean_difference": float(probes.mean_difference[at]),
        "mean_difference_std": float(probes.mean_difference_std[at]),
        "logistic_weight": float(probes.one_neuron.weight[at]),
        "logistic_bias": float(probes.one_neuron.bias[at]),
        "logistic_loss": float(probes.one_neuron.loss[at]),
        "threshold": float(probes.threshold.threshold[at]),
        "f1_train": float(probes.threshold.f1[at]),
        "f1_validation": float(probes.f1_validation[at]),
    }
