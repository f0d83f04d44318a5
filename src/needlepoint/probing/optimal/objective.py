"""The objective of optimal sparse probing, on standardised neurons in float64."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.probing.checks import check_data
from needlepoint.probing.optimal.losses import LossName
from needlepoint.probing.probe import LinearProbe
from needlepoint.probing.weights import example_weights

SPREAD = 0.1
"""Standard deviation that neurons are scaled to."""
LEAST_SD = 1e-3
"""A neuron of smaller spread, in its own units, is scaled as if its spread were this."""


@dataclass(frozen=True, eq=False)
class Objective:
    """`sum_i w_i loss(y_i (X_i beta + b)) + |beta|**2 / (2 gamma)`, for any few columns of `X`."""

    X: Float[np.ndarray, "example neuron"]
    """Neurons at mean 0 and spread 0.1, in column-major order."""
    y: Float[np.ndarray, " example"]
    """1 or -1."""
    w: Float[np.ndarray, " example"]
    """Weights of the examples; they add up to the number of examples."""
    gamma: float
    loss: LossName
    mean: Float[np.ndarray, " neuron"]
    scale: Float[np.ndarray, " neuron"]
    """What each neuron was divided by."""

    @classmethod
    def of(
        cls,
        acts: Tensor,
        label: Tensor,
        *,
        gamma: float | None,
        loss: LossName,
        balanced: bool,
    ) -> Objective:
        """The objective on a layer.

        Neurons are divided by `10 * max(sd, 1e-3)`, so that their spread is 0.1, as in the paper.
        They are centred as well, which changes no objective, as the intercept is free.

        Args:
            acts: Activations, `[example, neuron]`.
            label: Booleans, `[example]`.
            gamma: Weight of the loss against the ridge; `1 / sqrt(n_examples)` if `None`.
            loss: `logistic` or `hinge`.
            balanced: Whether both classes count alike.

        Raises:
            DataError: If activations are not finite, labels do not match them, or `gamma` is not
                positive.
            OneClassError: If all examples are of one class.
        """
        if label.ndim != 1:
            raise DataError(
                f"label must have one entry for each example, not shape {tuple(label.shape)}; "
                "for a table of labels use one column at a time, labels[:, feature]."
            )
        check_data(acts, label[:, None])
        n = len(label)
        ridge = 1 / np.sqrt(n) if gamma is None else float(gamma)
        if not 0 < ridge < np.inf:
            raise DataError(
                f"gamma must be positive and finite, not {gamma}; leave it out for 1/sqrt(n)."
            )
        if loss not in ("logistic", "hinge"):
            raise DataError(f"unknown loss {loss!r}; use 'logistic' or 'hinge'.")
        weights = example_weights(label.cpu()[:, None], balanced=balanced)[0].numpy()
        X, mean, scale = _scaled(acts.detach().cpu().numpy())
        y = np.where(label.cpu().numpy(), 1.0, -1.0)
        return cls(X, y, weights, float(ridge), loss, mean, scale)

    @property
    def n_neurons(self) -> int:
        """Neurons of the layer, constant ones included."""
        return int(self.X.shape[1])

    @property
    def signed(self) -> Float[np.ndarray, " example"]:
        """Labels times weights: what turns blame into the dual vector, `alpha = -w y q`."""
        found: Float[np.ndarray, " example"] = self.y * self.w
        return found

    def narrow(self, keep: Int[np.ndarray, " unit"]) -> Objective:
        """The same objective over some of the neurons, in a block of their own."""
        X = np.asfortranarray(self.X[:, keep])
        return replace(self, X=X, mean=self.mean[keep], scale=self.scale[keep])

    def probe(
        self,
        support: Int[np.ndarray, " k"],
        weight: Float[np.ndarray, " k"],
        bias: float,
    ) -> LinearProbe:
        """The classifier in units of the activations, from weights on the scaled neurons."""
        order = np.argsort(support)
        support, unscaled = support[order], weight[order] / self.scale[support[order]]
        return LinearProbe(
            torch.from_numpy(support.astype(np.int64)),
            torch.from_numpy(unscaled),
            torch.tensor(bias - float(unscaled @ self.mean[support]), dtype=torch.float64),
        )


def _scaled(
    acts: np.ndarray,
) -> tuple[
    Float[np.ndarray, "example neuron"], Float[np.ndarray, " neuron"], Float[np.ndarray, " neuron"]
]:
    """Columns at mean 0 and spread 0.1, what was taken off and what they were divided by."""
    X = np.asfortranarray(acts, dtype=np.float64).copy(order="F")
    constant = (X[0] == X).all(0)
    mean = X.mean(0)
    X -= mean
    rest = X.mean(0)
    X -= rest
    X[:, constant] = 0.0
    sd = np.sqrt(np.mean(X * X, axis=0))
    scale = np.maximum(sd, LEAST_SD) / SPREAD
    X /= scale
    return X, mean + rest, scale
