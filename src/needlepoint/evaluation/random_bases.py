"""The best single direction of a random basis: what one neuron must beat to be special."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint.probing.hadamard import RandomBasis
from needlepoint.probing.rankings import leading, mean_difference_std
from needlepoint.probing.select import NeuronChoice, choose_neurons, score_neurons

SHORTLIST = 256
"""Directions that are cut; those that differ most between the classes."""


@dataclass(frozen=True, eq=False)
class DirectionChoice:
    """The direction kept of one random basis: what it shows on every row, and its cut."""

    values: Float[Tensor, " example"]
    kept: NeuronChoice
    """Its sign, cut and scores; `neuron` is its number in the basis."""


def best_directions(
    acts: Float[Tensor, "example neuron"],
    truth: Bool[Tensor, " example"],
    train: Int[Tensor, "_"],
    validation: Int[Tensor, "_"],
    bases: list[RandomBasis],
) -> list[DirectionChoice]:
    """The best single direction of each basis, chosen as the single neuron is.

    Best cut on training rows; of the directions with the best training F1, those within one
    standard error of the highest validation F1, and of these the highest training F1.

    Args:
        acts: Activations of one layer.
        truth: Whether each row has the feature.
        train: Numbers of the rows that directions are cut on.
        validation: Numbers of the rows that the direction is chosen on.
        bases: Random bases of the layer.
    """
    return [_best(basis.rotate(acts), truth, train, validation) for basis in bases]


def middle_direction(found: list[DirectionChoice]) -> DirectionChoice:
    """The draw whose validation F1 is in the middle; of an even number the lower."""
    return sorted(found, key=lambda one: one.kept.f1_validation)[(len(found) - 1) // 2]


def _best(turned: Tensor, truth: Tensor, train: Tensor, validation: Tensor) -> DirectionChoice:
    labels = truth[:, None]
    top = leading(mean_difference_std(turned[train], labels[train]), SHORTLIST)[0]
    turned = turned[:, top]
    scores = score_neurons(turned[train], labels[train], turned[validation], labels[validation])
    (kept,) = choose_neurons([scores])
    return DirectionChoice(turned[:, kept.neuron], kept)
