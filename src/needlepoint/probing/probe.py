"""What a probe is: a linear classifier that reads a few neurons."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError


@dataclass(frozen=True)
class LinearProbe:
    """A linear classifier that reads `k` neurons of one layer and no others.

    Example:
        >>> probe = LinearProbe(torch.tensor([2]), torch.tensor([3.0]), torch.tensor(-1.0))
        >>> probe(torch.tensor([[9.0, 9.0, 1.0]]))
        tensor([2.])
    """

    support: Int[Tensor, " k"]
    """Neurons read, in increasing order."""
    weight: Float[Tensor, " k"]
    """One weight for each neuron of `support`, in units of one over the activation."""
    bias: Float[Tensor, ""]

    def __call__(self, acts: Float[Tensor, "example neuron"]) -> Float[Tensor, " example"]:
        """Log-odds of the feature (under equal class weights, if it was fitted so).

        Raises:
            DataError: If the layer has fewer neurons than the probe reads from.
        """
        if int(self.support[-1]) >= acts.shape[1]:
            raise DataError(
                f"the probe reads neuron {int(self.support[-1])}, but these activations have "
                f"{acts.shape[1]}; give it the layer that it was fitted on."
            )
        return acts[:, self.support].to(self.weight.dtype) @ self.weight + self.bias


@dataclass(frozen=True)
class ProbeBatch:
    """Probes of one size `k`, one for each feature, and how their fits ended."""

    support: Int[Tensor, "feature k"]
    """Neurons read, in increasing order."""
    weight: Float[Tensor, "feature k"]
    """In units of one over the activation; float64, as are bias and loss."""
    bias: Float[Tensor, " feature"]
    loss: Float[Tensor, " feature"]
    """The objective that was minimised, penalty included."""
    gradient_norm: Float[Tensor, " feature"]
    """Length of its gradient at the end, on standardised neurons."""
    n_iter: Int[Tensor, " feature"]

    @property
    def k(self) -> int:
        """Neurons read by each probe."""
        return self.support.shape[1]

    def probe(self, feature: int) -> LinearProbe:
        """The probe of one feature."""
        return LinearProbe(self.support[feature], self.weight[feature], self.bias[feature])


@dataclass(frozen=True)
class Path:
    """The probes of a sweep, for every k and every feature."""

    probes: tuple[ProbeBatch, ...]
    """In the order of increasing k."""

    @property
    def ks(self) -> tuple[int, ...]:
        """Sizes of the probes."""
        return tuple(batch.k for batch in self.probes)

    def probe(self, feature: int, k: int) -> LinearProbe:
        """The probe of one feature that reads `k` neurons.

        Raises:
            DataError: If the sweep has no probes of that size.
        """
        if k not in self.ks:
            raise DataError(f"the sweep has no k = {k}; it has {', '.join(map(str, self.ks))}.")
        return self.probes[self.ks.index(k)].probe(feature)

    def log_odds(self, acts: Float[Tensor, "example neuron"]) -> Float[Tensor, "example feature k"]:
        """Log-odds of every probe, by one matrix product over all neurons that any of them reads.

        Raises:
            DataError: If the layer has fewer neurons than the probes read from.
        """
        read = torch.unique(torch.cat([batch.support.flatten() for batch in self.probes]))
        if int(read[-1]) >= acts.shape[1]:
            raise DataError(
                f"the probes read neuron {int(read[-1])}, but these activations have "
                f"{acts.shape[1]}; give them the layer that they were fitted on."
            )
        n_features = len(self.probes[0].bias)
        table = self.probes[0].weight.new_zeros(len(self.probes), n_features, len(read))
        for row, batch in zip(table, self.probes, strict=True):
            row.scatter_(1, torch.searchsorted(read, batch.support), batch.weight)
        bias = torch.stack([batch.bias for batch in self.probes])
        odds = torch.einsum("nr,kfr->nfk", acts[:, read].to(table.dtype), table)
        return odds + bias.T
