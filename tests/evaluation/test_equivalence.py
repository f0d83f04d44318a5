"""Copies tie with what they copy, negated ones with the opposite sign; worse neurons do not."""

from __future__ import annotations

import pytest
import torch

from needlepoint.evaluation.clustered import Resamples
from needlepoint.evaluation.equivalence import (
    LISTED,
    Candidates,
    EquivalenceSet,
    equivalence_frame,
    equivalence_sets,
    tied_neurons,
)
from needlepoint.evaluation.search_neurons import search

TRUTH = torch.arange(200) % 2 == 0


@pytest.fixture(scope="module")
def candidates() -> Candidates:
    """A good neuron, its copy, its negative, one as good by itself, and one that is worse."""
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(200, 3, generator=rng)
    good = noise[:, 0] + 4 * TRUTH
    values = torch.stack(
        [good, good, -good, noise[:, 1] + 4 * TRUTH, noise[:, 2] + 1.0 * TRUTH], dim=1
    )
    sign = torch.tensor([1, 1, -1, 1, 1])
    called = values * sign > torch.tensor([2.0, 2.0, 2.0, 2.0, 0.5])
    layer, neuron = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([3, 4, 5, 3, 4])
    return Candidates(layer, neuron, sign, values, called)


def test_copies_and_equals_tie_and_the_worse_does_not(candidates, generator) -> None:
    found = tied_neurons(candidates, 0, Resamples.draw(torch.arange(200) // 2, TRUTH, generator))
    assert {(one.layer, one.neuron) for one in found.tied} == {(0, 4), (0, 5), (1, 3)}
    assert (found.n_tied, found.n_duplicates) == (3, 2)
    negative = next(one for one in found.tied if one.neuron == 5)
    assert negative.sign == -1
    assert negative.correlation == pytest.approx(-1)
    assert negative.low <= negative.difference <= negative.high


def test_few_documents_have_no_set(candidates) -> None:
    found = tied_neurons(candidates, 0, None)
    assert (found.tied, found.n_tied, found.n_duplicates) == (None, None, None)
    assert equivalence_frame([found], ["a"]).empty


def test_the_worse_neuron_as_the_named_one_ties_with_all_better_ones(candidates, generator) -> None:
    found = tied_neurons(candidates, 4, Resamples.draw(torch.arange(200) // 2, TRUTH, generator))
    assert found.n_tied == 4
    assert found.tied[0].difference < 0


def test_sets_of_a_search_are_over_all_layers_and_without_the_named(neuron_data, generator) -> None:
    found = search(neuron_data, 3, max_k=1, n_permutations=1, seed=0, label="toy")
    high, coin = equivalence_sets(neuron_data, found.layers, found.neurons, generator)
    assert len({one.layer for one in high.tied}) == 3, "tokens that differ are told in every layer"
    for feature, ties in enumerate((high, coin)):
        kept = found.neurons[feature]
        assert (kept.layer, kept.neuron) not in {(one.layer, one.neuron) for one in ties.tied}
        f1 = [one.f1_validation for one in ties.tied]
        assert f1 == sorted(f1, reverse=True)
        for one in ties.tied[:3]:
            layer = found.layers[one.layer]
            assert one.f1_validation == pytest.approx(
                float(layer.f1_validation[feature, one.neuron])
            )
            assert one.sign == layer.threshold.sign[feature, one.neuron]


def test_the_table_is_cut_and_names_sites(candidates, generator) -> None:
    resamples = Resamples.draw(torch.arange(200) // 2, TRUTH, generator)
    found = tied_neurons(candidates, 0, resamples)
    many = EquivalenceSet(found.tied * LISTED)
    frame = equivalence_frame([many, found], ["a", "b"])
    assert frame["feature"].value_counts().to_dict() == {"a": LISTED, "b": 3}
    assert set(frame["site"]) == {"L0.N4", "L0.N5", "L1.N3"}
