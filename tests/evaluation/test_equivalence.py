"""Copies tie with what they copy, negated ones with the opposite sign; worse neurons do not."""

from __future__ import annotations

import pytest
import torch

from needlepoint.evaluation.clustered import Resamples
from needlepoint.evaluation.equivalence import (
    LISTED,
    Candidates,
    EquivalenceSet,
    TieCount,
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


def test_ties_are_counted_beyond_the_shortlist(neuron_data, generator) -> None:
    found = search(neuron_data, 3, max_k=1, n_permutations=1, seed=0, label="toy")
    state = generator.get_state()
    sets = equivalence_sets(neuron_data, found.layers, found.neurons, generator)
    generator.set_state(state)
    for feature, (ties, kept) in enumerate(zip(sets, found.neurons, strict=True)):
        rows = neuron_data.of(feature).validation
        resamples = Resamples.draw(
            neuron_data.documents[rows],
            neuron_data.labels[rows, feature],
            generator,
            n_resamples=1000,
        )
        called = {}
        for number, layer in enumerate(found.layers):
            values, best = neuron_data.layer(number)[rows], layer.threshold
            called[number] = torch.where(
                best.sign[feature] > 0,
                values > best.threshold[feature],
                values < best.threshold[feature],
            )
        named = resamples.f1(called[kept.layer][:, [kept.neuron]])
        low = torch.cat(
            [torch.quantile(named - resamples.f1(c), 0.025, 0) for c in called.values()]
        )
        assert ties.n_all == int((low <= 0).sum()) - 1
        assert ties.n_tied <= ties.n_all < 3 * 48


def test_an_end_between_two_steps_is_the_quantile_of_it(generator) -> None:
    """Neurons a little worse than the named one, so that 25 or 26 of 1000 resamples reach it."""
    documents = torch.arange(200)
    resamples = Resamples.draw(documents, TRUTH, generator, n_resamples=1000)
    named = TRUTH ^ (torch.rand(200, generator=generator) < 0.1)
    flips = torch.linspace(0.1, 0.3, 2000)
    called = TRUTH[:, None] ^ (torch.rand(200, 2000, generator=generator) < flips)
    ahead = resamples.f1(named[:, None]) - resamples.f1(called)
    assert ((ahead <= 0).sum(0) == 25).any(), "some stand on the step that must be interpolated"
    count = TieCount(resamples, named)
    count.add(called)
    assert count.others + 1 == int((torch.quantile(ahead, 0.025, 0) <= 0).sum())


def test_the_table_is_cut_and_names_sites(candidates, generator) -> None:
    resamples = Resamples.draw(torch.arange(200) // 2, TRUTH, generator)
    found = tied_neurons(candidates, 0, resamples)
    many = EquivalenceSet(found.tied * LISTED)
    frame = equivalence_frame([many, found], ["a", "b"])
    assert frame["feature"].value_counts().to_dict() == {"a": LISTED, "b": 3}
    assert set(frame["site"]) == {"L0.N4", "L0.N5", "L1.N3"}
