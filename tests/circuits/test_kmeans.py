"""k-means codes are scikit-learn's, read without making the outputs."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.metrics import pairwise_distances_argmin

from needlepoint.circuits.kmeans import kmeans_centres, nearest_centres


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def test_the_nearest_centre_is_scikit_learns():
    centres, z, W_O = draw(2, 7, 5), draw(20, 3, 2, seed=2), draw(3, 2, 5, seed=3)
    found = nearest_centres(centres, z, W_O)
    assert found.shape == (2, 20, 3)
    outputs = torch.einsum("ehd,hdm->ehm", z, W_O).flatten(0, 1).numpy()
    for seed in range(2):
        expected = pairwise_distances_argmin(outputs, centres[seed].numpy())
        np.testing.assert_array_equal(found[seed].flatten().numpy(), expected)


def test_separate_clusters_are_found_for_each_seed():
    places = torch.tensor([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0]], dtype=torch.float64)
    vectors = places.repeat(2, 20, 1) + draw(2, 60, 2)
    centres = kmeans_centres(vectors, 3, generator())
    for seed in range(2):
        nearest = torch.cdist(places, centres[seed]).amin(1)
        assert nearest.max() < 1.5


def test_the_generator_decides():
    vectors = draw(1, 40, 4)
    one, two = (kmeans_centres(vectors, 5, generator(seed)) for seed in (0, 0))
    assert torch.equal(one, two)
    assert not torch.equal(one, kmeans_centres(vectors, 5, generator(1)))


def test_there_are_no_more_centres_than_vectors_and_equal_vectors_share_them():
    assert kmeans_centres(draw(1, 4, 3), 200, generator()).shape == (1, 4, 3)
    same = torch.ones(1, 6, 3, dtype=torch.float64)
    centres = kmeans_centres(same, 4, generator())
    assert torch.equal(centres, torch.ones(1, 4, 3, dtype=torch.float64))
