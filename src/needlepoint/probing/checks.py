"""What activations and labels must be before any neuron is scored."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from needlepoint._core.errors import DataError, OneClassError


def check_data(acts: Tensor, labels: Tensor) -> None:
    """Refuse activations and labels that cannot be scored; return nothing if they can.

    Shapes are checked here rather than in the signature, so that a user meets one sentence with
    the fix in it, whether or not shapes are checked at run time.

    Args:
        acts: Real numbers, `[example, neuron]`.
        labels: Booleans, `[example, feature]`.

    Raises:
        DataError: If a shape or type is wrong, an activation is not finite, or the two lie on
            different devices.
        OneClassError: If a feature has examples of one class only.

    Example:
        >>> check_data(torch.zeros(3, 5), torch.tensor([[True], [False], [True]]))
    """
    check_acts(acts)
    check_labels(labels, acts.shape[0])
    check_same_device(acts, labels)


def check_acts(acts: Tensor) -> None:
    """Refuse activations that are not a finite, real, non-empty matrix.

    Raises:
        DataError: With the fix in its message.
    """
    check_matrix(acts)
    check_finite(acts)


def check_matrix(acts: Tensor) -> None:
    """Refuse activations that are not a real, non-empty matrix, whatever stands in it.

    Raises:
        DataError: With the fix in its message.
    """
    if acts.ndim != 2 or 0 in acts.shape or not acts.is_floating_point():
        raise DataError(
            f"activations must be a non-empty floating-point matrix [example, neuron], not "
            f"{acts.dtype} of shape {tuple(acts.shape)}; reduce positions to rows first."
        )


def check_finite(acts: Tensor) -> None:
    """Refuse a matrix of activations that are not all finite.

    Raises:
        DataError: With the fix in its message.
    """
    # One pass without a copy: a sum is not finite if an entry is not; only then look closer.
    if not bool(torch.isfinite(acts.sum())):
        bad = ~torch.isfinite(acts)
        if bool(bad.any()):
            rows, columns = bad.any(1).nonzero(), bad.any(0).nonzero()
            raise DataError(
                f"activations hold NaN or infinity in {len(columns)} neurons (first: "
                f"{int(columns[0])}) of {len(rows)} examples (first: {int(rows[0])}); "
                "run the model in a wider precision, or leave those examples out."
            )


def check_labels(labels: Tensor, n_examples: int) -> None:
    """Refuse labels that are not one boolean for each example and feature, of both classes.

    Raises:
        DataError: If their shape or type is wrong.
        OneClassError: If a feature has examples of one class only.
    """
    if labels.ndim != 2 or labels.dtype != torch.bool or labels.shape[1] == 0:
        raise DataError(
            f"labels must be booleans [example, feature], not {labels.dtype} of shape "
            f"{tuple(labels.shape)}; for one feature use labels[:, None]."
        )
    if labels.shape[0] != n_examples:
        raise DataError(
            f"{labels.shape[0]} labels for {n_examples} examples; "
            "give one row of labels for each row of activations, in the same order."
        )
    counts = labels.sum(0)
    lone = ((counts == 0) | (counts == n_examples)).nonzero().flatten()
    if len(lone):
        feature = int(lone[0])
        shown = "no positive" if int(counts[feature]) == 0 else "no negative"
        raise OneClassError(
            f"feature {feature} has {shown} example among {n_examples}; "
            "give examples of both classes, or leave the feature out."
        )


def check_same_device(acts: Tensor, labels: Tensor) -> None:
    """Refuse activations and labels that do not lie on the same device.

    Raises:
        DataError: With both devices in its message.
    """
    if acts.device != labels.device:
        raise DataError(
            f"the activations lie on {acts.device} and the labels on {labels.device}; "
            "move the labels with labels.to(activations.device)."
        )


def check_same_layer(acts: Tensor, other: Tensor) -> None:
    """Refuse two sets of activations that do not have the same neurons.

    Raises:
        DataError: With both counts in its message.
    """
    if acts.shape[1] != other.shape[1]:
        raise DataError(
            f"{acts.shape[1]} neurons to train on and {other.shape[1]} to validate on; "
            "give both parts of the same layer."
        )


def check_ridge(l2: float | Tensor) -> None:
    """Refuse a ridge penalty that is not positive: separable classes would have no solution.

    Raises:
        DataError: If any penalty is zero, negative or not finite.
    """
    if isinstance(l2, Tensor):
        usable = bool(((l2 > 0) & torch.isfinite(l2)).all())
    else:
        usable = 0 < l2 < math.inf
    if not usable:
        raise DataError(f"l2 must be positive and finite, not {l2}; try 0.01.")
