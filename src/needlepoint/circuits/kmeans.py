"""Codes by k-means: the nearest of as many centres, instead of the most active of the codes.

A control: whatever a discrete autoencoder finds and this does not is owed to its training, and
what both find is owed to counting.
"""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Float, Int
from sklearn.cluster import MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from needlepoint.models.products import product

BATCH = 1024


def kmeans_centres(
    vectors: Float[Tensor, "seed vector d_model"], n_codes: int, generator: torch.Generator
) -> Float[Tensor, "seed code d_model"]:
    """Centres of the vectors of each seed, by scikit-learn's `MiniBatchKMeans`.

    As many centres as codes, or as vectors where there are fewer; vectors that are all alike
    share centres. Neither centred nor scaled, as in the autoencoder: large norms weigh most.

    Args:
        vectors: Training vectors, for instance `Autoencoder.training_vectors`.
        n_codes: Centres wanted.
        generator: Source of the starting centres and of the batches.
    """
    n_clusters = min(n_codes, vectors.shape[1])
    found = []
    for rows in vectors:
        state = int(torch.randint(2**31, (), generator=generator, device=generator.device))
        model = MiniBatchKMeans(n_clusters, batch_size=BATCH, n_init=1, random_state=state)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different vectors
            model.fit(rows.double().cpu().numpy())
        found.append(torch.from_numpy(model.cluster_centers_))
    return torch.stack(found).to(vectors)


def nearest_centres(
    centres: Float[Tensor, "seed code d_model"],
    z: Float[Tensor, "example head d_head"],
    W_O: Float[Tensor, "head d_head d_model"],
) -> Int[Tensor, "seed example head"]:
    """Number of the centre nearest to each output `z @ W_O[head]`, which is never made.

    Example:
        >>> centres = torch.tensor([[[0.0, 0.0], [4.0, 0.0]]])
        >>> z, W_O = torch.tensor([[[1.0], [3.0]]]), torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]])
        >>> nearest_centres(centres, z, W_O).tolist()
        [[[0, 1]]]
    """
    half = centres.square().sum(-1) / 2
    flat = centres.flatten(0, 1).mT
    parts = []
    for vectors, projection in zip(z.unbind(1), W_O, strict=True):
        closeness = product(vectors, product(projection, flat)).reshape(-1, *half.shape) - half
        parts.append(closeness.argmax(-1))
    return torch.stack(parts, dim=-1).movedim(1, 0)
