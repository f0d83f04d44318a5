"""Weights of a linear support vector machine on all neurons at once, as a ranking."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from sklearn.svm import LinearSVC
from torch import Tensor

from needlepoint.probing.checks import check_data
from needlepoint.probing.columns import blocks

SPREAD = 0.1
"""Standard deviation that the paper gives every neuron before it fits."""
MAX_ITER = 100_000


def linear_svm(
    acts: Float[Tensor, "example neuron"],
    labels: Bool[Tensor, "example feature"],
    *,
    C: float = 1.0,
    seed: int = 0,
) -> Float[Tensor, "feature neuron"]:
    """Weight of every neuron in one hinge-loss classifier for each feature, in float64.

    scikit-learn's `LinearSVC(loss="hinge")`, classes unbalanced as in the paper, on neurons
    brought to mean 0 and a standard deviation of 0.1. Its intercept is penalised like a weight.
    The released code sorted these weights as a matrix of one row, and so did not rank at all;
    sort by absolute value.

    Args:
        acts: Activations of a layer.
        labels: Whether each example has each feature.
        C: Weight of the loss against the ridge.
        seed: Order in which the solver takes the examples.

    Raises:
        DataError: If activations are not finite or do not match the labels.
        OneClassError: If a feature has one class only.
    """
    check_data(acts, labels)
    parts = [part.z for part in blocks(acts, torch.float64)]
    X = (torch.cat(parts, dim=1) * SPREAD).cpu().numpy()
    rows = [
        LinearSVC(loss="hinge", C=C, max_iter=MAX_ITER, random_state=seed % 2**32)
        .fit(X, label)
        .coef_[0]
        for label in labels.T.cpu().numpy()
    ]
    return torch.from_numpy(np.stack(rows)).to(acts.device)
