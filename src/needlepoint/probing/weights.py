"""Weights of the examples, so that both classes count alike."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def class_weights(
    labels: Bool[Tensor, "example feature"], *, balanced: bool
) -> Float[Tensor, "feature 2"]:
    """Weight of a positive and of a negative example for each feature, in float64.

    Example:
        >>> class_weights(torch.tensor([[True], [False], [False], [False]]), balanced=True)
        tensor([[2.0000, 0.6667]], dtype=torch.float64)
    """
    n, positive = labels.shape[0], labels.sum(0, dtype=torch.float64)
    if not balanced:
        return torch.ones(len(positive), 2, dtype=torch.float64, device=labels.device)
    return n / (2 * torch.stack([positive, n - positive], dim=1))


def example_weights(
    labels: Bool[Tensor, "example feature"], *, balanced: bool
) -> Float[Tensor, "feature example"]:
    """Weight of each example for each feature, in float64; they add up to the number of examples.

    Balanced weights are `n / (2 n_class)`, so that each class carries half of the sum, as
    `class_weight="balanced"` does in scikit-learn. Otherwise every weight is 1.

    Example:
        >>> example_weights(torch.tensor([[True], [False], [False], [False]]), balanced=True)
        tensor([[2.0000, 0.6667, 0.6667, 0.6667]], dtype=torch.float64)
    """
    of_class = class_weights(labels, balanced=balanced)
    return torch.where(labels.T, of_class[:, :1], of_class[:, 1:])


def contrast(labels: Bool[Tensor, "example feature"]) -> Float[Tensor, "feature example"]:
    """The rows that turn activations into mean differences: `1/n_pos` and `-1/n_neg`, in float64.

    Example:
        >>> contrast(torch.tensor([[True], [False], [False]]))
        tensor([[ 1.0000, -0.5000, -0.5000]], dtype=torch.float64)
    """
    positive = labels.sum(0, dtype=torch.float64)[:, None]
    return torch.where(labels.T, 1 / positive, -1 / (labels.shape[0] - positive))
