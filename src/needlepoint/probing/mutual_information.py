"""Mutual information of each neuron with each feature, in nats.

It asks for no direction and no cut: a neuron that is both lowest and highest on the feature is
seen by it and missed by a mean difference.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from sklearn.feature_selection import mutual_info_classif
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.probing.checks import check_data
from needlepoint.probing.falling import Falling, sort_falling

N_BINS = 16
N_NEIGHBOURS = 3


def mutual_information(
    acts: Float[Tensor, "example neuron"],
    labels: Bool[Tensor, "example feature"],
    *,
    n_bins: int = N_BINS,
) -> Float[Tensor, "feature neuron"]:
    """Information on each label in the bin that a neuron's activation falls into, in nats; float64.

    Bins hold equally many examples as far as equal activations, which share a bin, allow. From
    the plug-in estimate the Miller-Madow correction takes off what chance puts in, about
    `(n_bins - 1) / (2 n)`, so that an unrelated neuron lies about 0 and may lie below. What tells
    apart examples of one bin is not seen: it is a lower bound but for noise. A constant neuron
    gets 0.

    Args:
        acts: Activations of a layer.
        labels: Whether each example has each feature.
        n_bins: Bins of each neuron, at most the number of examples.

    Raises:
        DataError: If `n_bins` is below 2, activations are not finite or do not match the labels.
        OneClassError: If a feature has one class only.

    Example:
        >>> acts = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
        >>> labels = torch.tensor([[True], [False], [False], [True]])
        >>> mutual_information(acts, labels, n_bins=4) > mutual_information(acts, labels, n_bins=2)
        tensor([[True]])
    """
    check_data(acts, labels)
    if n_bins < 2:
        raise DataError(f"n_bins must be at least 2, not {n_bins}; 16 is the default.")
    found = acts.new_empty(labels.shape[1], acts.shape[1], dtype=torch.float64)
    n = len(labels)
    share = torch.arange(1, n_bins, device=acts.device) / n_bins
    for falling in sort_falling(acts, labels):
        edges = _edges(falling, (share * n).round().long().clamp(1, n - 1))
        start = torch.arange(0, falling.keys.numel(), n, device=acts.device)[:, None]
        for feature in falling.features:
            places = falling.places(feature) - start
            positive = _differences(torch.searchsorted(places, edges), places.shape[1])
            every = _differences(edges, n)
            found[feature, falling.neurons] = _miller_madow(positive, every)
    return found


def mutual_information_knn(
    acts: Float[Tensor, "example neuron"],
    labels: Bool[Tensor, "example feature"],
    *,
    seed: int,
    n_neighbors: int = N_NEIGHBOURS,
) -> Float[Tensor, "feature neuron"]:
    """The paper's estimate, by distances to the nearest neighbours of one class; never below 0.

    It is scikit-learn's `mutual_info_classif`, thousands of times slower than
    `mutual_information`: for comparison. It adds a little noise to part ties, so that it depends
    on the seed, and copies of one neuron get slightly different values.

    Raises:
        DataError: If activations are not finite or do not match the labels.
        OneClassError: If a feature has one class only.
    """
    check_data(acts, labels)
    X = acts.double().cpu().numpy()
    rows = [
        mutual_info_classif(
            X,
            label,
            discrete_features=False,
            n_neighbors=n_neighbors,
            random_state=seed % 2**32,
        )
        for label in labels.T.cpu().numpy()
    ]
    return torch.from_numpy(np.stack(rows)).to(acts.device)


def _edges(falling: Falling, places: Int[Tensor, " value"]) -> Int[Tensor, "neuron value"]:
    """First places of all bins but the first, moved up to the first of equal activations."""
    width = len(falling.features)
    keys = falling.keys[:, places] >> width << width
    return torch.searchsorted(falling.keys, keys)


def _differences(before: Int[Tensor, "neuron value"], total: int) -> Float[Tensor, "neuron row"]:
    """Counts of each bin from the counts before each edge."""
    inside = before.double()
    first, last = torch.zeros_like(inside[:, :1]), torch.full_like(inside[:, :1], total)
    return torch.cat([first, inside, last], dim=1).diff(dim=1)


def _miller_madow(
    positive: Float[Tensor, "neuron row"], every: Float[Tensor, "neuron row"]
) -> Float[Tensor, " neuron"]:
    """Mutual information from the counts of positives and of all examples in each bin."""
    cells = torch.stack([positive, every - positive])
    n = every.sum(1)
    classes = cells.sum(2, keepdim=True)
    # An empty cell adds nothing.
    ratio = cells * n[:, None] / (classes * every).clamp(min=1)
    plug_in = torch.xlogy(cells, ratio).sum((0, 2)) / n
    occupied, bins = (cells > 0).sum((0, 2)), (every > 0).sum(1)
    return plug_in - (occupied - bins - 1) / (2 * n)
