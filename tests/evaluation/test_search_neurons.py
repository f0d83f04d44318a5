"""The search finds what is there; its null is that of the whole search."""

from __future__ import annotations

import pytest
import torch

from needlepoint.evaluation.read_neurons import read_neurons
from needlepoint.evaluation.search_neurons import Search, search, shuffled_labels
from needlepoint.probing.null import max_null
from needlepoint.probing.rankings import mean_difference_std

OPTIONS = {"max_k": 4, "n_permutations": 60, "seed": 0, "label": "toy"}


@pytest.fixture(scope="module")
def found(neuron_data) -> Search:
    return search(neuron_data, 3, **OPTIONS)


def test_the_real_feature_stands_out_and_the_tossed_one_does_not(found: Search) -> None:
    assert found.p_value(0) == 1 / 61
    assert found.p_value(1) > 0.05
    assert found.smallest_p(0) <= found.p_value(0)
    assert found.smallest_p(1) == min(float(layer[1].min()) for layer in found.p_values)


def test_p_values_are_against_the_largest_of_all_layers(neuron_data, found: Search) -> None:
    """Recomputed over all neurons side by side, as one wide layer."""
    train = neuron_data.train
    wide = torch.cat([neuron_data.layer(layer)[train] for layer in range(3)], dim=1)
    null = max_null(
        wide,
        neuron_data.labels[train],
        groups=neuron_data.documents[train],
        n_permutations=60,
        generator=torch.Generator().manual_seed(0),
    )
    torch.testing.assert_close(torch.cat(found.p_values, dim=1), null.p_value)


def test_fits_see_training_rows_and_choices_validation_rows(neuron_data, found: Search) -> None:
    train, validation = neuron_data.train, neuron_data.validation
    for layer, probes in enumerate(found.layers):
        acts = neuron_data.layer(layer)
        wanted = mean_difference_std(acts[train], neuron_data.labels[train])
        torch.testing.assert_close(probes.mean_difference_std, wanted)
        called = acts[validation, 5] > probes.threshold.threshold[0, 5]
        called = called if probes.threshold.sign[0, 5] > 0 else ~called
        truth = neuron_data.labels[validation, 0]
        f1 = 2 * (called & truth).sum() / (called.sum() + truth.sum())
        assert probes.f1_validation[0, 5].item() == pytest.approx(f1.item())
        assert probes.ks == (1, 2, 3, 4)


def test_labels_in_place_of_the_true_ones(neuron_data) -> None:
    """With the columns exchanged the features exchange their results."""
    swapped = search(neuron_data, 3, labels=neuron_data.labels.flip(1), **OPTIONS)
    plain = search(neuron_data, 3, **OPTIONS)
    assert swapped.choices[1].neuron == plain.choices[0].neuron
    assert swapped.choices[0].neuron == plain.choices[1].neuron


def test_shuffled_labels_keep_parts_documents_and_counts(neuron_data, generator) -> None:
    shuffled = shuffled_labels(neuron_data, generator)
    assert not torch.equal(shuffled, neuron_data.labels)
    for part in (neuron_data.train, neuron_data.validation, neuron_data.test):
        rows = neuron_data.labels[part].int().tolist()
        assert sorted(shuffled[part].int().tolist()) == sorted(rows), "both features move together"
    for document in range(40):
        of_document = shuffled[neuron_data.documents == document]
        assert (of_document == of_document[0]).all()
    assert torch.equal(neuron_data.labels, torch.from_numpy(neuron_data.collection.labels))


def test_shuffled_labels_find_nothing(neuron_data, generator) -> None:
    smallest = []
    for _ in range(8):
        labels = shuffled_labels(neuron_data, generator)
        options = {**OPTIONS, "max_k": 1}
        smallest.append(search(neuron_data, 3, labels=labels, **options).smallest_p(0))
    assert sum(p <= 0.05 for p in smallest) <= 2
    assert max(smallest) > 0.2


def test_labels_of_tokens_have_no_p_value(tiny, token_level, generator) -> None:
    data = read_neurons(tiny, token_level, seed=0)
    found = search(data, 3, **OPTIONS)
    assert found.p_values is None
    assert found.p_value(0) is None
    assert found.smallest_p(0) is None
    shuffled = shuffled_labels(data, generator)
    for part in (data.train, data.validation, data.test):
        assert shuffled[part].sum() == data.labels[part].sum()
        assert not torch.equal(shuffled[part], data.labels[part])
