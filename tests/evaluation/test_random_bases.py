"""A neuron beats a random direction where the feature is in one neuron, and not elsewhere."""

from __future__ import annotations

import pytest
import torch

from needlepoint.evaluation.random_bases import best_directions, middle_direction
from needlepoint.probing.hadamard import RandomBasis
from needlepoint.probing.select import choose_neurons, score_neurons

TRAIN, VALIDATION = torch.arange(300), torch.arange(300, 450)


@pytest.fixture(scope="module")
def bases() -> list[RandomBasis]:
    rng = torch.Generator().manual_seed(0)
    return [RandomBasis.draw(64, rng) for _ in range(3)]


def one_neuron(acts: torch.Tensor, truth: torch.Tensor) -> float:
    labels = truth[:, None]
    scores = score_neurons(acts[TRAIN], labels[TRAIN], acts[VALIDATION], labels[VALIDATION])
    return choose_neurons([scores])[0].f1_validation


def planted(direction: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    acts = torch.randn(450, 64, generator=torch.Generator().manual_seed(1))
    truth = torch.arange(450) % 3 == 0
    acts[truth] += 4 * direction / direction.norm()
    return acts, truth


def test_a_feature_in_one_neuron_is_spread_over_a_random_basis(bases) -> None:
    acts, truth = planted(torch.eye(64)[5])
    found = best_directions(acts, truth, TRAIN, VALIDATION, bases)
    assert one_neuron(acts, truth) > 0.9
    assert max(one.kept.f1_validation for one in found) < 0.8


def test_a_feature_in_a_direction_of_the_basis_is_found_there(bases) -> None:
    acts, truth = planted(bases[1].direction(17).float())
    found = best_directions(acts, truth, TRAIN, VALIDATION, bases)
    assert found[1].kept.f1_validation > 0.9
    assert one_neuron(acts, truth) < 0.8
    torch.testing.assert_close(found[1].values, bases[1].rotate(acts)[:, 17])


def test_the_middle_draw_is_neither_the_best_nor_the_worst(bases) -> None:
    acts, truth = planted(bases[1].direction(17).float())
    found = best_directions(acts, truth, TRAIN, VALIDATION, bases)
    f1 = [one.kept.f1_validation for one in found]
    assert middle_direction(found).kept.f1_validation == sorted(f1)[1]
